"""Sites of any name, plates and time series in what ArviZ reads."""

import json

import arviz as az
import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.contrib.autoname import scope

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.posterior.arviz_names import arviz_names

X = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
Y = X[:, 0]
SHORT = {"steps": 5, "compile": "eager", "progress": False}


def read(model, data, **options):
    fit = l0bayes.fit(model, AutoHardConcrete(model, data), data, **SHORT)
    return fit, l0bayes.to_arviz(fit, num_draws=6, **options)


@pytest.mark.parametrize(
    ("sites", "names"),
    [
        (["a", "b.c"], ["a", "b.c"]),
        (["a/b"], ["a.b"]),
        (["a/b", "a.b"], ["a.b_", "a.b"]),
        (["a/b", "a.b", "a.b_"], ["a.b__", "a.b", "a.b_"]),
        (["draw", "chain"], ["draw_", "chain_"]),
        (["draw", "draw_"], ["draw__", "draw_"]),
    ],
)
def test_names_that_are_not_taken_are_changed_and_stay_apart(sites, names):
    assert arviz_names(sites) == dict(zip(sites, names, strict=True))


def crowded(y):
    """Latents named as dimensions, and after one another but for a slash."""
    draw = pyro.sample("draw", dist.Normal(0.0, 1.0))
    chain = pyro.sample("chain", dist.Normal(1.0, 1.0))
    one, other = pyro.sample("level.a", dist.Normal(0.0, 1.0)), pyro.sample("level/a", dist.Normal(5.0, 1.0))
    weight = l0bayes.spike_and_slab("part/w", 0.3, dist.Normal(0.0, 1.0))
    with pyro.plate("rows", len(y)):
        pyro.sample("y", dist.Normal(draw + chain + one + other + weight, 1.0), obs=y)


def test_sites_named_as_dimensions_or_with_a_slash(tmp_path):
    fit, post = read(crowded, (Y,))
    assert {"draw_", "chain_", "level.a", "level.a_", "part.w", "part.w.gate"} <= set(
        post["posterior"].data_vars
    )
    named = json.loads(post["posterior"].attrs["site_names"])
    assert named["level.a_"] == "level/a"
    assert named["part.w.gate"] == "part/w.gate"
    pip = fit.guide.gates()["part/w.gate"].prob_active.detach()
    assert np.allclose(post["constant_data"]["part.w.gate.pip"], pip)
    assert l0bayes.gate_table(fit, "part/w")["pip"].iloc[0] == pytest.approx(float(pip))
    assert az.summary(post, kind="stats") is not None
    post.to_netcdf(tmp_path / "draws.nc")


def test_a_scope_that_prefixes_with_a_slash():
    def part(x):
        return x @ l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([2]).to_event(1))

    inner = scope(part, prefix="mean")

    def model(x, y=None):
        mean = inner(x)
        with pyro.plate("rows", len(x)):
            return pyro.sample("y", dist.Normal(mean, 1.0), obs=y)

    _, post = read(model, (X, Y))
    assert post["posterior"]["mean.beta"].dims == ("chain", "draw", "mean.beta_dim_0")
    assert post["posterior"]["mean.beta.gate"].dims == ("chain", "draw", "mean.beta_dim_0")


def nested(y):
    """Weights in two plates, with an event of two."""
    with pyro.plate("sites", 3, dim=-1), pyro.plate("years", 4, dim=-2):
        effect = pyro.sample("effect", dist.Normal(0.0, 1.0))
        weight = l0bayes.spike_and_slab("w", 0.3, dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        pyro.sample("y", dist.Normal(effect + weight.sum(-1), 1.0), obs=y)


def test_dimensions_have_the_names_of_their_plates():
    _, post = read(nested, (torch.randn(4, 3),), coords={"sites": ["a", "b", "c"]})
    draws = post["posterior"]
    assert draws["effect"].dims == ("chain", "draw", "years", "sites")
    assert draws["w"].dims == ("chain", "draw", "years", "sites", "w_dim_2")
    assert draws["w.gate"].dims == draws["w.slab"].dims == draws["w"].dims
    assert list(draws["effect"]["sites"].values) == ["a", "b", "c"]
    for group in ("log_likelihood", "posterior_predictive", "observed_data"):
        assert post[group]["y"].dims[-2:] == ("years", "sites")


def test_a_plate_named_as_a_site_or_as_a_dimension_of_draws():
    def model(y):
        with pyro.plate("y", len(y)):
            with poutine.mask(mask=True):
                l0bayes.spike_and_slab("w", 0.3, dist.Normal(0.0, 1.0))
            pyro.sample("out", dist.Normal(0.0, 1.0), obs=y)
        with pyro.plate("draw", 2):
            pyro.sample("extra", dist.Normal(0.0, 1.0))

    _, post = read(model, (Y,))
    assert post["posterior"]["extra"].shape == (1, 6, 2)
    assert post["posterior"]["w"].shape == (1, 6, 12)


def test_a_factor_is_no_observation():
    def model(x, y):
        beta = l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        pyro.factor("sum", -((beta.sum(-1) - 1.0) ** 2))
        with pyro.plate("rows", len(x)):
            pyro.sample("y", dist.Normal(x @ beta, 1.0), obs=y)

    _, post = read(model, (X, Y))
    for group in ("log_likelihood", "observed_data", "posterior_predictive"):
        assert set(post[group].data_vars) == {"y"}


# ---- responses that depend on one another --------------------------------------------------------------


def autoregressive(y):
    level = l0bayes.spike_and_slab("level", 0.5, dist.Normal(0.0, 0.01))
    before = torch.zeros(())
    for t in range(len(y)):
        before = pyro.sample(f"y_{t}", dist.Normal(0.9 * before + level, 0.1), obs=y[t])


def moving(y):
    """The same in a Markov context, with a plate of series."""
    level = l0bayes.spike_and_slab("level", 0.5, dist.Normal(0.0, 0.01))
    before = torch.zeros(3)
    for t in pyro.markov(range(len(y))):
        with pyro.plate(f"series_{t}", 3):
            before = pyro.sample(f"y_{t}", dist.Normal(0.9 * before + level, 0.1), obs=y[t])


@pytest.mark.parametrize(
    ("model", "data"), [(autoregressive, 50.0 * torch.ones(4)), (moving, 50.0 * torch.ones(4, 3))]
)
def test_predictions_run_free_or_one_step_ahead(model, data):
    fit = l0bayes.fit(model, AutoHardConcrete(model, (data,), init_scale=1e-3), (data,), **SHORT)
    free = l0bayes.to_arviz(fit, num_draws=200)["posterior_predictive"]
    ahead = l0bayes.to_arviz(fit, num_draws=200, predictions="one_step")["posterior_predictive"]
    assert abs(float(free["y_3"].mean())) < 1.0  # nothing observed is in it
    assert float(ahead["y_3"].mean()) == pytest.approx(45.0, abs=1.0)
    # 0.1 sqrt(1 + .81 + .81^2 + .81^3), and 0.1
    assert float(free["y_3"].std()) == pytest.approx(0.173, rel=0.25)
    assert float(ahead["y_3"].std()) == pytest.approx(0.1, rel=0.25)
    assert free.attrs["predictions"].startswith("free running")
    assert ahead.attrs["predictions"].startswith("one step ahead")


def test_a_single_response_is_the_same_either_way():
    def model(x, y=None):
        beta = l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        with pyro.plate("rows", len(x)):
            pyro.sample("y", dist.Normal(x @ beta, 1.0), obs=y)

    fit = l0bayes.fit(model, AutoHardConcrete(model, (X, Y)), (X, Y), **SHORT)
    one, other = (l0bayes.to_arviz(fit, num_draws=5, predictions=p) for p in ("free", "one_step"))
    assert np.array_equal(one["posterior_predictive"]["y"], other["posterior_predictive"]["y"])


def test_other_words_are_refused():
    fit = l0bayes.fit(autoregressive, AutoHardConcrete(autoregressive, (Y,)), (Y,), **SHORT)
    with pytest.raises(ValueError, match="predictions must be one of"):
        l0bayes.to_arviz(fit, predictions="both")
