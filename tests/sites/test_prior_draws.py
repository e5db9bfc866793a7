"""Prior draws have the law that the priors say."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive

from l0bayes.distributions import Gate, HardConcrete, L0Penalty
from l0bayes.sites import gate, spike_and_slab

N = 40_000


def standard_errors(draws, expected):
    """Distance of the mean of independent draws in [0, 1] from its expectation, in standard errors."""
    spread = math.sqrt(expected * (1.0 - expected) / draws.numel())
    return abs(draws.double().mean().item() - expected) / spread


@pytest.mark.parametrize("inclusion", [0.02, 0.5, 0.93])
def test_gates_are_binary_with_the_prior_frequency(inclusion):
    draws = gate("g", inclusion, [N]).value
    assert torch.all((draws == 0) | (draws == 1))
    assert standard_errors(draws, inclusion) < 4.0


def test_a_tensor_of_inclusions_is_elementwise():
    inclusion = torch.tensor([0.05, 0.5, 0.9])
    with pyro.plate("draws", N):
        draws = gate("g", inclusion, [3]).value
    assert draws.shape == (N, 3)
    for column, expected in zip(draws.T, inclusion.tolist(), strict=True):
        assert standard_errors(column, expected) < 4.0


def test_expected_active_is_the_mean_number_of_open_gates():
    with pyro.plate("draws", N // 20):
        draws = gate("g", shape=[20], expected_active=3.0).value
    assert standard_errors(draws, 3.0 / 20) < 4.0


@pytest.mark.parametrize("penalty", [0.0, 1.5, 4.0])
def test_a_penalty_draws_from_its_normalised_form(penalty):
    draws = gate("g", L0Penalty(penalty), [N]).value
    assert torch.all((draws == 0) | (draws == 1))
    assert standard_errors(draws, 1.0 / (1.0 + math.exp(penalty))) < 4.0


def test_a_hard_concrete_prior_draws_atoms_and_an_interior():
    prior = HardConcrete(-0.5, 0.5)
    draws = gate("g", prior, [N]).value
    zero, one = draws == 0, draws == 1
    assert ((draws >= 0) & (draws <= 1)).all()
    for part, expected in [(zero, 1.0 - prior.prob_active.item()), (one, prior.prob_one.item())]:
        assert standard_errors(part, expected) < 4.0
    assert 0.2 * N < (~zero & ~one).sum() < 0.8 * N


def test_a_prior_object_given_by_the_user_is_left_alone():
    prior = HardConcrete(torch.zeros(1), 0.5)
    gate("g", prior, [4])
    assert prior.batch_shape == (1,)
    assert prior.site_name is None


def latent_inclusion(size):
    pi = pyro.sample("pi", dist.Beta(2.0, 6.0))
    return spike_and_slab("w", pi.unsqueeze(-1), dist.Normal(0.0, 1.0).expand([size]).to_event(1))


def test_a_latent_inclusion_is_shared_by_its_gates():
    """Gates with π ~ Beta(a, b) are exchangeable: P(two are open) = E[π²], not E[π]²."""
    draws = Predictive(latent_inclusion, num_samples=20_000, parallel=True)(2)["w.gate"]
    both = (draws.flatten(0, -2).sum(-1) == 2).float()
    second_moment = 2.0 * 3.0 / (8.0 * 9.0)  # a (a + 1) / ((a + b)(a + b + 1))
    assert standard_errors(both, second_moment) < 4.0
    assert standard_errors(both, 0.25**2) > 4.0  # what independent gates would show


def test_a_latent_inclusion_reaches_the_gate_prior():
    trace = poutine.trace(poutine.condition(latent_inclusion, {"pi": torch.tensor(0.125)})).get_trace(5)
    prior = trace.nodes["w.gate"]["fn"].base_dist
    assert isinstance(prior, Gate)
    torch.testing.assert_close(prior.inclusion_probability, torch.full((5,), 0.125))


def test_a_latent_slab_scale_is_shared_by_its_slabs():
    """Slabs with one scale τ ~ HalfNormal are dependent in size: corr(θ₁², θ₂²) = 1/4."""

    def model():
        tau = pyro.sample("tau", dist.HalfNormal(1.0))
        spike_and_slab("w", 0.5, dist.Normal(0.0, tau.unsqueeze(-1).expand(*tau.shape, 2)).to_event(1))

    slabs = Predictive(model, num_samples=20_000, parallel=True)()["w.slab"].reshape(-1, 2)
    # τ² is chi-squared: E[τ⁴] = 3, E[τ²]² = 1, E[θ⁴ | τ] = 3 τ⁴, so corr = (3 - 1) / (9 - 1)
    ratio = (slabs.square().prod(-1)).mean() / slabs.square().mean() ** 2
    assert ratio == pytest.approx(3.0, abs=0.6)


def test_the_effective_weight_has_an_atom_at_zero_of_the_right_size():
    weights = Predictive(
        lambda: spike_and_slab("w", 0.2, dist.Normal(3.0, 0.5).expand([N]).to_event(1)), num_samples=1
    )()["w"]
    assert standard_errors((weights != 0).float(), 0.2) < 4.0
    assert weights[weights != 0].mean() == pytest.approx(3.0, abs=4 * 0.5 / math.sqrt(0.2 * N))
