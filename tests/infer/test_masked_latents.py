"""A mask on a latent that is used is refused: the guide's entropy would be missing from every bound."""

from contextlib import nullcontext

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

import l0bayes
from l0bayes.guides import AutoBernoulliGates, AutoHardConcrete, AutoJointGates
from l0bayes.posterior import importance_weighted

X = torch.randn(12, 2, generator=torch.Generator().manual_seed(1))
Y = 0.5 * X[:, 0]
FAMILIES = [AutoBernoulliGates, AutoHardConcrete, AutoJointGates]


def normal():
    return dist.Normal(0.0, 1.0).expand([2])


PRIORS = {
    "flat": lambda: normal().mask(False).to_event(1),
    "some": lambda: normal().mask(torch.tensor([True, False])).to_event(1),
    "whole": lambda: normal().to_event(1).mask(torch.tensor(False)),
}


def model_of(slab=None, handler=nullcontext, intercept=None):
    def model(x, y):
        with handler():
            b = l0bayes.spike_and_slab("b", 0.3, normal().to_event(1) if slab is None else slab())
        a = 0.0 if intercept is None else pyro.sample("a", intercept())
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(a + x @ b, 0.7), obs=y)

    return model


def by_handler():
    return poutine.mask(mask=torch.tensor(False))


USED = {
    **{name: model_of(prior) for name, prior in PRIORS.items()},
    "handler": model_of(handler=by_handler),
    "latent": model_of(intercept=lambda: dist.Normal(0.0, 1.0).mask(False)),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", USED)
def test_a_masked_latent_that_is_used_is_refused_before_training_and_by_readers(name, family):
    model = USED[name]
    guide = family(model, (X, Y))
    message = {"handler": "the gate 'b.gate'", "latent": "the latent 'a'"}.get(name, "the slab 'b.slab'")
    works = [
        lambda: l0bayes.fit(model, guide, (X, Y), steps=2, progress=False, compile="eager"),
        lambda: l0bayes.hardened_elbo(model, guide, (X, Y), num_draws=2),
        lambda: importance_weighted(model, guide, (X, Y), num_draws=10),
    ]
    for work in works:
        with pytest.raises(ValueError, match=f"{message} is masked in the model, but what is not masked"):
            work()


def unused(x, y):
    """Gates of padding, whose rows are masked too."""
    b = l0bayes.spike_and_slab("b", 0.3, normal().to_event(1))
    with pyro.plate("rows", len(x)), poutine.mask(mask=torch.arange(len(x)) < 9):
        own = l0bayes.spike_and_slab("own", 0.2, dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(x @ b + own, 0.7), obs=y)


def imputed(x, y):
    seen = torch.arange(12) % 2 == 0
    b = l0bayes.spike_and_slab("b", 0.3, normal().to_event(1))
    with pyro.plate("rows", len(x)):
        first = pyro.sample("first", dist.Normal(0.0, 1.0), obs=x[:, 0], obs_mask=seen)
        pyro.sample("y", dist.Normal(first * b[0], 0.7), obs=y)


@pytest.mark.parametrize("model", [unused, imputed, model_of(handler=lambda: poutine.mask(mask=True))])
@pytest.mark.parametrize("family", FAMILIES[:2])
def test_what_nothing_depends_on_may_be_masked(model, family):
    guide = family(model, (X, Y))
    l0bayes.fit(model, guide, (X, Y), steps=2, progress=False, compile="eager")
    assert l0bayes.hardened_elbo(model, guide, (X, Y), num_draws=2)
