"""What is read from a guide: draws, medians, quantiles, gate laws, the hardened copy, restarts."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Predictive
from scipy import stats

from l0bayes.distributions import BernoulliGate, GateLaw, HardConcrete
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import MeanFieldELBO
from l0bayes.sites import spike_and_slab
from l0bayes.testing.guide_models import X, Y, regression, same_state, state_of, two_layers


@pytest.fixture
def guide():
    return AutoHardConcrete(regression, (X, Y)).perturb(9, gates=2.0, locs=0.5)


def test_the_start_has_the_activity_asked_for():
    for active, temperature, stretch in [
        (0.5, 2 / 3, (-0.1, 1.1)),
        (0.9, 0.1, (-0.3, 1.2)),
        (0.02, 1.0, (-0.1, 1.1)),
    ]:
        guide = AutoHardConcrete(
            regression, (X, Y), temperature=temperature, stretch=stretch, init_active=active
        )
        law = guide.gates()["beta.gate"]
        torch.testing.assert_close(law.prob_active, torch.full((4,), active))
        assert law.stretch == stretch
        torch.testing.assert_close(law.temperature, torch.full((4,), temperature))


def test_slabs_start_where_the_model_or_the_user_says():
    init = torch.tensor([1.0, -2.0, 3.0])

    def model():
        normal = dist.Normal(5.0, 1.0).expand([3]).to_event(1)
        spike_and_slab("told", 0.5, normal, init=init)
        spike_and_slab("free", 0.5, normal)
        pyro.sample("scale", dist.LogNormal(0.0, 1.0))

    guide = AutoHardConcrete(model, init_loc_fn=pyro.infer.autoguide.init_to_median, init_scale=0.02)
    laws = guide.laws()
    torch.testing.assert_close(laws["told.slab"].base.loc, init)
    torch.testing.assert_close(laws["told.slab"].base.scale, torch.full((3,), 0.02))
    assert (laws["free.slab"].base.loc - 5.0).abs().max() < 2.0  # the median of the prior, drawn 15 times
    torch.testing.assert_close(laws["scale"].scale, torch.tensor(0.02))

    with torch.no_grad():
        init.fill_(0.0)
    torch.testing.assert_close(guide.laws()["told.slab"].base.loc, torch.tensor([1.0, -2.0, 3.0]))


def test_the_penalty_slab_starts_at_zero_unless_told():
    from l0bayes.distributions import L0Penalty, L2Penalty

    def model():
        penalty = L2Penalty(0.0).expand([3]).to_event(1)
        spike_and_slab("free", L0Penalty(1.0), penalty)
        spike_and_slab("told", L0Penalty(1.0), penalty, init=torch.ones(3))

    laws = AutoHardConcrete(model, slab="delta").laws()
    assert torch.equal(laws["free.slab"].base.v, torch.zeros(3))
    assert torch.equal(laws["told.slab"].base.v, torch.ones(3))


# ---- draws -----------------------------------------------------------------------------------------


def test_predictive_draws_follow_the_laws(guide):
    draws = Predictive(regression, guide=guide, num_samples=4000, parallel=True)(X)
    gates, slabs = (draws[name].reshape(4000, 4) for name in ("beta.gate", "beta.slab"))
    law, slab = guide.gates()["beta.gate"], guide.laws()["beta.slab"].base
    for part, expected in [((gates == 0), 1 - law.prob_active), ((gates == 1), law.prob_one)]:
        error = (part.float().mean(0) - expected) / (expected * (1 - expected) / 4000).sqrt()
        assert error.abs().max() < 4.5
    assert (((slabs.mean(0) - slab.loc) / (slab.scale / math.sqrt(4000))).abs() < 4.5).all()
    assert torch.equal(draws["beta"].reshape(4000, 4), gates * slabs)
    assert draws["y"].reshape(4000, -1).shape == (4000, len(X))


def test_predictive_draws_one_by_one_too(guide):
    draws = Predictive(regression, guide=guide, num_samples=3)(X)
    assert torch.equal(draws["beta"], draws["beta.gate"] * draws["beta.slab"])
    assert draws["mix"].reshape(3, 3).sum(-1) == pytest.approx([1.0, 1.0, 1.0], abs=1e-5)
    assert (draws["sigma"] > 0).all()


# ---- medians and quantiles -------------------------------------------------------------------------


def test_the_median_gate_is_exactly_zero_where_it_is_more_probably_shut(guide):
    median, active = guide.median()["beta.gate"], guide.gates()["beta.gate"].prob_active
    assert 0 < (active < 0.5).sum() < 4
    assert torch.equal(median == 0, active < 0.5)


def test_medians_of_other_sites_are_those_of_their_laws(guide):
    median, laws = guide.median(), guide.laws()
    torch.testing.assert_close(median["beta.slab"], laws["beta.slab"].base.loc)
    torch.testing.assert_close(median["sigma"], laws["sigma"].loc.exp())
    torch.testing.assert_close(median["pi"], torch.sigmoid(laws["pi"].base_dist.loc))
    torch.testing.assert_close(median["intercept"], laws["intercept"].loc)
    assert median["mix"].sum() == pytest.approx(1.0)


def test_quantiles_are_ordered_shaped_and_of_the_laws(guide):
    levels = [0.02, 0.25, 0.5, 0.75, 0.98]
    quantiles = guide.quantiles(levels)
    assert {name: tuple(q.shape) for name, q in quantiles.items()} == {
        "pi": (5,),
        "sigma": (5,),
        "intercept": (5,),
        "mix": (5, 3),
        "beta.gate": (5, 4),
        "beta.slab": (5, 4),
    }
    for name in ("pi", "sigma", "intercept", "beta.slab"):
        assert (quantiles[name].diff(dim=0) > 0).all(), name
    gates, law = quantiles["beta.gate"], guide.gates()["beta.gate"]
    assert (gates.diff(dim=0) >= 0).all()
    for level, row in zip(levels, gates, strict=True):
        assert torch.equal(row == 0, law.prob_active <= 1 - level)
        assert torch.equal(row == 1, law.prob_one >= 1 - level)
    sigma = guide.laws()["sigma"]
    expected = stats.lognorm(s=sigma.scale.item(), scale=math.exp(sigma.loc.item())).ppf(levels)
    assert quantiles["sigma"].tolist() == pytest.approx(expected.tolist(), rel=1e-4)
    torch.testing.assert_close(quantiles["beta.gate"][2], guide.median()["beta.gate"])


def test_quantiles_take_a_tensor_and_point_slabs_have_one_value():
    guide = AutoHardConcrete(regression, (X, Y), slab="delta").perturb(1)
    quantiles = guide.quantiles(torch.tensor([0.1, 0.9]))
    point = guide.laws()["beta.slab"].base.v
    torch.testing.assert_close(quantiles["beta.slab"], torch.stack([point, point]))
    assert not quantiles["beta.slab"].requires_grad


# ---- gate laws -------------------------------------------------------------------------------------


def test_gates_are_the_laws_of_all_gate_sites_and_of_no_other():
    guide = AutoHardConcrete(two_layers, (X, Y))
    gates = guide.gates()
    assert set(gates) == {"rows", "columns"}
    assert all(isinstance(law, GateLaw) for law in gates.values())
    assert set(guide.laws()) == {"rows", "columns", "weight.slab", "bias.slab"}


def test_the_temperature_is_a_live_buffer(guide):
    assert "temperature" in dict(guide.named_buffers())
    before = guide.gates()["beta.gate"].prob_active
    guide.temperature.fill_(0.05)
    law = guide.gates()["beta.gate"]
    torch.testing.assert_close(law.temperature, torch.full((4,), 0.05))
    assert not torch.allclose(law.prob_active, before)


def test_a_slab_behind_several_gates_has_the_product_of_their_activities():
    guide = AutoHardConcrete(two_layers, (X, Y)).perturb(3, gates=1.5)
    rows, columns = (guide.gates()[name].prob_active for name in ("rows", "columns"))
    laws = guide.laws()
    torch.testing.assert_close(laws["weight.slab"].activity, rows[:, None] * columns[None, :])
    torch.testing.assert_close(laws["bias.slab"].activity, rows)

    kl = MeanFieldELBO().terms(two_layers, guide, X, Y).kl
    base = laws["weight.slab"].base
    each = -torch.log(base.scale) + (base.scale**2 + base.loc**2 - 1.0) / 2.0
    torch.testing.assert_close(kl["weight.slab"], (rows[:, None] * columns * each).sum())


def test_gate_parameters_are_those_of_the_gates(guide):
    names = {name for name, p in guide.named_parameters() if any(p is one for one in guide.gate_parameters())}
    assert names == {"log_alpha.beta/gate_unconstrained"}


# ---- hardening -------------------------------------------------------------------------------------


@pytest.mark.parametrize("slab", ["normal", "delta"])
def test_hardening_keeps_the_activity_and_leaves_the_original_alone(slab):
    guide = AutoHardConcrete(regression, (X, Y), slab=slab).perturb(9, gates=2.0)
    before = state_of(guide)
    hard = guide.harden()
    law, relaxed = hard.gates()["beta.gate"], guide.gates()["beta.gate"]
    assert isinstance(law, BernoulliGate)
    assert isinstance(relaxed, HardConcrete)
    torch.testing.assert_close(law.prob_active, relaxed.prob_active)
    assert same_state(before, state_of(guide))
    assert same_state(before, state_of(hard))
    draws = torch.stack([hard(X, Y)["beta.gate"] for _ in range(50)])
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(hard.median()["beta.gate"], (law.prob_active > 0.5).float())

    with torch.no_grad():
        for parameter in hard.parameters():
            parameter.zero_()
    assert same_state(before, state_of(guide))
    inside = torch.stack([guide(X, Y)["beta.gate"] for _ in range(50)])
    assert ((inside > 0) & (inside < 1)).any()


def test_hardening_changes_no_kl_of_activity_and_slab(guide):
    """The activity KL and the slab's weight depend on P(z ≠ 0) alone, which hardening keeps."""
    fixed = {"pi": torch.tensor(0.3)}
    model = pyro.poutine.condition(regression, fixed)
    soft_guide = pyro.poutine.block(guide, hide=["pi"])
    hard_guide = pyro.poutine.block(guide.harden(), hide=["pi"])
    soft = MeanFieldELBO().terms(model, soft_guide, X, Y).kl
    hard = MeanFieldELBO().terms(model, hard_guide, X, Y).kl
    for name in ("beta.gate", "beta.slab"):
        torch.testing.assert_close(hard[name], soft[name])


# ---- restarts --------------------------------------------------------------------------------------


def test_perturb_is_reproducible_and_moves_only_what_it_says():
    def fresh():
        return AutoHardConcrete(regression, (X, Y))

    first, again, other = fresh().perturb(1), fresh().perturb(1), fresh().perturb(2)
    assert same_state(state_of(first), state_of(again))
    assert not same_state(state_of(first), state_of(other))
    before, after = state_of(fresh()), state_of(fresh().perturb(1, gates=0.5, locs=0.0))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"log_alpha.beta/gate_unconstrained"}
    after = state_of(fresh().perturb(1, gates=0.0, locs=0.1))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if name.startswith("loc.")}


def test_perturb_has_the_size_asked_for_and_leaves_the_global_stream_alone():
    def model():
        spike_and_slab("w", 0.5, dist.Normal(0.0, 1.0).expand([4000]).to_event(1))

    guide = AutoHardConcrete(model)
    before = state_of(guide)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    assert guide.perturb(5, gates=0.7, locs=0.2) is guide
    assert torch.equal(torch.rand(3), expected)
    for name, size in [("log_alpha.w/gate_unconstrained", 0.7), ("loc.w/slab_unconstrained", 0.2)]:
        noise = guide.state_dict()[name] - before[name]
        assert noise.std().item() == pytest.approx(size, rel=5 / math.sqrt(8000))


def test_perturb_gives_the_same_noise_in_both_precisions():
    def model():
        spike_and_slab("w", 0.5, dist.Normal(0.0, 1.0).expand([50]).to_event(1))

    single, double = AutoHardConcrete(model).perturb(1), AutoHardConcrete(model).double().perturb(1)
    for name, value in single.state_dict().items():
        torch.testing.assert_close(value.double(), double.state_dict()[name], atol=1e-6, rtol=1e-6)


def test_a_gate_site_that_is_not_there_is_named_with_those_that_are():
    def model():
        spike_and_slab("beta", inclusion=0.5, slab=dist.Normal(0.0, 1.0))

    with pytest.raises(KeyError, match=r"no gate site 'beta'; there are \['beta.gate'\]"):
        AutoHardConcrete(model, ()).gates()["beta"]
