"""What Pyro users meet on the way is refused by name, with what to do instead."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

import l0bayes
from l0bayes.guides import AutoBernoulliGates, AutoHardConcrete, AutoJointGates
from l0bayes.posterior import importance_weighted, predict
from l0bayes.sites import HiddenSiteWarning

X = torch.randn(10, 2, generator=torch.Generator().manual_seed(1))
Y = 0.5 * X[:, 0]


def weights():
    return l0bayes.spike_and_slab("b", 0.3, dist.Normal(0.0, 1.0).expand([2]).to_event(1))


def model(x, y):
    mean = x @ weights()
    with pyro.plate("rows", len(x)):
        pyro.deterministic("twice", 2.0 * mean)
        pyro.sample("y", dist.Normal(mean, 0.7), obs=y)


def with_param(x, y):
    mean = x @ weights() + pyro.param("shift", torch.zeros(()))
    with pyro.plate("rows", len(x)):
        pyro.sample("y", dist.Normal(mean, 0.7), obs=y)


@pytest.mark.parametrize(
    ("family", "loss"), [(AutoBernoulliGates, r"MeanFieldELBO\(\)"), (AutoJointGates, r"guide.objective\(\)")]
)
def test_the_loss_that_is_named_takes_the_guide(family, loss):
    pyro.clear_param_store()
    guide = family(with_param, (X, Y))
    with pytest.raises(ValueError, match=rf"train with pyro.infer.SVI and the loss {loss}"):
        l0bayes.fit(with_param, guide, (X, Y), steps=2, progress=False, compile="eager")


@pytest.mark.parametrize(
    ("hidden", "message"),
    [
        (["b.gate"], "'b.gate', which the slab 'b.slab' is linked to, is hidden"),
        (["b.slab"], "'b.slab', which the weight 'b' is linked to, is hidden"),
    ],
)
def test_a_hidden_gate_or_slab_is_named_where_the_guide_is_built_and_where_it_is_read(hidden, message):
    part = poutine.block(model, hide=hidden)
    for kind in (AutoBernoulliGates, AutoHardConcrete, AutoJointGates):
        with pytest.warns(HiddenSiteWarning, match=message):
            guide = kind(part, (X, Y))
    with pytest.warns(HiddenSiteWarning, match=message):
        guide = AutoHardConcrete(part, (X, Y))
    for read in (l0bayes.Fit.of, l0bayes.hardened_elbo, importance_weighted):
        with pytest.raises(ValueError, match=message):
            read(part, guide, (X, Y))


@pytest.mark.filterwarnings("ignore::l0bayes.sites.HiddenSiteWarning")
@pytest.mark.parametrize(
    ("hidden", "message"),
    [
        (["b.gate"], "'b.gate', which the slab 'b.slab' is linked to, is hidden"),
        (["b.slab"], "'b.slab', which the weight 'b' is linked to, is hidden"),
    ],
)
def test_a_hidden_gate_or_slab_is_named_before_training(hidden, message):
    part = poutine.block(model, hide=hidden)
    guide = AutoBernoulliGates(part, (X, Y))
    with pytest.raises(ValueError, match=message):
        l0bayes.fit(part, guide, (X, Y), steps=2, progress=False, compile="eager")


def test_a_replayed_model_is_said_to_have_been_replayed():
    guide = AutoBernoulliGates(model, (X, Y))
    replayed = poutine.replay(model, trace=poutine.trace(model).get_trace(X, Y))
    with pytest.raises(ValueError, match=r"hidden or replayed \(poutine.replay writes over"):
        l0bayes.hardened_elbo(replayed, guide, (X, Y), num_draws=2)


def test_a_model_that_returns_nothing_predicts_nothing():
    guide = AutoBernoulliGates(model, (X, Y))
    with pytest.raises(TypeError, match=r"it returned nothing\. Let it return its"):
        predict(model, guide, (X, Y), num_draws=2)


def test_a_refinement_has_its_table_by_its_draws():
    fit = l0bayes.Fit.of(model, AutoBernoulliGates(model, (X, Y)), (X, Y))
    refined = l0bayes.refine(fit)
    with pytest.raises(ValueError, match=r"refinement.to_arviz\(\)"):
        l0bayes.gate_table(refined)
    assert len(l0bayes.gate_table(refined.to_arviz(num_draws=5))) == 2


def test_deterministic_sites_have_the_dimension_of_their_plate():
    fit = l0bayes.Fit.of(model, AutoBernoulliGates(model, (X, Y)), (X, Y))
    assert l0bayes.to_arviz(fit, num_draws=2)["posterior"]["twice"].dims == ("chain", "draw", "rows")


def test_transforms_that_may_mix_weights_are_not_said_to_mix_them():
    shifted = dist.TransformedDistribution(
        dist.Normal(0.0, 1.0).expand([3]).to_event(1),
        [dist.transforms.AffineTransform(0.2, 0.7, event_dim=1)],
    )
    with pytest.raises(ValueError, match=r"its transforms may mix them .* write the law itself"):
        l0bayes.spike_and_slab("b", 0.3, shifted)


def test_a_weight_that_is_given_a_value_has_lost_its_gates():
    def model(x, y):
        w = l0bayes.spike_and_slab("w", 0.3, dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        pyro.sample("y", dist.Normal(x @ w, 1.0).to_event(1), obs=y)

    x, y = torch.ones(3, 2), torch.zeros(3)
    given = pyro.condition(model, {"w": torch.tensor([1.0, 0.0])})
    guide = AutoHardConcrete(given, (x, y))
    for read in (
        lambda: l0bayes.fit(given, guide, (x, y), steps=2, progress=False),
        lambda: l0bayes.hardened_elbo(given, guide, (x, y)),
        lambda: l0bayes.to_arviz(l0bayes.Fit.of(given, guide, (x, y))),
    ):
        with pytest.raises(ValueError, match=r"weight 'w' was given a value .* slab w\.slab"):
            read()
    slab = pyro.condition(model, {"w.slab": torch.tensor([1.0, 0.5])})
    l0bayes.fit(slab, AutoHardConcrete(slab, (x, y)), (x, y), steps=2, progress=False, compile="eager")
