"""Zellner's slabs in the estimator: engines against one another, codings, draws, refusals."""

import numpy as np
import pandas as pd
import pytest

from l0bayes import SpikeSlabRegressor
from l0bayes.selection import GibbsOptions

RNG = np.random.default_rng(3)
N = 60
FACTOR = RNG.choice(list("abcd"), N, p=[0.4, 0.3, 0.2, 0.1])
FRAME = pd.DataFrame({"u": RNG.normal(size=N), "f": pd.Categorical(FACTOR), "v": RNG.normal(size=N)})
Y = 0.3 * FRAME["u"] + 0.4 * (FACTOR == "b") - 0.5 * (FACTOR == "c") + RNG.normal(size=N)
CHAINS = GibbsOptions(chains=64, steps=200, burn_in=40, target_mcse=0.0, num_draws=1000)


def fitted(x=FRAME, y=Y, engine="exact", **given):
    options = CHAINS if engine == "gibbs" else None
    return SpikeSlabRegressor(engine=engine, options=options, random_state=0, **given).fit(x, y)


@pytest.mark.filterwarnings("ignore::l0bayes.selection.TrustWarning")
@pytest.mark.parametrize(
    "given",
    [
        {"slab": "g"},
        {"slab": "jzs"},
        pytest.param({"slab": "g", "g": "eb-local"}, marks=pytest.mark.slow),
        pytest.param({"slab": "hyper-g/n"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_the_sampler_finds_what_all_models_say(given):
    exact, sampled = fitted(**given), fitted(engine="gibbs", **given)
    error = sampled.posterior_.pip_mcse.numpy()
    difference = np.abs(exact.pip_ - sampled.pip_)[[0, 1, 5]]
    assert (difference < 5 * error + 1e-6).all()
    np.testing.assert_allclose(sampled.coef_, exact.coef_, atol=0.02)
    one, other = exact.summary().sort_index(), sampled.summary().sort_index()
    np.testing.assert_allclose(other["cond_mean"], one["cond_mean"], atol=0.01)
    np.testing.assert_allclose(other["cond_sd"], one["cond_sd"], rtol=0.02)
    assert other.attrs["sigma"] == pytest.approx(one.attrs["sigma"], rel=0.02)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::l0bayes.selection.TrustWarning")
def test_a_g_of_all_models_together_is_learned_by_both_engines():
    exact, sampled = (fitted(engine=engine, slab="g", g="eb-global") for engine in ("exact", "gibbs"))
    values = [np.log(one.posterior_.problem.slab.g) for one in (exact, sampled)]
    assert values[1] == pytest.approx(values[0], abs=0.15)


@pytest.mark.parametrize("slab", ["g", "hyper-g", "jzs"])
def test_no_pip_depends_on_units_or_on_the_coding_of_a_factor(slab):
    fit = fitted(slab=slab)
    moved = FRAME.assign(u=100.0 * FRAME["u"] + 3.0, f=FRAME["f"].cat.reorder_categories(list("dbac")))
    other = fitted(moved, 10.0 * Y - 4.0, slab=slab)
    one, two = fit.summary().sort_index(), other.summary().sort_index()
    np.testing.assert_allclose(two["pip"], one["pip"], atol=1e-12)
    np.testing.assert_allclose(two["sd"].filter(like="f["), 10.0 * one["sd"].filter(like="f["), rtol=1e-8)
    for level in "abcd":  # dummies against any level
        dummies = pd.get_dummies(FRAME, columns=["f"], dtype=float).drop(columns=f"f_{level}")
        groups = ["f" if name.startswith("f_") else name for name in dummies]
        coded = fitted(dummies, slab=slab, groups=groups)
        np.testing.assert_allclose(coded.pip_[:3], fit.pip_[[0, 5, 1]], atol=1e-10)
        np.testing.assert_allclose(coded.predict(dummies), fit.predict(FRAME), atol=1e-9)


@pytest.mark.parametrize("slab", ["g", "jzs"])
def test_draws_have_the_moments_of_all_models(slab):
    fit = fitted(slab=slab, inclusion=0.5)
    draws = fit.original_scale_.draws
    error = fit.original_scale_.sd / np.sqrt(len(draws.beta))
    assert bool(((draws.beta.mean(0) - fit.original_scale_.mean).abs() < 5 * error).all())
    np.testing.assert_allclose(draws.beta.std(0), fit.original_scale_.sd, rtol=0.1)
    mean, sd = fit.predict(FRAME, return_std=True)
    x = np.column_stack([FRAME["u"], *((level == FACTOR).astype(float) for level in "abcd"), FRAME["v"]])
    eta = draws.intercept.numpy()[:, None] + draws.beta.numpy() @ x.T
    np.testing.assert_allclose(eta.mean(0), mean, atol=0.03)
    np.testing.assert_allclose(np.sqrt(eta.var(0) + (draws.noise_scale**2).mean().item()), sd, rtol=0.02)


@pytest.mark.filterwarnings("ignore::l0bayes.selection.TrustWarning")
def test_a_column_twice_is_one_column():
    x = FRAME[["u", "v"]].assign(w=RNG.normal(size=N))
    once = fitted(x, slab="g", inclusion=0.5)
    both = x.assign(again=x["u"])
    exact, sampled = (fitted(both, engine=engine, slab="g", inclusion=0.5) for engine in ("exact", "gibbs"))
    # Either of the two or both are the same model: it has three of the four chances.
    odds = 3.0 * once.pip_[0] / (1.0 - once.pip_[0])
    assert exact.posterior_.joint[0, 3] == pytest.approx(odds / (1.0 + odds) / 3.0)
    np.testing.assert_allclose(sampled.pip_, exact.pip_, atol=0.03)
    np.testing.assert_allclose(sampled.predict(both), exact.predict(both), atol=0.03)


def test_weights_are_counts():
    repeated = FRAME.loc[FRAME.index.repeat(2)].reset_index(drop=True)
    twice = fitted(repeated, np.repeat(Y.to_numpy(), 2), slab="jzs")
    weighted = SpikeSlabRegressor(slab="jzs").fit(FRAME, Y, sample_weight=np.full(N, 2.0))
    np.testing.assert_allclose(weighted.pip_, twice.pip_, atol=1e-12)
    assert weighted.log_evidence_ == pytest.approx(twice.log_evidence_)


WIDE = RNG.normal(size=(10, 12))


@pytest.mark.parametrize(
    ("x", "given", "words"),
    [
        (WIDE, {"slab": "g"}, "needs more rows than columns: 9 independent columns.*slab='normal'"),
        (WIDE[:, :3], {"slab": "g", "slab_scale": 2.0}, "slab_scale is of slab='normal'"),
        (WIDE[:, :3], {"slab": "jzs", "noise_prior": (1.0, 1.0)}, "noise_prior is of slab='normal'"),
        (WIDE[:, :3], {"slab": "jzs", "noise_scale": 1.0}, "noise_scale is of slab='normal'"),
        (WIDE[:, :3], {"slab": "jzs", "slab_scaled_by_noise": True}, "slab_scaled_by_noise is of"),
        (
            WIDE[:, :3],
            {"slab": "hyper-g", "engine": "svi"},
            "slabs of slab='hyper-g' depend",
        ),
    ],
    ids=str,
)
def test_refusals(x, given, words):
    with pytest.raises(ValueError, match=words):
        SpikeSlabRegressor(**given).fit(x, RNG.normal(size=len(x)))


def test_a_perfect_fit_is_refused():
    x = RNG.normal(size=(20, 2))
    with pytest.raises(ValueError, match="no model fits without a residual"):
        SpikeSlabRegressor(slab="jzs").fit(x, x[:, 0] - x[:, 1])
