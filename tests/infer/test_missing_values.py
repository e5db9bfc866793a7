"""Values that are not finite are taken where the model masks them, and refused by name where it does not."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

import l0bayes
from l0bayes.guides import AutoBernoulliGates, AutoHardConcrete, AutoJointGates
from l0bayes.infer import CompilationWarning
from l0bayes.posterior import importance_weighted

GENERATOR = torch.Generator().manual_seed(7)
X = torch.randn(40, 3, generator=GENERATOR)
FULL = X[:, 0] + 0.5 * torch.randn(40, generator=GENERATOR)
SEEN = torch.arange(40) % 4 != 0
Y = torch.where(SEEN, FULL, torch.nan)


def weights(x):
    return x @ l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))


def by_handler(x, y):
    mean = weights(x)
    with pyro.plate("data", len(x)), poutine.mask(mask=~torch.isnan(y)):
        pyro.sample("y", dist.Normal(mean, 0.5), obs=y)


def by_law(x, y):
    mean = weights(x)
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Normal(mean, 0.5).mask(~torch.isnan(y)), obs=y)


def by_obs_mask(x, y):
    mean = weights(x)
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Normal(mean, 0.5), obs=y, obs_mask=~torch.isnan(y))


def by_likelihood(x, y):
    mean = weights(x)
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.NanMaskedNormal(mean, 0.5), obs=y)


def by_likelihood_of_vectors(x, y):
    mean = weights(x)
    with pyro.plate("data", len(x)):
        pairs = torch.stack([y, y], -1)
        law = dist.NanMaskedMultivariateNormal(torch.stack([mean, mean], -1), 0.5 * torch.eye(2))
        pyro.sample("y", law, obs=pairs)


def by_hand(x, y):
    """The model puts a number in the place itself, and weighs it by nothing."""
    mean = weights(x)
    with pyro.plate("data", len(x)), poutine.mask(mask=~torch.isnan(y)):
        pyro.sample("y", dist.Normal(mean, 0.5), obs=torch.nan_to_num(y))


def plain(x, y):
    mean = weights(x)
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Normal(mean, 0.5), obs=y)


MASKING = [by_handler, by_law, by_likelihood, by_hand]


def fitted(model, data, family=AutoHardConcrete, **options):
    guide = family(model, data)
    fit = l0bayes.fit(model, guide, data, steps=60, compile="eager", progress=False, **options)
    return fit, guide


@pytest.mark.parametrize(
    ("model", "family"),
    [
        (model, family)
        for model in MASKING
        for family in (AutoHardConcrete, AutoBernoulliGates, AutoJointGates)
        # Pyro's law branches on what it is given, so that joint draws are made one by one.
        if (model, family) != (by_likelihood, AutoJointGates)
    ],
)
def test_the_fit_is_that_of_the_rows_that_are_there(model, family):
    """Equal seeds, equal draws, equal gradients: equal parameters at the end."""
    _, found = fitted(model, (X, Y), family)
    _, expected = fitted(plain, (X[SEEN], Y[SEEN]), family)
    for name, value in found.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("model", MASKING)
def test_what_is_read_is_of_the_rows_that_are_there(model):
    guide = AutoHardConcrete(model, (X, Y))
    fit, expected = l0bayes.Fit.of(model, guide, (X, Y)), l0bayes.Fit.of(plain, guide, (X[SEEN], Y[SEEN]))
    assert importance_weighted(fit, num_draws=20).log_evidence == pytest.approx(
        importance_weighted(expected, num_draws=20).log_evidence, rel=1e-5
    )
    assert l0bayes.hardened_elbo(model, guide, (X, Y), num_draws=9).value == pytest.approx(
        l0bayes.hardened_elbo(plain, guide, (X[SEEN], Y[SEEN]), num_draws=9).value, rel=1e-5
    )
    assert l0bayes.refine(fit, "exact").log_evidence == pytest.approx(
        l0bayes.refine(expected, "exact").log_evidence, rel=1e-5
    )


@pytest.mark.parametrize("model", [by_obs_mask, by_likelihood_of_vectors])
def test_other_ways_to_leave_values_out_are_taken(model):
    fit, _ = fitted(model, (X, Y))
    assert torch.isfinite(torch.tensor(fit.history.elbo)).all()


def test_a_captured_graph_takes_them_too():
    guide = AutoHardConcrete(by_handler, (X, Y))
    graph = l0bayes.fit(by_handler, guide, (X, Y), steps=60, compile="graph", progress=False)
    assert graph.mode == "graph"
    assert graph.elbo == pytest.approx(fitted(by_handler, (X, Y))[0].elbo, rel=1e-4)
    with pytest.warns(CompilationWarning, match="'eager'"):  # Pyro's law branches on what it is given
        l0bayes.fit(by_likelihood, guide, (X, Y), steps=5, compile="graph", progress=False)


# ---- refused -----------------------------------------------------------------------------------------


def in_the_columns(x, y):
    """The row is masked, but its mean is no number, whose gradient is none either."""
    mean = weights(x)
    with pyro.plate("data", len(x)), poutine.mask(mask=SEEN):
        pyro.sample("y", dist.Normal(mean, 0.5), obs=y)


HOLES = torch.where(SEEN[:, None], X, torch.nan)


@pytest.mark.parametrize(
    ("model", "data", "name"),
    [
        (plain, (X, Y), "y"),
        (plain, (HOLES, FULL), "x"),
        (in_the_columns, (HOLES, FULL), "x"),
        (by_handler, (X, torch.where(SEEN, FULL, torch.inf)), "y"),
    ],
    ids=["response", "columns", "masked columns", "infinity"],
)
def test_what_is_not_masked_is_refused_by_name_before_training(model, data, name):
    guide = AutoHardConcrete(model, (X, FULL))
    before = {key: value.clone() for key, value in guide.state_dict().items()}
    message = rf"{name} holds \d+ values that are NaN or infinite, the first at index \(0.*, where the model "
    with pytest.raises(ValueError, match=message + "does not mask them"):
        l0bayes.fit(model, guide, data, steps=5, progress=False)
    assert all(torch.equal(value, before[key]) for key, value in guide.state_dict().items())
    assert all(parameter.grad is None for parameter in guide.parameters())
