"""Inclusion probabilities under other priors: of all models as refits give them, of draws near them."""

import ast

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from l0bayes import (
    SpikeSlabClassifier,
    SpikeSlabCountRegressor,
    SpikeSlabGLM,
    SpikeSlabPoissonRegressor,
    SpikeSlabRegressor,
    SpikeSlabRobustRegressor,
)
from l0bayes.plots import plot_sensitivity
from l0bayes.selection.sensitivity import prior_changes


def data(rows=60):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(rows, 4)), columns=["a", "b", "c", "d"])
    frame["b"] += 0.8 * frame["a"]
    frame["ward"] = rng.choice(["east", "north", "west"], rows)
    y = 0.5 * frame["a"] + 0.4 * (frame["ward"] == "east") + rng.normal(size=rows)
    return frame, y.to_numpy(), rng.poisson(np.exp(0.4 * frame["a"]))


def refitted(kind, base, labels, frame, y):
    """A fit of its own under the prior that the labels of a row name."""
    given = dict(base)
    inclusion = labels["inclusion"]
    given["inclusion"] = ast.literal_eval(inclusion[4:]) if inclusion.startswith("Beta") else float(inclusion)
    if "slab_scale" in labels:
        given["slab_scale"] = labels["slab_scale"]
    if labels.get("noise_prior", "known") != "known":
        noise = labels["noise_prior"]
        given["noise_prior"] = ast.literal_eval(noise) if noise.startswith("(") else noise
    if "slab" in labels:
        name, _, g = labels["slab"].partition("=")
        given |= {"slab": name, "g": g or "unit"}
    return kind(**given).fit(frame, y)


@pytest.mark.parametrize(
    ("kind", "base", "asked"),
    [
        (SpikeSlabRegressor, {}, {"slab_scale": [0.3, 2.0], "inclusion": [0.2, (1, 4)]}),
        (
            SpikeSlabRegressor,
            {"noise_scale": 1.0, "always_in": ["b"]},
            {"slab_scale": [0.5], "inclusion": [0.7]},
        ),
        (
            SpikeSlabRegressor,
            {"slab_scaled_by_noise": True, "intercept_scale": np.inf},
            {"slab_scale": [0.5, 3.0], "noise_prior": ["jeffreys", (3.0, 1.0)]},
        ),
        (SpikeSlabRegressor, {"slab": "g", "g": "eb-global"}, {"slab": ["jzs", ("g", "bric")]}),
        (SpikeSlabPoissonRegressor, {}, {"slab_scale": [0.4, 2.0]}),
    ],
)
def test_all_models_give_what_refits_give(kind, base, asked):
    frame, y, counts = data()
    response = counts if kind is SpikeSlabPoissonRegressor else y
    fit = kind(**base).fit(frame, response)
    table = fit.sensitivity(**asked)
    assert set(table["method"]) == {"all models"}
    axes = table.attrs["axes"]
    for values, part in table.groupby(axes, sort=False):
        again = refitted(kind, base, dict(zip(axes, values, strict=True)), frame, response)
        np.testing.assert_allclose(part["pip"], again.original_scale_.pip, atol=1e-8, rtol=0)
        assert part["log_evidence"].iloc[0] == pytest.approx(again.posterior_.log_evidence, abs=1e-8)
    own = table[table["own_prior"]]
    np.testing.assert_allclose(own["pip"], fit.original_scale_.pip, atol=1e-10)


@pytest.mark.parametrize(
    ("kind", "base", "asked"),
    [
        (
            SpikeSlabRobustRegressor,
            {"df": 4.0},
            {"slab_scale": [0.5], "inclusion": [], "noise_prior": [(2.0, 0.5)]},
        ),
        (
            SpikeSlabRobustRegressor,
            {"df": 4.0, "noise_prior": (3.0, 1.0)},
            {"slab_scale": [], "inclusion": [0.3], "noise_prior": ["weak"]},
        ),
        (SpikeSlabCountRegressor, {"likelihood": "negative_binomial"}, {"slab_scale": [0.5]}),
    ],
)
def test_likelihoods_that_learn_numbers_are_fitted_again(kind, base, asked):
    frame, y, counts = data()
    frame, y = frame[["a", "b"]], counts if kind is SpikeSlabCountRegressor else y
    fit = kind(**base).fit(frame, y)
    table = fit.sensitivity(**{"inclusion": [0.3], **asked})
    axes = table.attrs["axes"]
    for values, part in table.groupby(axes, sort=False):
        again = refitted(kind, base, dict(zip(axes, values, strict=True)), frame, y)
        np.testing.assert_allclose(part["pip"], again.original_scale_.pip, atol=1e-6, rtol=0)
    assert table["own_prior"].sum() == 2
    with pytest.raises(ValueError, match="refit=False asks for answers without another run"):
        fit.sensitivity(**asked, refit=False)


def test_a_prior_of_noise_that_heavy_tails_do_not_bear_is_refused():
    frame, y, counts = data()
    robust = SpikeSlabRobustRegressor(df=4.0).fit(frame[["a"]], y)
    with pytest.raises(ValueError, match="noise_prior 'jeffreys' is for Normal noise"):
        robust.sensitivity(noise_prior=["jeffreys"])
    with pytest.raises(ValueError, match="Take 'weak', or a pair"):
        SpikeSlabRobustRegressor(noise_prior="jeffreys").fit(frame[["a"]], y)
    known = SpikeSlabRobustRegressor(df=4.0, noise_scale=1.0).fit(frame[["a"]], y)
    for fit in (known, SpikeSlabPoissonRegressor().fit(frame[["a"]], counts)):
        with pytest.raises(ValueError, match="noise_prior has no part in this likelihood"):
            fit.sensitivity(noise_prior=["weak"])


def test_nothing_is_fitted_again(monkeypatch):
    frame, y, _ = data()
    fit = SpikeSlabRegressor().fit(frame, y)
    monkeypatch.setattr(
        "l0bayes.estimators.sensitivity.prior_sensitivity.infer_gates",
        lambda *args, **kwargs: pytest.fail("an engine ran"),
    )
    table = fit.sensitivity()
    assert table.groupby(table.attrs["axes"]).ngroups == 5 * 3 * 3
    assert list(table.columns) == [
        "slab_scale", "noise_prior", "inclusion", "variable", "pip", "selected", "own_prior", "method",
        "effective_draws", "log_evidence",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "estimator",
    [
        SpikeSlabRegressor(engine="gibbs", random_state=0),
        SpikeSlabRegressor(engine="gibbs", random_state=0, slab="jzs"),
        SpikeSlabClassifier(engine="gibbs", random_state=0),
    ],
    ids=["normal", "jzs", "classes"],
)
def test_draws_are_weighted_and_their_effective_number_told(estimator, monkeypatch):
    frame, y, _ = data()
    fit = estimator.fit(frame, y > 0 if isinstance(estimator, SpikeSlabClassifier) else y)
    asked = {"inclusion": [0.3]}
    if type(estimator) is SpikeSlabRegressor and estimator.slab == "normal":
        asked["noise_prior"] = [(2.0, 0.5)]
    asked |= {"slab": ["g"]} if estimator.get_params().get("slab") == "jzs" else {"slab_scale": [0.7]}
    exact = fit.sensitivity(**asked)
    monkeypatch.setattr(prior_changes, "gates_at_most", lambda problem: 0)
    weighted = fit.sensitivity(**asked)
    assert set(weighted["method"]) == {"reweighted"}
    assert (weighted["effective_draws"] >= 400).all()
    error = 4.0 * np.sqrt(0.25 / weighted["effective_draws"]) + 0.01
    assert (abs(weighted["pip"] - exact["pip"]) < error).all()


def test_where_draws_do_not_reach_the_engine_runs_again(monkeypatch):
    frame, y, _ = data()
    fit = SpikeSlabRegressor(engine="gibbs", random_state=0, inclusion=0.5).fit(frame, y)
    monkeypatch.setattr(prior_changes, "gates_at_most", lambda problem: 0)
    far = {"slab_scale": [], "noise_prior": [], "inclusion": [0.001]}
    table = fit.sensitivity(**far)
    assert table.groupby("inclusion")["method"].first().to_dict() == {
        "0.5": "reweighted",
        "0.001": "refitted",
    }
    again = SpikeSlabRegressor(inclusion=0.001).fit(frame, y)
    np.testing.assert_allclose(
        table.loc[table["inclusion"] == "0.001", "pip"], again.original_scale_.pip, atol=0.02
    )
    left = fit.sensitivity(**far, refit=False)
    assert left.loc[left["inclusion"] == "0.001", "pip"].isna().all()
    assert "Of 1 priors nothing is told" in left.attrs["words"][-1]


def test_words_say_what_crosses_and_what_does_not():
    frame, y, _ = data()
    fit = SpikeSlabRegressor().fit(frame, y)
    table = fit.sensitivity()
    words = table.attrs["words"]
    pips = table.groupby("variable")["pip"]
    for name in frame.columns:
        crosses = pips.min()[name] <= 0.5 < pips.max()[name]
        told = [one for one in words if one.startswith(f"{name}: its PIP crosses one half")]
        assert len(told) == crosses
        if crosses:
            assert f"{pips.min()[name]:.2f} (slab_scale" in told[0]
            count = int((table.loc[table["variable"] == name, "pip"] > 0.5).sum())
            assert f"above it under {count} of 45 priors" in told[0]
    strict = fit.sensitivity(slab_scale=[], noise_prior=[], inclusion=[], threshold=0.9)
    assert strict["selected"].tolist() == (fit.original_scale_.pip.numpy() > 0.9).tolist()
    assert len(strict) == len(frame.columns)


def test_what_has_no_part_in_a_model_is_refused():
    frame, y, counts = data()
    known = SpikeSlabRegressor(noise_scale=1.0).fit(frame, y)
    jzs = SpikeSlabRegressor(slab="jzs").fit(frame, y)
    poisson = SpikeSlabGLM("poisson").fit(frame, counts)
    for fit, wrong, words in (
        (known, {"noise_prior": ["weak"]}, "this one is known"),
        (known, {"slab": ["jzs"]}, "slab has no part in slab='normal'"),
        (known, {"slab_scale": [-1.0]}, "slab_scale must be a positive number"),
        (known, {"inclusion": [1.5]}, "strictly between 0 and 1"),
        (known, {"threshold": 0.0}, "threshold"),
        (jzs, {"slab_scale": [1.0]}, "slab_scale has no part"),
        (jzs, {"slab": ["normal"]}, "has scales of its own"),
        (poisson, {"noise_prior": ["weak"]}, "noise_prior has no part"),
    ):
        with pytest.raises(ValueError, match=words):
            fit.sensitivity(**wrong)


def test_the_map_shows_the_table():
    frame, y, _ = data()
    fit = SpikeSlabRegressor().fit(frame, y)
    table = fit.sensitivity(inclusion=[0.3])
    ax = plot_sensitivity(table)
    image = ax.images[0].get_array()
    priors = table.groupby(table.attrs["axes"]).ngroups
    assert image.shape == (len(frame.columns), priors)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    for name, row in zip(labels, np.asarray(image), strict=True):
        own = table[table["variable"] == name]
        np.testing.assert_allclose(np.sort(row), np.sort(own["pip"]))
    # The first block is the prior of the fit, its slab scales from left to right.
    first = table[(table["inclusion"] == "Beta(1, 1)") & (table["noise_prior"] == "weak")]
    row = first[first["variable"] == labels[0]].sort_values("slab_scale")["pip"]
    np.testing.assert_allclose(np.asarray(image)[0, : len(row)], row)
    assert plot_sensitivity(table, most=2).images[0].get_array().shape[0] == 2
    plt.close("all")
