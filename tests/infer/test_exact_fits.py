"""Training by noisy gradients arrives at the exact answers where they are known."""

import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import optimize
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from l0bayes.distributions import Gate
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import GradientStep, MeanFieldELBO
from l0bayes.sites import spike_and_slab
from tests.infer.exact import posterior
from tests.infer.problems import Parameters
from tests.infer.test_named_objectives import hard_concrete_parts

pytestmark = pytest.mark.usefixtures("float64")

NOISE, SLAB = 1.0, 1.0


def model_with(inclusion):
    def model(x, y):
        beta = spike_and_slab(
            "beta", Gate(inclusion), dist.Normal(0.0, SLAB).expand([x.shape[1]]).to_event(1)
        )
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("y", dist.Normal((x * beta).sum(-1), NOISE), obs=y)

    return model


def train(model, guide, x, y, steps, lr=0.06, particles=100):
    elbo = MeanFieldELBO(num_particles=particles, vectorize_particles=True, max_plate_nesting=1)
    step = GradientStep(elbo(model, guide), "graph")
    optimiser = torch.optim.Adam(guide.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        step((x, y))
        optimiser.step()
        schedule.step()
    assert step.mode == "graph"
    return guide


# ---- one weight, one gate: everything by quadrature --------------------------------------------------


def one_weight(effect):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(25, 1, generator=generator, dtype=torch.float64)
    noise = torch.randn(25, generator=generator, dtype=torch.float64)
    noise = noise - x[:, 0] * (x[:, 0] @ noise) / x.square().sum()
    return x, effect * x[:, 0] + noise


def exact_inclusion(x, y, inclusion):
    """P(z = 1 | y), theta integrated numerically."""
    xx, xy = x.square().sum().item(), (x[:, 0] @ y).item()

    def integrand(theta):  # likelihood ratio to the null model
        return math.exp((theta * xy - 0.5 * theta**2 * xx) / NOISE**2) * norm(0.0, SLAB).pdf(theta)

    bayes_factor = quad(integrand, -6.0, 6.0, epsabs=0.0, epsrel=1e-10, limit=200)[0]
    return inclusion * bayes_factor / (inclusion * bayes_factor + 1.0 - inclusion)


def relaxed_optimum(x, y, inclusion, beta, gamma=-0.1, zeta=1.1):
    """Best (log alpha, loc, scale) of the relaxed objective, all its integrals by quadrature."""
    xx, xy = x.square().sum().item(), (x[:, 0] @ y).item()

    def loss(parameters):
        log_alpha, m, log_s = parameters
        _, one, density = hard_concrete_parts(log_alpha, beta, gamma, zeta)
        first = one + quad(lambda z: z * density(z), 0.0, 1.0)[0]
        second = one + quad(lambda z: z * z * density(z), 0.0, 1.0)[0]
        active = expit(log_alpha - beta * math.log(-gamma / zeta))
        gate = active * math.log(active / inclusion) + (1 - active) * math.log((1 - active) / (1 - inclusion))
        s = math.exp(log_s)
        slab = -math.log(s / SLAB) + ((s / SLAB) ** 2 + (m / SLAB) ** 2 - 1.0) / 2.0
        misfit = (-2 * first * m * xy + second * (m * m + s * s) * xx) / (2 * NOISE**2)
        return misfit + gate + active * slab

    start = np.array([0.0, xy / xx, -1.5])
    found = optimize.minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9})
    return found.x, loss


@pytest.mark.parametrize("effect", [0.0, 0.55, 1.2])
def test_binary_gates_at_the_optimum_are_the_posterior(effect):
    """The optimum over (P(z = 1), loc, scale) by a general optimiser, on the hardened objective."""
    inclusion, (x, y) = 0.3, one_weight(effect)
    model = model_with(inclusion)
    guide = AutoHardConcrete(model, (x, y))
    guide.hardened = True
    optimiser = torch.optim.LBFGS(
        guide.parameters(), max_iter=300, tolerance_grad=1e-10, line_search_fn="strong_wolfe"
    )
    xx, xy = x.square().sum(), x[:, 0] @ y
    null = dist.Normal(0.0, NOISE).log_prob(y).sum()

    def loss():
        laws = guide.laws()
        active, slab = laws["beta.gate"].prob_active, laws["beta.slab"].base
        fit = active * (slab.loc * xy - 0.5 * (slab.loc**2 + slab.scale**2) * xx) / NOISE**2
        return MeanFieldELBO().terms(model, guide, x, y).total_kl - fit.sum() - null

    def closure():
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    optimiser.step(closure)
    pip = exact_inclusion(x, y, inclusion)
    assert guide.gates()["beta.gate"].prob_active.item() == pytest.approx(pip, abs=1e-5)
    evidence, _ = posterior(x, y, NOISE, SLAB, inclusion)
    assert -loss().item() == pytest.approx(evidence.item(), abs=1e-8)


@pytest.mark.parametrize(("effect", "temperature"), [(0.3, 2 / 3), (0.55, 0.2)])
def test_relaxed_training_arrives_at_the_relaxed_optimum(effect, temperature):
    x, y = one_weight(effect)
    (log_alpha, loc, log_scale), loss = relaxed_optimum(x, y, 0.3, temperature)
    model = model_with(0.3)
    guide = train(model, AutoHardConcrete(model, (x, y), temperature=temperature), x, y, 800)
    q = Parameters(guide)
    reached = loss((q.log_alpha.item(), q.loc.item(), math.log(q.scale.item())))
    assert reached - loss((log_alpha, loc, log_scale)) == pytest.approx(0.0, abs=0.01)
    assert q.active.item() == pytest.approx(activity(log_alpha, temperature), abs=0.03)
    assert q.loc.item() == pytest.approx(loc, abs=0.05)


def activity(log_alpha, beta):
    return expit(log_alpha - beta * math.log(0.1 / 1.1))


def assert_stationary(x, y, temperature, log_alpha, loc, log_scale):
    """The optimum by quadrature is one of the library's objective: its KL, its gate's moments."""
    model = model_with(0.3)
    guide = AutoHardConcrete(model, (x, y), temperature=temperature)
    setattr(guide.log_alpha, "beta/gate", torch.tensor([log_alpha]))
    setattr(guide.loc, "beta/slab", torch.tensor([loc]))
    setattr(guide.scale, "beta/slab", torch.tensor([math.exp(log_scale)]))
    laws = guide.laws()
    gate, slab = laws["beta.gate"], laws["beta.slab"].base
    first, second = gate.mean, gate.variance + gate.mean.square()
    cross, square = (
        2 * first * slab.loc * (x[:, 0] @ y),
        second * (slab.loc**2 + slab.scale**2) * x.square().sum(),
    )
    loss = (square - cross).sum() / (2 * NOISE**2) + MeanFieldELBO().terms(model, guide, x, y).total_kl
    loss.backward()
    for name, parameter in guide.named_parameters():
        assert parameter.grad.item() == pytest.approx(0.0, abs=2e-3), name
    return loss.item()


@pytest.mark.parametrize(("temperature", "error"), [(0.05, 0.022), (0.1, 0.045)])
def test_the_relaxed_optimum_of_a_cold_gate_is_close_to_the_posterior(temperature, error):
    for effect in (0.3, 0.45, 0.55, 0.7):
        x, y = one_weight(effect)
        best, loss = relaxed_optimum(x, y, 0.3, temperature)
        assert activity(best[0], temperature) == pytest.approx(exact_inclusion(x, y, 0.3), abs=error)
        assert assert_stationary(x, y, temperature, *best) == pytest.approx(loss(best), abs=1e-6)


def test_the_relaxed_optimum_of_a_warm_gate_decides_what_is_undecided():
    """At the paper's 2/3 an inclusion probability of 0.69 comes out as certainty: cool, or harden."""
    x, y = one_weight(0.55)
    assert exact_inclusion(x, y, 0.3) == pytest.approx(0.69, abs=0.01)
    best, loss = relaxed_optimum(x, y, 0.3, 2 / 3)
    assert activity(best[0], 2 / 3) > 0.99
    assert assert_stationary(x, y, 2 / 3, *best) == pytest.approx(loss(best), abs=1e-6)


# ---- near-orthogonal designs -------------------------------------------------------------------------


def near_orthogonal(effects, n, seed):
    p, generator = len(effects), torch.Generator().manual_seed(seed)
    q, _ = torch.linalg.qr(torch.randn(n, p, generator=generator, dtype=torch.float64))
    x = math.sqrt(n) * q + 0.02 * torch.randn(n, p, generator=generator, dtype=torch.float64)
    noise = torch.randn(n, generator=generator, dtype=torch.float64)
    noise = noise - x @ torch.linalg.lstsq(x, noise).solution  # the estimates are the effects, by design
    return x, x @ torch.tensor(effects, dtype=torch.float64) + noise


UNDECIDED = [1.0, -0.8, 0.34, 0.345, -0.34, 0.15, 0.0, 0.0]
CLEAR = [1.0, -0.9, 0.8, 0.0, 0.0, 0.0, 0.7, 0.0, 0.0, 0.0, 0.0, -1.2]


@pytest.mark.parametrize(
    ("effects", "temperature", "seed"), [(UNDECIDED, 0.1, 1), (CLEAR, 0.1, 2), (CLEAR, 0.3, 2)]
)
def test_inclusion_probabilities_of_near_orthogonal_columns(effects, temperature, seed):
    x, y = near_orthogonal(effects, 60, seed)
    model = model_with(0.2)
    _, inclusion = posterior(x, y, NOISE, SLAB, 0.2)
    assert inclusion.max() > 0.99
    assert inclusion.min() < 0.1
    undecided = ((inclusion > 0.15) & (inclusion < 0.85)).sum()
    assert undecided == (3 if effects is UNDECIDED else 0)
    guide = train(model, AutoHardConcrete(model, (x, y), temperature=temperature), x, y, 1000)
    active = guide.gates()["beta.gate"].prob_active.detach()
    assert (active - inclusion).abs().max() < 0.05
