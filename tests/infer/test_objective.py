"""Each row of the map of objectives is called by its name, and claims no more than it is."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer.autoguide import AutoDelta, AutoGuideList, AutoMultivariateNormal, AutoNormal

from l0bayes.distributions import (
    BernoulliGate,
    BinaryConcrete,
    Gate,
    GatedSlab,
    HardConcrete,
    HardKumaraswamy,
    L0Penalty,
    L2Penalty,
    RectifiedNormal,
)
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import describe_objective
from l0bayes.sites import HiddenSiteWarning, spike_and_slab
from tests.infer.fitting import X, Y, dense, regression


def described(prior, slab_prior=None, *, hard=False, **options):
    def model():
        spike_and_slab("w", prior, slab_prior)

    guide = AutoHardConcrete(model, **options)
    return describe_objective(model, guide.harden() if hard else guide, ())


def test_a_penalty_and_a_point_is_the_l0_objective():
    found = described(L0Penalty(2.0), L2Penalty(0.0), slab="delta")
    assert found.name == "L0 objective (Eq. 18)"
    assert not found.is_bound
    assert "not a posterior" in found.note
    assert (found.relaxation, found.slab) == ("HardConcrete", "Delta")


def test_a_penalty_stays_no_bound_with_a_normal_slab():
    found = described(L0Penalty(2.0))
    assert found.name == "L0 objective (Eq. 18)"
    assert not found.is_bound
    assert found.slab == "Normal"


def test_a_gate_prior_and_a_point_is_eq_17():
    found = described(Gate(0.1), slab="delta")
    assert found.name == "Eq. 17 (activity KL, point slab)"
    assert not found.is_bound
    assert "the slab is a point" in found.note
    assert found.slab == "Delta"


@pytest.mark.parametrize("prior", [0.1, torch.tensor(0.2), Gate(log_odds=-3.0)])
def test_a_gate_prior_and_a_normal_is_spike_and_slab_vi(prior):
    found = described(prior)
    assert found.name == "spike-and-slab VI with relaxed gates (activity KL)"
    assert not found.is_bound
    assert "hardened ELBO" in found.note
    assert (found.relaxation, found.slab) == ("HardConcrete", "Normal")


def test_a_hard_concrete_prior_gives_a_bound():
    found = described(HardConcrete(-1.0, 2 / 3))
    assert found.name == "ELBO with a hard concrete prior"
    assert found.is_bound
    assert "mixed measure" in found.note


def test_a_hard_concrete_prior_and_a_point_gives_none():
    found = described(HardConcrete(-1.0, 2 / 3), slab="delta")
    assert found.name == "ELBO with a hard concrete prior"
    assert not found.is_bound
    assert found.note.startswith("the slab is a point")


def test_any_gate_law_with_atoms_is_a_prior_in_the_mixed_measure():
    def found(prior, law):
        def model():
            pyro.sample("z", prior)

        def guide():
            pyro.sample("z", law)

        return describe_objective(model, guide, ())

    for law in (RectifiedNormal(0.2), BernoulliGate(0.5)):
        objective = found(RectifiedNormal(0.5), law)
        assert objective.name == "ELBO with a rectified normal prior"
        assert objective.is_bound
    objective = found(HardKumaraswamy(0.1, 0.2), HardKumaraswamy(0.0, 0.0))
    assert objective.name == "ELBO with a hard kumaraswamy prior"
    assert found(BernoulliGate(0.1), BernoulliGate(0.5)).name == "ELBO of the strict spike and slab"
    assert "never shut" in found(BinaryConcrete(0.1), BinaryConcrete(0.5)).name


def test_binary_gates_give_the_strict_elbo():
    found = described(Gate(0.1), hard=True)
    assert found.name == "ELBO of the strict spike and slab"
    assert found.is_bound
    assert found.relaxation == "BernoulliGate"
    assert not described(Gate(0.1), hard=True, slab="delta").is_bound


def test_concrete_dropout_is_eq_17_with_plain_concrete_gates():
    def model():
        prior = L2Penalty(1.0).expand([2, 3]).to_event(2)
        spike_and_slab("w", Gate(0.5), prior, gate_shape=(1, 3))

    def guide():
        law = BinaryConcrete(torch.zeros(1, 3), 0.1)
        pyro.sample("w.gate", law.to_event(2))
        slab = GatedSlab(dist.Delta(torch.ones(2, 3)), law.prob_active.expand(2, 3))
        pyro.sample("w.slab", slab.to_event(2))

    found = describe_objective(model, guide, ())
    assert found.name == "Eq. 17 (activity KL, point slab)"
    assert not found.is_bound
    assert (found.relaxation, found.slab) == ("BinaryConcrete", "Delta")


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        (Gate(0.1), L0Penalty(1.0), "L0 objective (Eq. 18)"),
        (HardConcrete(0.0, 0.5), L0Penalty(1.0), "L0 objective (Eq. 18)"),
        (HardConcrete(0.0, 0.5), Gate(0.1), "spike-and-slab VI with relaxed gates (activity KL)"),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_the_weakest_claim_of_any_gate_is_the_claim_of_all(first, second, name, swapped):
    first, second = (second, first) if swapped else (first, second)

    def model():
        spike_and_slab("a", first)
        spike_and_slab("b", second)

    found = describe_objective(model, AutoHardConcrete(model), ())
    assert found.name == name
    assert not found.is_bound


def test_gates_in_event_dimensions_and_plates_are_seen():
    def model():
        with pyro.plate("units", 3):
            spike_and_slab("w", L0Penalty(1.0), dist.Normal(0.0, 1.0).expand([3, 2]).to_event(1))

    assert describe_objective(model, AutoHardConcrete(model), ()).name == "L0 objective (Eq. 18)"


# ---- models without gates ----------------------------------------------------------------------------


@pytest.mark.parametrize("guide", [AutoNormal, AutoMultivariateNormal])
def test_without_gates_it_is_the_elbo(guide):
    found = describe_objective(dense, guide(dense), (X, Y))
    assert found.name == "ELBO"
    assert found.is_bound
    assert (found.relaxation, found.slab) == ("none", "none")


def test_a_point_estimate_of_a_model_without_gates_is_no_bound():
    """The joint density at a point may exceed the evidence by any amount."""
    found = describe_objective(dense, AutoDelta(dense), (X, Y))
    assert not found.is_bound
    assert "point" in found.note


@pytest.mark.parametrize(("rest", "is_bound"), [(AutoNormal, True), (AutoDelta, False)])
def test_points_for_other_latents_count_too(rest, is_bound):
    def model(x, y):
        sigma = pyro.sample("sigma", dist.LogNormal(0.0, 1.0))
        beta = spike_and_slab("beta", HardConcrete(0.0, 0.5), dist.Normal(0.0, 1.0).expand([3]).to_event(1))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(x @ beta, sigma), obs=y)

    guide = AutoGuideList(model)
    guide.append(AutoHardConcrete(poutine.block(model, hide=["sigma"]), (X, Y)))
    guide.append(rest(poutine.block(model, expose=["sigma"])))
    found = describe_objective(model, guide, (X, Y))
    assert found.name == "ELBO with a hard concrete prior"
    assert found.is_bound is is_bound


# ---- side effects and refusals -----------------------------------------------------------------------


def test_the_parameter_store_is_left_alone():
    describe_objective(regression, AutoHardConcrete(regression, (X, Y)), (X, Y))
    assert not list(pyro.get_param_store())


def test_a_guide_that_does_not_cover_the_model():
    with pytest.warns(HiddenSiteWarning, match=r"'beta\.gate'"):
        guide = AutoHardConcrete(poutine.block(regression, hide=["beta.gate"]), (X, Y))
    with pytest.raises(ValueError, match=r"gate site 'beta.gate' of the model is not covered"):
        describe_objective(regression, guide, (X, Y))


def test_gates_without_zeros_are_called_a_surrogate():
    class AutoPlainConcrete(AutoHardConcrete):
        def relaxed_law(self, **parameters):
            return BinaryConcrete(parameters["log_alpha"], self.temperature)

    def model():
        spike_and_slab("w", Gate(0.1))

    found = describe_objective(model, AutoPlainConcrete(model), ())
    assert found.name == "VI with gates that never shut (activity KL)"
    assert not found.is_bound
    assert found.relaxation == "BinaryConcrete"
