"""Losses of Pyro's that score gates and slabs at their draws are not for guides with a KL of their own."""

import warnings

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import (
    SVI,
    Importance,
    RenyiELBO,
    Trace_ELBO,
    TraceEnum_ELBO,
    TraceGraph_ELBO,
    TraceMeanField_ELBO,
    TraceTMC_ELBO,
)
from pyro.infer.autoguide import AutoGuideList, AutoNormal
from pyro.infer.importance import vectorized_importance_weights

import l0bayes
from l0bayes.guides import AutoBernoulliGates, AutoConcrete, AutoHardConcrete, AutoJointGates
from l0bayes.infer import MeanFieldELBO, StockLossWarning

X = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
Y = X[:, 0]
DATA = (X, Y)


def regression(x, y=None):
    beta = l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    mean = (x * beta).sum(-1)
    with pyro.plate("rows", len(x)):
        return pyro.sample("y", dist.Normal(mean, 1.0), obs=y)


def gates_alone(x, y=None):
    gate = l0bayes.gate("gate", 0.3, [3]).value
    with pyro.plate("rows", len(x)):
        return pyro.sample("y", dist.Normal(x @ gate, 1.0), obs=y)


def step(loss, model=regression, guide=None):
    pyro.clear_param_store()
    guide = AutoHardConcrete(model, DATA) if guide is None else guide
    SVI(model, guide, pyro.optim.Adam({"lr": 0.01}), loss).step(*DATA)


def silent(run, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(*args, **kwargs)


@pytest.mark.filterwarnings("ignore:TraceEnum_ELBO found no sample sites")
@pytest.mark.filterwarnings("ignore:Found no sample sites configured for enumeration")
@pytest.mark.parametrize("loss", [Trace_ELBO, TraceGraph_ELBO, TraceEnum_ELBO, TraceTMC_ELBO, RenyiELBO])
@pytest.mark.parametrize("kind", [AutoHardConcrete, AutoConcrete])
def test_losses_that_score_draws_are_named_with_a_remedy(loss, kind):
    with pytest.warns(
        StockLossWarning, match=rf"^{loss.__name__} is not for .*{kind.__name__}.*MeanFieldELBO"
    ):
        step(loss(), guide=kind(regression, DATA))


def test_weights_by_densities_are_named_with_a_remedy():
    guide = AutoHardConcrete(regression, DATA)
    with pytest.warns(StockLossWarning, match="^Importance is not for .*importance_weighted"):
        Importance(regression, guide, num_samples=2).run(*DATA)
    with pytest.warns(StockLossWarning, match="^vectorized_importance_weights"):
        vectorized_importance_weights(regression, guide, *DATA, num_samples=3, max_plate_nesting=1)


def test_a_part_of_a_list_says_it_too():
    guide = AutoGuideList(regression)
    guide.append(AutoHardConcrete(poutine.block(regression, expose=["beta.gate"]), DATA))
    guide.append(AutoNormal(poutine.block(regression, hide=["beta.gate"])))
    with pytest.warns(StockLossWarning, match="^Trace_ELBO"):
        step(Trace_ELBO(), guide=guide)


def test_it_is_said_once_a_guide_and_loss():
    guide = AutoHardConcrete(regression, DATA)
    with pytest.warns(StockLossWarning):
        step(Trace_ELBO(), guide=guide)
    silent(step, Trace_ELBO(), guide=guide)
    with pytest.warns(StockLossWarning):
        step(RenyiELBO(), guide=guide)


def test_binary_gates_are_scored_right_and_their_slabs_are_not():
    with pytest.warns(StockLossWarning, match="charges the slabs of AutoBernoulliGates in full"):
        step(Trace_ELBO(), guide=AutoBernoulliGates(regression, DATA))
    with pytest.warns(StockLossWarning, match="charges the slabs"):
        step(Trace_ELBO(), guide=AutoHardConcrete(regression, DATA).harden())
    silent(step, Trace_ELBO(), gates_alone, AutoBernoulliGates(gates_alone, DATA))


@pytest.mark.parametrize(
    "run",
    [
        lambda: step(MeanFieldELBO()),
        lambda: step(TraceMeanField_ELBO()),
        lambda: step(Trace_ELBO(), guide=AutoJointGates(regression, DATA)),
        lambda: l0bayes.hardened_elbo(regression, AutoHardConcrete(regression, DATA), DATA, num_draws=3),
    ],
)
def test_what_takes_the_kls_says_nothing(run):
    silent(run)


def test_gates_that_the_guide_does_not_hold_do_not_matter():
    """A gate that is conditioned on is no business of the guide, whose slabs are scored as what they are."""
    open_gates = poutine.condition(regression, {"beta.gate": torch.ones(3)})
    silent(step, Trace_ELBO(), open_gates, AutoHardConcrete(open_gates, DATA))
