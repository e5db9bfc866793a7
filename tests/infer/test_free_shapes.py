"""Shapes that depend on values are not captured; parameters that are frozen stay where they are."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Callback, CompilationWarning, GradientStep, MeanFieldELBO
from l0bayes.infer.graphs import refuse_free_shapes
from l0bayes.infer.graphs.free_shapes import FreeShapeError

KNOWN = torch.tensor([True, False, True])
X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
Y = X[:, 0] + 0.1


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x[x > 0],),
        lambda x: (torch.nonzero(x > 0),),
        lambda x: (torch.masked_select(x, x > 0),),
        lambda x: (torch.unique(x),),
        lambda x: (x[x.long().clamp(0, 1).bool()],),
    ],
)
def test_shapes_of_inputs_are_refused(function):
    with pytest.raises(FreeShapeError, match="depends on values"):
        refuse_free_shapes(make_fx(function)(torch.randn(3)))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x[KNOWN],),
        lambda x: (x[torch.nonzero(KNOWN).squeeze(1)],),
        lambda x: (x[torch.tensor([0, 2])],),
        lambda x: (torch.where(x > 0, x, 0.0),),
    ],
)
def test_shapes_of_constants_are_captured(function):
    refuse_free_shapes(make_fx(function)(torch.randn(3)))


def chosen_rows(x, y):
    known = ~torch.isnan(y)
    beta = l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    with pyro.plate("rows", len(y), subsample=y[known]):
        pyro.sample("y", dist.Normal(x[known] @ beta, 1.0), obs=y[known])


def test_a_model_that_chooses_rows_runs_eagerly_and_is_right():
    few, many = Y.clone(), Y.clone()
    few[5:], many[30:] = torch.nan, torch.nan
    found = {}
    for mode in ("graph", "eager"):
        torch.manual_seed(0)
        guide = AutoHardConcrete(chosen_rows, (X, few))
        step = GradientStep(MeanFieldELBO()(chosen_rows, guide), mode)
        losses = []
        for y in (few, many):
            torch.manual_seed(1)
            if mode == "graph" and not losses:
                with pytest.warns(CompilationWarning, match=r"'index' depends on values"):
                    losses.append(step((X, y))[0])
            else:
                losses.append(step((X, y))[0])
        found[mode] = torch.stack(losses)
    torch.testing.assert_close(found["graph"], found["eager"])


def regression(x, y):
    beta = l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    with pyro.plate("rows", len(y)):
        pyro.sample("y", dist.Normal(x @ beta, 1.0), obs=y)


class Freezing(Callback):
    def before_step(self, run):
        if run.done == 5:
            self.parameter = dict(run.guide.named_parameters())["loc.beta/slab_unconstrained"]
            self.parameter.requires_grad_(False)
            self.value = self.parameter.detach().clone()


@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_a_parameter_that_is_frozen_stays_where_it_is(mode):
    freezing = Freezing()
    guide = AutoHardConcrete(regression, (X, Y))
    l0bayes.fit(
        regression, guide, (X, Y), steps=12, compile=mode, progress=False, callbacks=[freezing], log_every=3
    )
    assert torch.equal(freezing.parameter, freezing.value)
    assert freezing.parameter.grad is None
