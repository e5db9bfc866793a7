"""The strict ELBO: below the evidence, equal to its formula, the same for a penalty and its strict prior."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer.autoguide import AutoNormal

from l0bayes.distributions import BernoulliGate, Gate, HardConcrete, L0Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import hardened_elbo
from l0bayes.infer.objectives.hardened_elbo import StrictPriors
from l0bayes.sites import spike_and_slab
from tests.infer import exact
from tests.infer.fitting import same_state, short, state_of
from tests.infer.problems import NOISE, Parameters, X, Y, bernoulli_kl, guide_of, regression

pytestmark = pytest.mark.usefixtures("float64")


def strict_elbo(guide, pi, slab=1.0):
    """The exact value on the small regression: enumerated likelihood, closed KLs."""
    q = Parameters(guide)
    kl = bernoulli_kl(q.active, pi).sum() + (q.active * q.slab_kl(slab)).sum()
    return (exact.expected_log_likelihood(guide.harden(), X, Y, NOISE) - kl).item()


@pytest.mark.parametrize("seed", range(4))
def test_the_estimate_is_the_formulas_value(seed):
    guide = guide_of(regression(), seed=seed)
    found = hardened_elbo(regression(), guide, (X, Y), num_draws=4000, seed=seed)
    assert found.value == pytest.approx(strict_elbo(guide, 0.2), abs=4.0 * found.standard_error)
    assert found.num_draws == 4000


def test_the_standard_error_is_the_spread_of_repeated_estimates():
    guide = guide_of(regression())
    found = [hardened_elbo(regression(), guide, (X, Y), num_draws=50, seed=s) for s in range(60)]
    spread = torch.tensor([one.value for one in found]).std().item()
    mean_error = sum(one.standard_error for one in found) / len(found)
    assert spread == pytest.approx(mean_error, rel=0.4)


@pytest.mark.parametrize("temperature", [0.1, 2 / 3])
def test_a_trained_guide_lies_below_the_log_evidence(temperature):
    model = regression()
    guide = guide_of(model, temperature=temperature)
    before = hardened_elbo(model, guide, (X, Y))
    short(model, guide, (X, Y), steps=400, lr=0.02, compile="graph")
    evidence, _ = exact.posterior(X, Y, NOISE, 1.0, 0.2)
    found = hardened_elbo(model, guide, (X, Y), num_draws=3000)
    assert found.is_bound
    assert found.value + 5.0 * found.standard_error < evidence
    assert found.value > evidence - 3.0  # nearly orthogonal columns: the bound is close
    assert found.value > before.value + 5.0
    assert found.value == pytest.approx(strict_elbo(guide, 0.2), abs=4.0 * found.standard_error)


# ---- penalties and priors ----------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [0.0, 1.5, 40.0])
def test_a_penalty_counts_as_its_strict_prior(penalty):
    """Equal up to rounding to the model that has Gate(sigmoid(-penalty)) written out."""
    guide = guide_of(regression(L0Penalty(penalty)))
    one = hardened_elbo(regression(L0Penalty(penalty)), guide, (X, Y), num_draws=20)
    other = hardened_elbo(regression(Gate(log_odds=-penalty)), guide, (X, Y), num_draws=20)
    assert one.value == pytest.approx(other.value, rel=1e-12)
    if penalty < 30:
        prior = Gate(1.0 / (1.0 + math.exp(penalty)))
        third = hardened_elbo(regression(prior), guide, (X, Y), num_draws=20)
        assert one.value == pytest.approx(third.value, rel=1e-9)


def test_the_handler_leaves_other_priors_and_shapes_alone():
    def model():
        spike_and_slab("a", L0Penalty(2.0), dist.Normal(0.0, 1.0).expand([3, 2]).to_event(2))
        spike_and_slab("b", Gate(0.3))
        spike_and_slab("c", HardConcrete(0.0, 0.5))

    trace = pyro.poutine.trace(StrictPriors()(model)).get_trace()
    gate = trace.nodes["a.gate"]["fn"]
    assert isinstance(gate.base_dist, Gate)
    assert gate.event_shape == (3, 2)
    torch.testing.assert_close(gate.base_dist.inclusion_logits, torch.full((3, 2), -2.0))
    assert isinstance(trace.nodes["b.gate"]["fn"], Gate)
    assert trace.nodes["b.gate"]["fn"].inclusion == 0.3
    assert isinstance(trace.nodes["c.gate"]["fn"], HardConcrete)


def test_a_hard_concrete_prior_charges_the_atoms():
    prior = HardConcrete(-1.0, 0.5)
    guide = guide_of(regression(prior))
    q = Parameters(guide).active
    shut, one = torch.sigmoid(-prior.activity_logits), torch.sigmoid(prior.saturation_logits)
    gates = (q * (q / one).log() + (1 - q) * ((1 - q) / shut).log()).sum()
    kl = gates + (q * Parameters(guide).slab_kl()).sum()
    expected = exact.expected_log_likelihood(guide.harden(), X, Y, NOISE) - kl
    found = hardened_elbo(regression(prior), guide, (X, Y), num_draws=2000)
    assert found.value == pytest.approx(expected.item(), abs=4 * found.standard_error)
    assert found.is_bound


def test_a_point_slab_gives_no_bound():
    guide = guide_of(regression(), slab="delta")
    found = hardened_elbo(regression(), guide, (X, Y), num_draws=10)
    assert not found.is_bound
    assert str(found).endswith("no bound on the log evidence")


def test_other_latents_are_hardened_nowhere():
    """A latent scale stays: its KL is sampled with the likelihood."""

    def model(x, y):
        sigma = pyro.sample("sigma", dist.LogNormal(0.0, 0.5))
        beta = spike_and_slab("beta", 0.2, dist.Normal(0.0, 1.0).expand([4]).to_event(1))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(x @ beta, sigma), obs=y)

    guide = AutoHardConcrete(model, (X, Y)).perturb(1)
    found = hardened_elbo(model, guide, (X, Y), num_draws=4000, seed=1)
    generator = torch.Generator().manual_seed(2)
    laws = guide.harden().laws()
    total = []
    for _ in range(2000):
        z = torch.bernoulli(laws["beta.gate"].prob_active, generator=generator)
        slab = laws["beta.slab"].base
        theta = slab.loc + slab.scale * torch.randn(4, generator=generator)
        q = laws["sigma"]
        sigma = torch.exp(q.loc + q.scale * torch.randn((), generator=generator))
        likelihood = dist.Normal(X @ (z * theta), sigma).log_prob(Y).sum()
        total.append(likelihood + dist.LogNormal(0.0, 0.5).log_prob(sigma) - q.log_prob(sigma))
    draws = torch.stack(total)
    active, slab = laws["beta.gate"].prob_active, laws["beta.slab"].base
    kl = (
        bernoulli_kl(active, 0.2).sum()
        + (active * torch.distributions.kl_divergence(slab, dist.Normal(0.0, 1.0))).sum()
    )
    error = math.hypot(found.standard_error, (draws.std() / 2000**0.5).item())
    assert found.value == pytest.approx((draws.mean() - kl).item(), abs=4.0 * error)


# ---- behaviour ---------------------------------------------------------------------------------------


def test_equal_seeds_give_equal_values_and_nothing_else_changes():
    model = regression()
    guide = guide_of(model)
    state, generator = state_of(guide), torch.get_rng_state()
    one = hardened_elbo(model, guide, (X, Y), num_draws=30, seed=3)
    assert torch.equal(torch.get_rng_state(), generator)
    torch.rand(5)
    assert hardened_elbo(model, guide, (X, Y), num_draws=30, seed=3) == one
    assert hardened_elbo(model, guide, (X, Y), num_draws=30, seed=4) != one
    assert same_state(state_of(guide), state)
    assert not isinstance(guide.gates()["beta.gate"], BernoulliGate)
    assert not list(pyro.get_param_store())


def test_it_reads_as_a_number_and_as_a_sentence():
    found = hardened_elbo(regression(), guide_of(regression()), (X, Y), num_draws=30)
    assert float(found) == found.value
    assert str(found) == (
        f"{found.value:.2f} ± {found.standard_error:.2f} nats, a lower bound on the log evidence"
    )


def test_a_guide_that_cannot_be_hardened():
    with pytest.raises(TypeError, match=r"guide must have harden\(\).*got AutoNormal"):
        hardened_elbo(regression(), AutoNormal(regression()), (X, Y))


@pytest.mark.parametrize("count", [1, 0, -3])
def test_too_few_draws(count):
    with pytest.raises(ValueError, match=f"num_draws must be at least 2 for a standard error, got {count}"):
        hardened_elbo(regression(), guide_of(regression()), (X, Y), num_draws=count)
