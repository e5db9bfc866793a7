"""What has no density is found in any part of a guide, so that nothing is called a bound that is none."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer.autoguide import (
    AutoDelta,
    AutoGuideList,
    AutoIAFNormal,
    AutoLaplaceApproximation,
    AutoLowRankMultivariateNormal,
    AutoMultivariateNormal,
    AutoNormal,
)

from l0bayes.guides import AutoBernoulliGates
from l0bayes.infer import describe_objective, hardened_elbo
from l0bayes.posterior import importance_weighted
from l0bayes.sites import spike_and_slab

Y = torch.linspace(-0.5, 2.0, 8)


def model(y):
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    shares = pyro.sample("shares", dist.Dirichlet(torch.ones(3)))
    b = spike_and_slab("b", 0.3, dist.Normal(0.0, 1.0).expand([2]).to_event(1))
    with pyro.plate("data", 8):
        pyro.sample("y", dist.Normal(a + shares[0] + b.sum(), 1.0), obs=y)


def combined(*parts):
    """A gate guide, and one of Pyro's guides for every set of the other sites."""
    guide = AutoGuideList(model)
    sparse = ["b.gate", "b.slab"]
    guide.append(AutoBernoulliGates(poutine.block(model, expose=sparse), (Y,)))
    for kind, names in parts:
        guide.append(kind(poutine.block(model, expose=names)))
    guide(Y)
    return guide


BOTH = ["a", "shares"]


@pytest.mark.parametrize(
    "parts",
    [
        [(AutoLaplaceApproximation, BOTH)],
        [(AutoDelta, BOTH)],
        [(AutoDelta, ["a"]), (AutoMultivariateNormal, ["shares"])],
        [(AutoMultivariateNormal, ["a"]), (AutoDelta, ["shares"])],
        [(AutoNormal, ["a"]), (AutoLaplaceApproximation, ["shares"])],
    ],
)
def test_points_are_found_in_any_part(parts):
    guide = combined(*parts)
    found = describe_objective(model, guide, (Y,))
    assert found.has_points
    assert not found.is_bound
    assert not hardened_elbo(model, guide, (Y,), num_draws=2).is_bound
    with pytest.raises(ValueError, match="are points"):
        importance_weighted(model, guide, (Y,), num_draws=10)


@pytest.mark.parametrize(
    "parts",
    [
        [(AutoNormal, BOTH)],
        [(AutoMultivariateNormal, BOTH)],
        [(AutoLowRankMultivariateNormal, BOTH)],
        [(AutoIAFNormal, BOTH)],
        [(AutoNormal, ["a"]), (AutoMultivariateNormal, ["shares"])],
    ],
)
def test_laws_are_no_points(parts):
    found = describe_objective(model, combined(*parts), (Y,))
    assert not found.has_points
    assert found.is_bound
