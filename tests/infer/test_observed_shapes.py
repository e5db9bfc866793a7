"""Observed values whose shape is not that of their law are refused wherever data are taken."""

import contextlib
import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

import l0bayes
from l0bayes.guides import AutoBernoulliGates, AutoHardConcrete
from l0bayes.infer import Fit, MeanFieldELBO, UnobservedModelWarning, describe_objective, hardened_elbo
from l0bayes.infer.objectives.observed_shapes import check_observed_shapes

N, P = 12, 3
X = torch.randn(N, P, generator=torch.Generator().manual_seed(0))
Y = X[:, 0].clone()
ROWS = torch.arange(5)


def weights():
    return l0bayes.spike_and_slab("b", inclusion=0.3, slab=dist.Normal(0.0, 1.0).expand([P]).to_event(1))


def plated(x, y):
    mean = x @ weights()
    with pyro.plate("n", len(x)):
        pyro.sample("y", dist.Normal(mean, 0.5), obs=y)


def bare(x, y):
    pyro.sample("y", dist.Normal(x @ weights(), 0.5), obs=y)


def as_event(x, y):
    pyro.sample("y", dist.Normal(x @ weights(), 0.5).to_event(1), obs=y)


def labels(x, y):
    mean = x @ weights()
    with pyro.plate("n", len(x)):
        pyro.sample("y", dist.Bernoulli(logits=mean), obs=(y > 0).float())


def column(x, y):
    mean = x @ weights()
    with pyro.plate("n", len(x)):
        pyro.sample("y", dist.Normal(mean[:, None], 0.5), obs=y)


def bare_column(x, y):
    pyro.sample("y", dist.Normal((x @ weights())[:, None], 0.5), obs=y)


def scaled(x, y):
    mean = x @ weights()
    with pyro.plate("n", len(x)), poutine.scale(scale=torch.ones(len(x), 1)):
        pyro.sample("y", dist.Normal(mean, 0.5), obs=y)


def masked(x, y):
    mean = x @ weights()
    with pyro.plate("n", len(x)), poutine.mask(mask=torch.ones(len(x), 1) > 0):
        pyro.sample("y", dist.Normal(mean, 0.5), obs=y)


def partly(x, y):
    seen = torch.ones(len(x), 1) > 0
    pyro.sample("y", dist.Normal(x @ weights(), 0.5).mask(seen), obs=y)


def subsampled(x, y):
    mean = x @ weights()
    with pyro.plate("n", len(x), subsample=ROWS) as rows:
        pyro.sample("y", dist.Normal(mean[rows], 0.5), obs=y[rows])


def subsampled_column(x, y):
    mean = x @ weights()
    with pyro.plate("n", len(x), subsample=ROWS) as rows:
        pyro.sample("y", dist.Normal(mean[:, None], 0.5), obs=y[rows])


def enumerated(x, y):
    mean = x @ weights()
    with pyro.plate("n", len(x)):
        kind = pyro.sample("kind", dist.Bernoulli(0.3), infer={"enumerate": "parallel"})
        pyro.sample("y", dist.Normal(mean + kind, 0.5), obs=y)


def nodes_of(model, *data):
    return poutine.trace(model).get_trace(*data).nodes


WRONG = [
    (plated, Y[:, None]),
    (bare, Y[:, None]),
    (as_event, Y[:, None]),
    (labels, Y[:, None]),
    (column, Y),
    (column, Y[:, None]),
    (bare_column, Y),
    (scaled, Y),
    (masked, Y),
    (partly, Y),
    (subsampled, Y[:, None]),
    (subsampled_column, Y),
    (enumerated, Y[:, None]),
]


@pytest.mark.parametrize(("model", "y"), WRONG)
def test_a_shape_that_broadcasting_would_blow_up_is_refused(model, y):
    with pytest.raises(ValueError, match=r"^site 'y' has .* of shape \(.*\) and a .* of shape \(.*one shape"):
        check_observed_shapes(nodes_of(model, X, y))


def test_the_words_name_site_shapes_and_remedy():
    with pytest.raises(
        ValueError, match=r"shape \(12, 1\) and a law of shape \(12,\).*144.*y\.squeeze\(-1\)$"
    ):
        check_observed_shapes(nodes_of(plated, X, Y[:, None]))
    with pytest.raises(ValueError, match=r"shape \(12,\) and a law of shape \(12, 1\).*as \.squeeze\(-1\)$"):
        check_observed_shapes(nodes_of(bare_column, X, Y))


def number(x, y):
    mean = x @ weights()
    with pyro.plate("n", len(x)):
        pyro.sample("y", dist.Normal(mean, 0.5), obs=torch.tensor(0.3))


def number_without_plate(x, y):
    pyro.sample("y", dist.Normal(x @ weights(), 0.5), obs=torch.zeros(1))


def one_law(x, y):
    weights()
    with pyro.plate("n", len(x)):
        pyro.sample("y", dist.Normal(0.0, 1.0), obs=y)


def one_law_without_plate(x, y):
    weights()
    pyro.sample("y", dist.Normal(0.0, 1.0), obs=y)


def column_as_data(x, y):
    pyro.sample("y", dist.Normal((x @ weights())[:, None], 0.5), obs=y[:, None])


def column_of_events(x, y):
    mean = x @ weights()
    with pyro.plate("n", len(x)):
        pyro.sample("y", dist.Normal(mean[:, None], 0.5).to_event(1), obs=y[:, None])


def two_plates(x, y):
    mean = x @ weights()
    with pyro.plate("k", 4, dim=-2), pyro.plate("n", len(x), dim=-1):
        pyro.sample("y", dist.Normal(mean, 0.5), obs=y)


def square_plates(x, y):
    mean = x @ weights()
    with pyro.plate("k", len(x), dim=-2), pyro.plate("n", len(x), dim=-1):
        pyro.sample("y", dist.Normal(mean, 0.5), obs=y)


def left_plate(x, y):
    mean = x @ weights()
    with pyro.plate("n", len(x), dim=-2):
        pyro.sample("y", dist.Normal(mean[:, None], 0.5), obs=y[:, None])


def several_heads(x, y):
    mean = x @ weights()
    pyro.sample("y", dist.Normal(torch.stack([mean, 2.0 * mean]), 0.5), obs=y)


def classes(x, y):
    mean = x @ weights()
    with pyro.plate("n", len(x)):
        pyro.sample("y", dist.Categorical(logits=mean[:, None].expand(-1, 4)), obs=(y > 0).long())


def vectors(x, y):
    mean = x @ weights()
    law = dist.MultivariateNormal(torch.zeros(4), torch.eye(4))
    with pyro.plate("n", len(x)):
        pyro.sample("y", law, obs=mean[:, None].expand(-1, 4).detach())


def scaled_rows(x, y):
    mean = x @ weights()
    with pyro.plate("n", len(x)), poutine.scale(scale=torch.rand(len(x))), poutine.mask(mask=y > 0):
        pyro.sample("y", dist.Normal(mean, 0.5), obs=y)


def observed_in_part(x, y):
    mean = x @ weights()
    with pyro.plate("n", len(x)):
        pyro.sample("y", dist.Normal(mean, 0.5), obs=y, obs_mask=y > 0)


def factors(x, y):
    mean = x @ weights()
    with pyro.plate("n", len(x)):
        pyro.factor("y", -((y - mean) ** 2))


def recorded(x, y):
    mean = pyro.deterministic("mean", (x @ weights())[:, None])
    with pyro.plate("n", len(x)):
        pyro.deterministic("again", mean)
        pyro.sample("y", dist.Normal(mean[:, 0], 0.5), obs=y)


RIGHT = [plated, bare, as_event, labels, subsampled, enumerated, number, number_without_plate, one_law]
RIGHT += [one_law_without_plate, column_as_data, column_of_events, two_plates, square_plates, left_plate]
RIGHT += [several_heads, classes, vectors, scaled_rows, observed_in_part, factors, recorded]


@pytest.mark.parametrize("model", RIGHT)
def test_shapes_that_are_meant_pass(model):
    check_observed_shapes(nodes_of(model, X, Y))


@pytest.mark.parametrize("model", [two_plates, enumerated, observed_in_part, factors])
def test_and_train(model):
    expose = poutine.block(model, hide=["kind"]) if model is enumerated else model
    guide = AutoHardConcrete(expose, (X, Y))
    l0bayes.fit(model, guide, (X, Y), steps=1, compile="eager", progress=False)


def test_batched_particles_are_no_repetition():
    def model(x, y):
        mean = (weights() * x).sum(-1)
        with pyro.plate("n", len(x)):
            pyro.sample("y", dist.Normal(mean, 0.5), obs=y)

    guide = AutoHardConcrete(model, (X, Y))
    elbo = MeanFieldELBO(num_particles=N, vectorize_particles=True, max_plate_nesting=1)
    assert math.isfinite(elbo.loss(model, guide, X, Y))


COLUMN = (X, Y[:, None])


@pytest.mark.parametrize(
    "read",
    [
        lambda guide: l0bayes.fit(plated, guide, COLUMN, steps=1, progress=False),
        lambda guide: Fit.of(plated, guide, COLUMN),
        lambda guide: describe_objective(plated, guide, COLUMN),
        lambda guide: hardened_elbo(plated, guide, COLUMN),
        lambda guide: MeanFieldELBO().loss(plated, guide, *COLUMN),
        lambda guide: l0bayes.trust(Fit.of(plated, guide, (X, Y)), data=COLUMN),
        lambda guide: l0bayes.refine(Fit.of(plated, guide, (X, Y)), data=COLUMN),
    ],
)
def test_whatever_takes_data_refuses_it(read):
    guide = AutoBernoulliGates(plated, (X, Y))
    with pytest.raises(
        ValueError, match=r"^site 'y' has a value of shape \(12, 1\) and a law of shape \(12,\)"
    ):
        read(guide)


# ---- no data at all -----------------------------------------------------------------------------------


def forgotten(x, y):
    mean = x @ weights()
    with pyro.plate("n", len(x)):
        pyro.sample("y", dist.Normal(mean, 0.5))


def recorded_alone(x, y):
    pyro.deterministic("mean", x @ weights())


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (forgotten, True),
        (recorded_alone, True),
        (plated, False),
        (factors, False),
        (poutine.condition(forgotten, data={"y": Y}), False),
        (observed_in_part, False),
        (subsampled, False),
    ],
)
def test_a_model_without_data_is_said(model, told):
    guide = AutoHardConcrete(model, (X, Y))
    expected = pytest.warns(UnobservedModelWarning, match="no site of the model has obs=.*b.slab.*obs=y")
    with expected if told else contextlib.nullcontext():
        l0bayes.fit(model, guide, (X, Y), steps=1, compile="eager", progress=False)
