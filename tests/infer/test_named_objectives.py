"""Each objective of the map, term by term against its formula with the same noise."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import TraceMeanField_ELBO
from pyro.infer.autoguide import AutoNormal
from scipy.integrate import quad

from l0bayes.distributions import BinaryConcrete, Gate, GatedSlab, HardConcrete, L0Penalty, L2Penalty
from l0bayes.infer import MeanFieldELBO
from l0bayes.sites import spike_and_slab
from tests.infer.problems import NOISE, Parameters, X, Y, bernoulli_kl, entropy, guide_of, misfit, regression

pytestmark = pytest.mark.usefixtures("float64")

SETTINGS = [(2 / 3, (-0.1, 1.1)), (0.2, (-0.3, 1.2))]


def noise_of_gates(seed):
    torch.manual_seed(seed)
    return torch.rand(4)


def loss_at(seed, model, guide):
    torch.manual_seed(seed)
    return MeanFieldELBO().loss(model, guide, X, Y)


# ---- the paper's objective: L0Penalty and a Delta slab -----------------------------------------------


@pytest.mark.parametrize(("temperature", "stretch"), SETTINGS)
@pytest.mark.parametrize("penalty", [0.0, 0.3, 2.5])
def test_eq_18_is_the_expected_loss_plus_the_expected_l0_norm(penalty, temperature, stretch):
    model = regression(L0Penalty(penalty), L2Penalty(0.0))
    guide = guide_of(model, slab="delta", temperature=temperature, stretch=stretch)
    q = Parameters(guide)
    for seed in range(5):
        z = q.gates(noise_of_gates(seed))
        expected = misfit(z * q.loc) + penalty * q.active.sum()
        assert loss_at(seed, model, guide) == pytest.approx(expected.item(), rel=1e-12)
    terms = MeanFieldELBO().terms(model, guide, X, Y)
    assert set(terms.kl) == {"beta.gate", "beta.slab"}
    assert terms.kl["beta.gate"].item() == pytest.approx(penalty * q.active.sum().item(), rel=1e-12)
    assert terms.kl["beta.slab"] == 0.0


def test_penalties_may_differ_by_weight():
    penalty = torch.tensor([0.1, 1.0, 3.0, 10.0])
    model = regression(L0Penalty(penalty), L2Penalty(0.0))
    guide = guide_of(model, slab="delta")
    found = MeanFieldELBO().terms(model, guide, X, Y).kl["beta.gate"]
    torch.testing.assert_close(found, (penalty * Parameters(guide).active).sum())


@pytest.mark.parametrize("decay", [0.5, torch.tensor(2.0).double()])
def test_weight_decay_is_charged_while_the_gate_is_open(decay):
    """The paper's L2 variant: sum of P(z != 0) decay theta^2 / 2."""
    model = regression(L0Penalty(0.3), L2Penalty(decay))
    guide = guide_of(model, slab="delta")
    q = Parameters(guide)
    for seed in range(3):
        z = q.gates(noise_of_gates(seed))
        weights = (q.active * (0.3 + 0.5 * decay * q.loc.square())).sum()
        assert loss_at(seed, model, guide) == pytest.approx((misfit(z * q.loc) + weights).item(), rel=1e-12)


# ---- Eq. 17: gate KL and a Delta slab ----------------------------------------------------------------


@pytest.mark.parametrize("pi", [0.01, 0.5, 0.9])
def test_eq_17_has_the_gates_kl(pi):
    model = regression(Gate(pi), L2Penalty(0.0))
    guide = guide_of(model, slab="delta")
    q = Parameters(guide)
    expected = misfit(q.gates(noise_of_gates(1)) * q.loc) + bernoulli_kl(q.active, pi).sum()
    assert loss_at(1, model, guide) == pytest.approx(expected.item(), rel=1e-11)


def test_eq_17_with_a_proper_slab_prior_charges_its_density_at_the_point():
    model = regression(Gate(0.2), dist.Normal(0.0, 0.5))
    guide = guide_of(model, slab="delta")
    q = Parameters(guide)
    kl = MeanFieldELBO().terms(model, guide, X, Y).kl["beta.slab"]
    code = 0.5 * (q.loc / 0.5).square() + math.log(0.5 * math.sqrt(2 * math.pi))
    torch.testing.assert_close(kl, (q.active * code).sum())


@pytest.mark.parametrize("penalty", [0.1, 2.0])
def test_the_l0_objective_and_eq_17_differ_by_entropy_and_normaliser(penalty):
    """KL(q || pi) = -H(q) + penalty q - log(1 - pi) at pi = sigmoid(-penalty), so Eq. 18 is no bound."""
    pi = torch.sigmoid(torch.tensor(-penalty))
    l0, eq17 = regression(L0Penalty(penalty), L2Penalty(0.0)), regression(Gate(pi), L2Penalty(0.0))
    guide = guide_of(l0, slab="delta")
    q = Parameters(guide)
    gap = loss_at(2, eq17, guide) - loss_at(2, l0, guide)
    expected = -entropy(q.active).sum() - 4 * torch.log1p(-pi)
    assert gap == pytest.approx(expected.item(), abs=1e-9)


# ---- spike-and-slab VI and its neighbours ------------------------------------------------------------


def test_a_normal_slab_is_charged_by_its_kl_while_the_gate_is_open():
    model = regression(Gate(0.2), dist.Normal(0.0, 2.0))
    guide = guide_of(model)
    q = Parameters(guide)
    for seed in range(3):
        z = q.gates(noise_of_gates(seed))
        theta = dist.Normal(q.loc, q.scale).rsample()
        kl = bernoulli_kl(q.active, 0.2).sum() + (q.active * q.slab_kl(2.0)).sum()
        assert loss_at(seed, model, guide) == pytest.approx((misfit(z * theta) + kl).item(), rel=1e-10)


def force_open(guide):
    with torch.no_grad():
        for parameter in guide.gate_parameters():
            parameter.fill_(60.0)
    return guide


def test_open_gates_leave_plain_gaussian_variational_inference():
    model = regression(Gate(0.2))
    guide = force_open(guide_of(model))
    q = Parameters(guide)
    for seed in range(3):
        noise_of_gates(seed)
        theta = dist.Normal(q.loc, q.scale).rsample()
        plain = misfit(theta) + q.slab_kl().sum()
        # all four gates are open for sure, which costs -log pi each
        assert loss_at(seed, model, guide) == pytest.approx(plain.item() - 4 * math.log(0.2), rel=1e-10)


def test_open_gates_agree_with_pyro_on_the_model_without_gates():
    sparse = regression(Gate(0.2))
    guide = force_open(guide_of(sparse))
    q = Parameters(guide)

    def dense(x, y):
        beta = pyro.sample("beta", dist.Normal(0.0, 1.0).expand([4]).to_event(1))
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("y", dist.Normal((x * beta).sum(-1), NOISE), obs=y)

    reference = AutoNormal(dense)
    reference(X, Y)
    reference.locs.beta, reference.scales.beta = q.loc, q.scale
    batch = {"num_particles": 20_000, "vectorize_particles": True, "max_plate_nesting": 1}
    ours = MeanFieldELBO(**batch).loss(sparse, guide, X, Y)
    stock = TraceMeanField_ELBO(**batch).loss(dense, reference, X, Y)
    # E |y - X theta|^2 in closed form
    exact = misfit(q.loc) + (q.scale.square() * X.square().sum(0)).sum() / (2 * NOISE**2) + q.slab_kl().sum()
    assert ours + 4 * math.log(0.2) == pytest.approx(exact.item(), rel=0.01)
    assert stock == pytest.approx(exact.item(), rel=0.01)


def hard_concrete_parts(log_alpha, beta, gamma, zeta):
    """P(0), P(1) and the density between, from the binary concrete density of Maddison et al."""
    alpha = math.exp(log_alpha)

    def cdf_of_s(s):
        return 1.0 / (1.0 + alpha * ((1.0 - s) / s) ** beta)

    def density(x):
        s = (x - gamma) / (zeta - gamma)
        top = beta * alpha * s ** (-beta - 1.0) * (1.0 - s) ** (-beta - 1.0)
        return top / (alpha * s**-beta + (1.0 - s) ** -beta) ** 2 / (zeta - gamma)

    return cdf_of_s(-gamma / (zeta - gamma)), 1.0 - cdf_of_s((1.0 - gamma) / (zeta - gamma)), density


def hard_concrete_kl(q, p):
    """KL in the mixed measure by adaptive quadrature."""
    (q0, q1, fq), (p0, p1, fp) = q, p
    inside = quad(lambda x: fq(x) * math.log(fq(x) / fp(x)), 0.0, 1.0, epsabs=1e-12, limit=200)[0]
    return q0 * math.log(q0 / p0) + q1 * math.log(q1 / p1) + inside


def test_a_hard_concrete_prior_is_charged_by_the_mixed_measure_kl():
    prior = HardConcrete(-1.0, 0.5, (-0.1, 1.1))
    model = regression(prior)
    guide = guide_of(model, temperature=0.4, stretch=(-0.2, 1.3))
    q = Parameters(guide)
    p_parts = hard_concrete_parts(-1.0, 0.5, -0.1, 1.1)
    exact = sum(
        hard_concrete_kl(hard_concrete_parts(a, q.beta, q.gamma, q.zeta), p_parts)
        for a in q.log_alpha.tolist()
    )
    kl = MeanFieldELBO().terms(model, guide, X, Y).kl
    assert kl["beta.gate"].item() == pytest.approx(exact, rel=1e-8)
    torch.testing.assert_close(kl["beta.slab"], (q.active * q.slab_kl()).sum())


# ---- Concrete Dropout --------------------------------------------------------------------------------


def test_one_tied_concrete_gate_a_layer_is_concrete_dropout():
    """With keep probability 1 - p and kernel W, its code adds, on the scale 2/N of its loss,

    weight: l^2 / N * |W|^2 / (1 - p), dropout: 2/N * (p ln p + (1-p) ln(1-p)) * fan-in,
    where W is the kernel after the inputs are divided by the keep probability: theta = W / (1 - p).
    """
    fan_in, fan_out, length, count, p = 5, 3, 1.3, 100, 0.27
    kernel = torch.randn(fan_out, fan_in)
    log_alpha = torch.tensor(math.log((1 - p) / p))

    def model():
        prior = L2Penalty(length**2).expand([fan_out, fan_in]).to_event(2)
        half = Gate(0.5)
        spike_and_slab("w", half, prior, gate_shape=(1, fan_in))

    def guide():
        law = BinaryConcrete(log_alpha.expand(1, fan_in), 0.1)
        pyro.sample("w.gate", law.to_event(2))
        slab = GatedSlab(dist.Delta(kernel / (1 - p)), law.prob_active.expand(fan_out, fan_in))
        pyro.sample("w.slab", slab.to_event(2))

    found = 2.0 / count * MeanFieldELBO().loss(model, guide)
    weight = length**2 / count * kernel.square().sum().item() / (1 - p)
    dropout = 2.0 / count * (p * math.log(p) + (1 - p) * math.log(1 - p)) * fan_in
    assert found == pytest.approx(weight + dropout + 2.0 / count * fan_in * math.log(2.0), rel=1e-10)
