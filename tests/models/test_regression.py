"""Spike-and-slab regression: its sites, its likelihoods, what it recovers, what it refuses."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

import l0bayes
from l0bayes.distributions import Gate, L0Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer.objectives.latent_draws import Given
from l0bayes.models import SparseRegression

GENERATOR = torch.Generator().manual_seed(21)
X = torch.randn(12, 3, generator=GENERATOR)
Y = torch.randn(12, generator=GENERATOR)
LABELS = torch.tensor([0.0, 1.0] * 6)
VALUES = {"beta.gate": torch.tensor([1.0, 0.0, 0.5]), "beta.slab": torch.tensor([2.0, 3.0, -1.0])}


def trace_of(model, x=X, y=None, **values):
    with Given({**VALUES, **values}):
        return poutine.trace(model).get_trace(x, y)


def sites(trace):
    return {
        name
        for name, site in trace.nodes.items()
        if site["type"] == "sample" and not poutine.util.site_is_subsample(site)
    }


def base(site):
    return getattr(site["fn"], "base_dist", site["fn"])


# ---- sites and likelihoods ---------------------------------------------------------------------------


def test_the_sites_of_a_gaussian_regression():
    trace = trace_of(SparseRegression(3), y=Y)
    assert sites(trace) == {"beta.gate", "beta.slab", "beta", "intercept", "noise_variance", "y"}


@pytest.mark.parametrize(
    ("options", "absent"),
    [
        ({"noise_scale": 0.5}, {"noise_variance"}),
        ({"intercept_scale": None}, {"intercept"}),
        ({"likelihood": "bernoulli"}, {"noise_variance"}),
        ({"likelihood": "bernoulli", "intercept_scale": None}, {"noise_variance", "intercept"}),
    ],
)
def test_what_is_fixed_has_no_site(options, absent):
    everything = {"beta.gate", "beta.slab", "beta", "intercept", "noise_variance", "y"}
    assert sites(trace_of(SparseRegression(3, **options))) == everything - absent


def test_the_predictor_and_the_gaussian_likelihood():
    trace = trace_of(SparseRegression(3), y=Y, intercept=torch.tensor(0.7), noise_variance=torch.tensor(0.09))
    predictor = 2.0 * X[:, 0] - 0.5 * X[:, 2] + 0.7
    torch.testing.assert_close(trace.nodes["_RETURN"]["value"], predictor)
    law = dist.Normal(predictor, 0.3)
    torch.testing.assert_close(trace.nodes["y"]["fn"].log_prob(Y), law.log_prob(Y), rtol=1e-4, atol=1e-4)


def test_a_given_noise_scale():
    trace = trace_of(SparseRegression(3, noise_scale=0.4, intercept_scale=None), y=Y)
    torch.testing.assert_close(trace.nodes["y"]["fn"].scale, torch.full((12,), 0.4))
    torch.testing.assert_close(trace.nodes["y"]["fn"].loc, 2.0 * X[:, 0] - 0.5 * X[:, 2])


def test_the_bernoulli_likelihood_has_the_predictor_as_its_logits():
    trace = trace_of(SparseRegression(3, "bernoulli", intercept_scale=None), y=LABELS)
    predictor = 2.0 * X[:, 0] - 0.5 * X[:, 2]
    expected = LABELS * torch.sigmoid(predictor).log() + (1 - LABELS) * torch.sigmoid(-predictor).log()
    torch.testing.assert_close(trace.nodes["y"]["fn"].log_prob(LABELS), expected)


def test_the_priors():
    model = SparseRegression(3, inclusion=0.15, slab_scale=0.4, intercept_scale=2.5, noise_prior=(1.0, 1.0))
    trace = trace_of(model, y=Y)
    torch.testing.assert_close(base(trace.nodes["beta.gate"]).inclusion_probability, torch.full((3,), 0.15))
    slab = base(trace.nodes["beta.slab"])
    torch.testing.assert_close(slab.scale, torch.full((3,), 0.4))
    assert torch.equal(slab.loc, torch.zeros(3))
    assert trace.nodes["intercept"]["fn"].scale == 2.5
    variance = trace.nodes["noise_variance"]["fn"]
    # InverseGamma(1, 1) has density exp(-1/v) / v^2
    v = torch.tensor(0.3)
    assert variance.log_prob(v) == pytest.approx(-1 / 0.3 - 2 * math.log(0.3), rel=1e-5)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.5, 0.5, 0.5]),
        ({"expected_active": 0.6}, [0.2, 0.2, 0.2]),
        ({"inclusion": torch.tensor([0.1, 0.2, 0.3])}, [0.1, 0.2, 0.3]),
        ({"inclusion": Gate(log_odds=torch.tensor(-2.0))}, [1 / (1 + math.exp(2.0))] * 3),
        ({"inclusion": L0Penalty(1.0)}, [1 / (1 + math.exp(1.0))] * 3),
    ],
)
def test_ways_to_say_the_inclusion_probability(options, expected):
    prior = base(trace_of(SparseRegression(3, **options)).nodes["beta.gate"])
    assert prior.inclusion_probability.expand(3).tolist() == pytest.approx(expected)


def test_a_pair_stands_for_a_latent_inclusion():
    model = SparseRegression(3, inclusion=(2.0, 5.0))
    trace = trace_of(model, inclusion=torch.tensor(0.35))
    law = trace.nodes["inclusion"]["fn"]
    assert (law.concentration1.item(), law.concentration0.item()) == (2.0, 5.0)
    prior = base(trace.nodes["beta.gate"]).inclusion_probability
    torch.testing.assert_close(prior.expand(3), torch.full((3,), 0.35))


def test_grouped_columns_have_one_gate():
    model = SparseRegression(3, groups=torch.tensor([0, 1, 0]), intercept_scale=None, noise_scale=1.0)
    with Given({"beta.gate": torch.tensor([0.0, 1.0]), "beta.slab": torch.tensor([2.0, 3.0, 4.0])}):
        trace = poutine.trace(model).get_trace(X, Y)
    assert torch.equal(trace.nodes["beta"]["value"], torch.tensor([0.0, 3.0, 0.0]))


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_responses_are_drawn_where_they_are_not_given(likelihood):
    trace = trace_of(SparseRegression(3, likelihood), y=None)
    y = trace.nodes["y"]["value"]
    assert y.shape == (12,)
    assert not trace.nodes["y"]["is_observed"]
    if likelihood == "bernoulli":
        assert set(y.tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_precision_is_that_of_the_columns(dtype):
    model = SparseRegression(3)
    data = (X.to(dtype), Y.to(dtype))
    guide = AutoHardConcrete(model, data)
    fit = l0bayes.fit(model, guide, data, steps=3, compile="eager", progress=False)
    assert math.isfinite(fit.elbo)
    assert poutine.trace(model).get_trace(*data).nodes["beta.slab"]["value"].dtype == dtype


def test_names_for_arviz():
    named = SparseRegression(["age", "bmi"])
    assert named.coords == {"feature": ["age", "bmi"]}
    assert named.dims == {"beta": ("feature",), "y": ("observation",)}
    assert SparseRegression(2).coords == {"feature": ["x0", "x1"]}
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0], 7: [2.0]})
    assert SparseRegression(frame.columns).feature_names == ["a", "7"]


# ---- recovery ----------------------------------------------------------------------------------------


def planted(n, p, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, p, generator=generator)
    beta = torch.zeros(p)
    beta[:3] = torch.tensor([1.5, -1.0, 0.7])
    return x, x @ beta, beta, generator


def test_a_planted_signal_is_recovered():
    x, mean, beta, generator = planted(100, 10)
    y = mean + 2.0 + 0.6 * torch.randn(100, generator=generator)
    model = SparseRegression(10, expected_active=2)
    guide = AutoHardConcrete(model, (x, y), temperature=0.3)
    l0bayes.fit(model, guide, (x, y), steps=800, lr=0.03, compile="graph", progress=False)
    pips = guide.gates()["beta.gate"].prob_active.detach()
    assert (pips[:3] > 0.95).all()
    assert (pips[3:] < 0.2).all()
    median = guide.median()
    torch.testing.assert_close(
        median["beta.gate"] * median["beta.slab"], beta, atol=4 * 0.6 / 100**0.5, rtol=0.0
    )
    assert median["intercept"].item() == pytest.approx(2.0, abs=4 * 0.6 / 100**0.5)
    assert median["noise_variance"].item() == pytest.approx(0.36, rel=0.6)


def test_a_planted_signal_in_labels_is_recovered():
    x, mean, _, generator = planted(300, 8, seed=1)
    y = torch.bernoulli(torch.sigmoid(2.0 * mean), generator=generator)
    model = SparseRegression(8, "bernoulli", inclusion=0.2, slab_scale=2.0)
    guide = AutoHardConcrete(model, (x, y), temperature=0.3)
    l0bayes.fit(model, guide, (x, y), steps=600, lr=0.03, compile="graph", progress=False)
    pips = guide.gates()["beta.gate"].prob_active.detach()
    assert (pips[:3] > 0.95).all()
    assert (pips[3:] < 0.35).all()
    signs = (guide.median()["beta.gate"] * guide.median()["beta.slab"])[:3].sign()
    assert signs.tolist() == [1.0, -1.0, 1.0]


def test_a_group_enters_as_one():
    x, mean, _, generator = planted(80, 6, seed=2)
    y = mean + 0.5 * torch.randn(80, generator=generator)
    groups = torch.tensor([0, 0, 0, 1, 1, 1])
    model = SparseRegression(6, inclusion=0.3, groups=groups)
    guide = AutoHardConcrete(model, (x, y), temperature=0.3)
    l0bayes.fit(model, guide, (x, y), steps=500, lr=0.03, compile="graph", progress=False)
    pips = guide.gates()["beta.gate"].prob_active
    assert pips.shape == (2,)
    assert pips[0] > 0.95
    assert pips[1] < 0.3


# ---- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("features", "match"), [(0, "at least one column, got 0"), ([], r"got \[\]")])
def test_no_features(features, match):
    with pytest.raises(ValueError, match=match):
        SparseRegression(features)


def test_features_of_one_name():
    with pytest.raises(ValueError, match=r"features must have distinct names, got \['a'\] more than once"):
        SparseRegression(["a", "b", "a"])


def test_unknown_likelihood():
    with pytest.raises(
        ValueError, match=r"likelihood must be one of gaussian, student_t, .*cox; got 'gamma'"
    ):
        SparseRegression(3, "gamma")


@pytest.mark.parametrize("name", ["slab_scale", "noise_scale", "intercept_scale"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_scales(name, value):
    with pytest.raises(ValueError, match=f"{name} must be positive, got {value}"):
        SparseRegression(3, **{name: value})


@pytest.mark.parametrize(
    "name", ["slab_scale", "noise_scale", "intercept_scale", "df", "slab_df", "dispersion"]
)
def test_scales_are_finite(name):
    with pytest.raises(ValueError, match=f"{name} must be finite, got inf"):
        SparseRegression(3, **{name: math.inf})


def test_one_scale_of_several_is_not_finite():
    with pytest.raises(ValueError, match="slab_scale must be finite, got tensor"):
        SparseRegression(3, slab_scale=torch.tensor([1.0, math.inf, 1.0]))


@pytest.mark.parametrize("groups", [[0, 0, 1], (0, 0, 1)])
def test_groups_may_be_a_list(groups):
    x = torch.ones(4, 3)
    trace = poutine.trace(SparseRegression(3, groups=groups)).get_trace(x, torch.ones(4))
    assert trace.nodes["beta.gate"]["value"].shape == (2,)


def test_groups_of_something_else():
    with pytest.raises(
        TypeError, match=r"groups must be the index of each column's gate.*got \['a', 'a', 'b'"
    ):
        SparseRegression(3, groups=["a", "a", "b"])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite(bad):
    x, y = X.clone(), Y.clone()
    x[4, 1] = bad
    with pytest.raises(ValueError, match=f"x must hold finite numbers; got {bad} in row 4, column 1"):
        SparseRegression(3)(x, Y)
    with pytest.raises(ValueError, match="x must hold finite numbers"):
        SparseRegression(3).check_data(x, Y)
    with pytest.raises(ValueError, match="x must hold finite numbers"):
        AutoHardConcrete(SparseRegression(3), (x, Y))
    y[2] = bad
    with pytest.raises(ValueError, match=f"y must hold finite numbers; got {bad} in row 2"):
        SparseRegression(3)(X, y)
    with pytest.raises(ValueError, match="offset must hold finite numbers"):
        SparseRegression(3)(X, Y, y)


@pytest.mark.parametrize("pair", [(1.0,), (1.0, 2.0, 3.0), (0.0, 1.0), (1.0, -1.0), (math.inf, 1.0)])
def test_an_inclusion_pair(pair):
    with pytest.raises(ValueError, match="inclusion as a pair must be two positive numbers"):
        SparseRegression(3, inclusion=pair)


@pytest.mark.parametrize("value", [0.0, 1.0, -0.2, 3.0])
def test_an_inclusion_that_is_no_probability(value):
    with pytest.raises(ValueError, match=f"inclusion must lie strictly between 0 and 1, got {value}"):
        SparseRegression(3, inclusion=value)(X, Y)


@pytest.mark.parametrize("value", [0.0, 3.0, -1.0])
def test_an_expected_number_out_of_range(value):
    with pytest.raises(ValueError, match=f"expected_active must lie strictly between 0 and .*got {value}"):
        SparseRegression(3, expected_active=value)(X, Y)


def test_two_ways_to_say_the_inclusion():
    with pytest.raises(ValueError, match="exactly one of inclusion and expected_active"):
        SparseRegression(3, inclusion=0.1, expected_active=1.0)(X, Y)


@pytest.mark.parametrize("x", [X[:, :2], X[:, 0], X[None]])
def test_columns_of_another_shape(x):
    with pytest.raises(ValueError, match=r"x must have shape \(n, 3\), one column a feature; got") as caught:
        SparseRegression(3)(x, Y)
    assert str(tuple(x.shape)) in str(caught.value)


@pytest.mark.parametrize("y", [Y[:5], Y[:, None], Y[None]])
def test_responses_of_another_shape(y):
    with pytest.raises(ValueError, match=r"y must have shape \(12,\) as x has rows; got") as caught:
        SparseRegression(3)(X, y)
    assert str(tuple(y.shape)) in str(caught.value)


@pytest.mark.parametrize(
    ("groups", "error"),
    [
        (torch.tensor([0, 1]), ValueError),
        (torch.tensor([0, 2, 2]), ValueError),
        (torch.tensor([0.0, 1.0, 1.0]), TypeError),
    ],
)
def test_groups_that_do_not_fit(groups, error):
    with pytest.raises(error, match="groups must"):
        SparseRegression(3, groups=groups)(X, Y)


def test_nothing_is_left_in_pyros_store():
    SparseRegression(3)(X, Y)
    assert not list(pyro.get_param_store())
