"""The hardened guide's ELBO never exceeds the log evidence, and reaches it where the family can."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from l0bayes.distributions import Gate, HardConcrete
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import MeanFieldELBO
from l0bayes.sites import spike_and_slab
from tests.infer.exact import all_models, expected_log_likelihood, log_marginals, posterior

pytestmark = pytest.mark.usefixtures("float64")

NOISE, SLAB, PI = 0.6, 1.2, 0.3


def problem(p, n=20, seed=0, correlation=0.0):
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    own = torch.randn(n, p, generator=generator, dtype=torch.float64)
    x = math.sqrt(correlation) * common + math.sqrt(1.0 - correlation) * own
    truth = torch.zeros(p, dtype=torch.float64)
    truth[::3] = torch.linspace(1.0, -0.4, len(truth[::3]), dtype=torch.float64)
    return x, x @ truth + NOISE * torch.randn(n, generator=generator, dtype=torch.float64)


def regression(x, y):
    beta = spike_and_slab("beta", Gate(PI), dist.Normal(0.0, SLAB).expand([x.shape[1]]).to_event(1))
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Normal((x * beta).sum(-1), NOISE), obs=y)


def set_laws(guide, log_alpha, loc, scale):
    with torch.no_grad():
        setattr(guide.log_alpha, "beta/gate", torch.as_tensor(log_alpha))
        setattr(guide.loc, "beta/slab", torch.as_tensor(loc))
        setattr(guide.scale, "beta/slab", torch.as_tensor(scale))
    return guide


def hardened_value(guide, x, y, model=regression):
    """The exact ELBO: the objective's KL, which has no noise, and the enumerated likelihood."""
    hard = guide.harden()
    kl = MeanFieldELBO().terms(model, hard, x, y).total_kl
    return expected_log_likelihood(hard, x, y, NOISE) - kl


def optimise(value, parameters, steps=200):
    """Maximise a deterministic function by L-BFGS."""
    optimiser = torch.optim.LBFGS(
        parameters, max_iter=steps, tolerance_grad=1e-9, line_search_fn="strong_wolfe"
    )

    def closure():
        optimiser.zero_grad()
        loss = -value()
        loss.backward()
        return loss

    optimiser.step(closure)
    return value().item()


def hardened_in_place(guide):
    """Binary gates on the guide itself, so that its own parameters are optimised."""
    guide.hardened = True
    return guide


def optimum(x, y):
    guide = hardened_in_place(AutoHardConcrete(regression, (x, y)))

    def value():
        return (
            expected_log_likelihood(guide, x, y, NOISE)
            - MeanFieldELBO().terms(regression, guide, x, y).total_kl
        )

    return optimise(value, list(guide.parameters())), guide


def test_the_reference_agrees_with_conjugate_algebra():
    """One column: log p(y | z = 1) by the posterior of theta instead of the covariance of y."""
    x, y = problem(1)
    precision = x.square().sum() / NOISE**2 + 1 / SLAB**2
    mean = (x[:, 0] @ y) / NOISE**2 / precision
    null = dist.Normal(0.0, NOISE).log_prob(y).sum()
    expected = null + 0.5 * (precision * mean**2) - 0.5 * torch.log(precision) - math.log(SLAB)
    torch.testing.assert_close(log_marginals(x, y, NOISE, SLAB), torch.stack([null, expected]))
    assert all_models(3).tolist()[5] == [1.0, 0.0, 1.0]


P = 4
FINITE = {"allow_nan": False, "allow_infinity": False}
VECTOR = {"min_size": P, "max_size": P}


@settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    log_alpha=st.lists(st.floats(-12.0, 12.0, **FINITE), **VECTOR),
    loc=st.lists(st.floats(-3.0, 3.0, **FINITE), **VECTOR),
    scale=st.lists(st.floats(0.01, 3.0, **FINITE), **VECTOR),
    temperature=st.floats(0.05, 2.0, **FINITE),
    correlation=st.sampled_from([0.0, 0.5, 0.95]),
    seed=st.integers(0, 5),
)
def test_the_hardened_elbo_is_a_lower_bound(log_alpha, loc, scale, temperature, correlation, seed):
    x, y = problem(P, seed=seed, correlation=correlation)
    guide = set_laws(AutoHardConcrete(regression, (x, y), temperature=temperature), log_alpha, loc, scale)
    evidence, _ = posterior(x, y, NOISE, SLAB, PI)
    assert hardened_value(guide, x, y).item() <= evidence.item() + 1e-9


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_the_bound_at_its_best_with_twelve_columns(correlation):
    """Even the best factorised guide stays below, and correlation is what keeps it there."""
    x, y = problem(12, n=40, correlation=correlation)
    evidence, _ = posterior(x, y, NOISE, SLAB, PI)
    best, guide = optimum(x, y)
    assert best <= evidence.item() + 1e-9
    assert evidence.item() - best < (2.0 if correlation == 0.0 else 8.0)
    assert evidence.item() - best > 0.02
    torch.testing.assert_close(best, hardened_value(guide, x, y).item())


def test_sampled_elbos_have_the_enumerated_mean():
    """What the objective estimates by draws is what the enumeration computes."""
    x, y = problem(P)
    guide = AutoHardConcrete(regression, (x, y)).perturb(1, gates=1.0, locs=0.5)
    exact = hardened_value(guide, x, y).item()
    elbo = MeanFieldELBO(num_particles=20_000, vectorize_particles=True, max_plate_nesting=1)
    estimates = torch.tensor([-elbo.loss(regression, guide.harden(), x, y) for _ in range(10)])
    assert abs(estimates.mean().item() - exact) < 4.0 * estimates.std().item() / math.sqrt(10)


def test_an_orthogonal_design_makes_the_bound_tight():
    """The posterior factorises, the family holds it, and the optimum is the posterior itself."""
    q, _ = torch.linalg.qr(torch.randn(30, 6))
    x = 5.0 * q
    y = x @ torch.tensor([0.5, 0.0, 0.25, 0.0, 0.15, -0.2]) + NOISE * torch.randn(30)
    evidence, inclusion = posterior(x, y, NOISE, SLAB, PI)
    best, guide = optimum(x, y)
    assert best == pytest.approx(evidence.item(), abs=1e-6)
    torch.testing.assert_close(
        guide.gates()["beta.gate"].prob_active.detach(), inclusion, atol=1e-4, rtol=0.0
    )
    assert ((inclusion > 0.1) & (inclusion < 0.9)).any()  # at least one gate is an open question
    # given an open gate the slab has its conjugate posterior
    precision = 25.0 / NOISE**2 + 1 / SLAB**2
    slab = guide.laws()["beta.slab"].base
    torch.testing.assert_close(slab.loc.detach(), (x.T @ y) / NOISE**2 / precision, atol=1e-4, rtol=0.0)
    torch.testing.assert_close(slab.scale.detach(), torch.full((6,), precision**-0.5), atol=1e-4, rtol=0.0)


# ---- a relaxed guide under a relaxed prior ----------------------------------------------------------


def moments(law):
    """E[z] and E[z^2] of a hard concrete, by a fine trapezoid over its uniform noise."""
    u = (torch.arange(200_000) + 0.5) / 200_000
    z = law.unclipped_icdf(u[:, None]).clamp(0.0, 1.0)
    return z.mean(0), z.square().mean(0)


@pytest.mark.parametrize("seed", range(6))
def test_a_hard_concrete_prior_gives_a_bound_without_hardening(seed):
    """One weight; the evidence integrates the prior's mixed measure over z."""
    prior = HardConcrete(-0.5, 0.5)

    def model(x, y):
        beta = spike_and_slab("beta", prior, dist.Normal(0.0, SLAB).expand([1]).to_event(1))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal((x * beta).sum(-1), NOISE), obs=y)

    x, y = problem(1, seed=seed)
    z = prior.unclipped_icdf((torch.arange(20_000) + 0.5) / 20_000).clamp(0.0, 1.0)
    size = (x[:, 0] @ x[:, 0]) * (SLAB * z / NOISE).square()
    fit = (x[:, 0] @ y).square() * (SLAB * z).square() / NOISE**4 / (1.0 + size)
    null = dist.Normal(0.0, NOISE).log_prob(y).sum()
    evidence = (null - 0.5 * torch.log1p(size) + 0.5 * fit).logsumexp(0) - math.log(len(z))

    guide = AutoHardConcrete(model, (x, y), temperature=0.4)
    values = []
    for restart in range(20):
        guide.perturb(100 * seed + restart, gates=0.7, locs=0.4)
        law, slab = guide.gates()["beta.gate"], guide.laws()["beta.slab"].base
        first, second = moments(law)
        cross = 2 * first * slab.loc * (x[:, 0] @ y)
        square = second * (slab.loc.square() + slab.scale.square()) * x.square().sum()
        likelihood = null + (cross - square) / (2 * NOISE**2)
        values.append((likelihood - MeanFieldELBO().terms(model, guide, x, y).total_kl).item())
    assert max(values) <= evidence.item()
    assert max(values) > evidence.item() - 60.0  # within sight of it, so that the comparison means something
