"""Columns of text and categories: no result depends on how a factor is coded; effects are those of levels."""

import itertools

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.linalg import null_space
from scipy.special import betaln, logsumexp
from scipy.stats import invgamma, multivariate_normal

from l0bayes import SpikeSlabClassifier, SpikeSlabPoissonRegressor, SpikeSlabRegressor
from l0bayes.estimators.frame_coding import UnseenLevelWarning

KINDS = [SpikeSlabRegressor, SpikeSlabClassifier, SpikeSlabPoissonRegressor]
LEVELS = ["a", "b", "c", "d"]


def frame(count=60, seed=0):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {"x": rng.normal(size=count), "g": rng.choice(LEVELS, count, p=[0.1, 0.4, 0.3, 0.2])}
    )
    table["two"] = rng.choice(["no", "yes"], count, p=[0.7, 0.3])
    eta = (
        0.5 * table["x"]
        + table["g"].map({"a": 0.9, "b": 0.0, "c": 0.2, "d": -0.4})
        + 0.3 * (table["two"] == "yes")
    )
    return table, eta + rng.normal(size=count), eta


def response(kind, y, eta):
    if kind is SpikeSlabClassifier:
        return (y > 0).to_numpy()
    return (
        np.random.default_rng(1).poisson(np.exp(eta)) if kind is SpikeSlabPoissonRegressor else y.to_numpy()
    )


# ---- the model -------------------------------------------------------------------------------------------


def by_hand(table, y):
    """PIPs and effects of g under an orthonormal coding, by enumeration and a grid over the noise."""
    u = (y - y.mean()) / y.std()
    x = (table["x"] - table["x"].mean()) / table["x"].std(ddof=0)
    two = (table["two"] == "yes").astype(float)
    two = (two - two.mean()) / two.std(ddof=0)
    dummies = np.array([table["g"] == level for level in LEVELS], float).T
    basis = null_space(np.ones((1, len(LEVELS))))
    share = dummies.mean(0)
    scale = np.sqrt((1 - share @ share) / (len(LEVELS) - 1))
    block = (dummies - share) @ basis / scale
    grid = np.linspace(np.log(0.02), np.log(20.0), 160)
    logs, effects, models = [], [], list(itertools.product((0, 1), repeat=3))
    for use_x, use_g, use_two in models:
        held = [x.to_numpy()[:, None]] * use_x + [block] * use_g + [two.to_numpy()[:, None]] * use_two
        columns = np.column_stack([10.0 * np.ones(len(u)), *held])
        covariance = columns @ columns.T
        at = [
            multivariate_normal.logpdf(u, np.zeros(len(u)), covariance + np.exp(t) * np.eye(len(u)))
            + invgamma.logpdf(np.exp(t), 1.0, scale=1.0)
            + t
            for t in grid
        ]
        logs.append(
            logsumexp(at) + betaln(1 + sum((use_x, use_g, use_two)), 4 - sum((use_x, use_g, use_two)))
        )
        mean = np.zeros(len(LEVELS))
        if use_g:
            for t, weight in zip(grid, np.exp(np.array(at) - logsumexp(at)), strict=True):
                inverse = np.linalg.solve(covariance + np.exp(t) * np.eye(len(u)), u)
                mean += weight * basis @ (block.T @ inverse)
        effects.append(mean * y.std() / scale)
    weights = np.exp(np.array(logs) - logsumexp(logs))
    return weights @ np.array(models), weights @ np.array(effects)


def test_the_model_is_that_of_an_orthonormal_coding():
    table, y, _ = frame()
    fit = SpikeSlabRegressor(random_state=0, noise_prior=(1.0, 1.0)).fit(table, y)
    pips, effects = by_hand(table, y.to_numpy())
    found = fit.summary()
    assert list(fit.columns_) == ["x", *(f"g[{level}]" for level in LEVELS), "two[no]", "two[yes]"]
    np.testing.assert_allclose(found.loc[["x", "g[a]", "two[no]"], "pip"], pips, atol=1e-6)
    np.testing.assert_allclose(found.loc[[f"g[{level}]" for level in LEVELS], "mean"], effects, atol=1e-6)
    assert fit.joint_inclusion().index.tolist() == ["x", "g", "two"]


def compared(one, other, rename, rtol=1e-10):
    """Two tables of the same rows, but for the names of levels."""
    first, second = one.summary(), other.summary()
    first.index = [rename(name) for name in first.index]
    second = second.loc[first.index]
    np.testing.assert_allclose(first["pip"], second["pip"], rtol=rtol)
    for column in ("mean", "sd", "cond_mean", "cond_sd"):
        np.testing.assert_allclose(first[column], second[column], rtol=1e3 * rtol, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[1::5])
def test_no_result_depends_on_which_level_comes_first(kind, order):
    table, y, eta = frame()
    names = {level: f"{number}{level}" for level, number in zip(LEVELS, order, strict=True)}
    y = response(kind, y, eta)
    one = kind(random_state=0, engine="exact").fit(table, y)
    other = kind(random_state=0, engine="exact").fit(table.assign(g=table["g"].map(names)), y)
    compared(one, other, lambda name: f"g[{names[name[2]]}]" if name.startswith("g[") else name)
    assert one.log_evidence_ == pytest.approx(other.log_evidence_, abs=1e-9)
    np.testing.assert_allclose(
        one.predict_proba(table) if kind is SpikeSlabClassifier else one.coef_.sum(),
        other.predict_proba(table.assign(g=table["g"].map(names)))
        if kind is SpikeSlabClassifier
        else other.coef_.sum(),
        atol=0.02,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_no_result_depends_on_units(kind):
    table, y, eta = frame()
    y = response(kind, y, eta)
    one = kind(random_state=0).fit(table, y)
    other = kind(random_state=0).fit(table.assign(x=1.8 * table["x"] + 32.0), y)
    np.testing.assert_allclose(one.pip_, other.pip_, rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_a_factor_of_two_levels_is_its_column_of_zeros_and_ones(kind):
    table, y, eta = frame()
    y = response(kind, y, eta)
    one = kind(random_state=0).fit(table, y)
    other = kind(random_state=0).fit(table.assign(two=(table["two"] == "yes").astype(float)), y)
    truth = kind(random_state=0).fit(table.assign(two=table["two"] == "yes"), y)
    np.testing.assert_allclose(one.pip_[:-1], other.pip_, rtol=1e-10)
    np.testing.assert_array_equal(truth.pip_, other.pip_)
    assert one.coef_[-1] - one.coef_[-2] == pytest.approx(other.coef_[-1], rel=1e-8)
    table_of_one, table_of_other = one.summary(), other.summary()
    half = table_of_one.loc["two[yes]"]
    assert 2.0 * half["sd"] == pytest.approx(table_of_other.loc["two", "sd"], rel=1e-8)
    assert 2.0 * half["cond_sd"] == pytest.approx(table_of_other.loc["two", "cond_sd"], rel=1e-6)
    assert half["p_positive"] == pytest.approx(table_of_other.loc["two", "p_positive"], abs=0.02)


@pytest.mark.parametrize("arguments", [{}, {"slab_scaled_by_noise": True}, {"noise_scale": 1.0}])
def test_effects_sum_to_zero_and_have_the_spread_of_their_draws(arguments):
    table, y, _ = frame()
    fit = SpikeSlabRegressor(inclusion=0.95, random_state=0, **arguments).fit(table, y)
    effects = (
        fit.inference_data_.posterior["beta"].sel(feature=[f"g[{level}]" for level in LEVELS]).to_numpy()
    )
    np.testing.assert_allclose(effects.sum(-1), 0.0, atol=1e-10)
    found = fit.summary().loc[[f"g[{level}]" for level in LEVELS]]
    assert found["mean"].sum() == pytest.approx(0.0, abs=1e-10)
    np.testing.assert_allclose(found["sd"], effects.reshape(-1, 4).std(0), rtol=0.05)
    open_ = effects.reshape(-1, 4)[(effects.reshape(-1, 4) != 0).any(1)]
    np.testing.assert_allclose(found["cond_sd"], open_.std(0), rtol=0.08)
    width = found["cond_hdi_high"] - found["cond_hdi_low"]
    np.testing.assert_allclose(width / found["cond_sd"], 2 * 1.88, rtol=0.15)


def test_without_an_intercept_levels_have_effects_of_their_own():
    table, y, _ = frame()
    y = y + 5.0
    fit = SpikeSlabRegressor(fit_intercept=False, random_state=0).fit(table[["x", "g"]], y)
    means = y.groupby(table["g"]).mean()
    np.testing.assert_allclose(fit.coef_[1:], means, atol=1.0)


# ---- frames ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_frames_with_factors_of_all_kinds_are_the_same(kind):
    table, y, eta = frame()
    y = response(kind, y, eta)
    exact = kind is not SpikeSlabPoissonRegressor  # whose means are averages of draws
    one = kind(random_state=0).fit(table, y)
    frames = [
        table.astype({"g": "category", "two": object}),
        table.astype({"g": "string", "two": "category"}),
        pl.DataFrame({name: table[name].to_list() for name in table}),
        pl.DataFrame({name: table[name].to_list() for name in table}).with_columns(
            pl.col("g").cast(pl.Categorical)
        ),
        pl.DataFrame({name: table[name].to_list() for name in table}).with_columns(
            pl.col("g").cast(pl.Enum(LEVELS))
        ),
    ]
    for other in frames:
        found = kind(random_state=0).fit(other, y)
        assert list(found.feature_names_in_) == ["x", "g", "two"]
        assert found.n_features_in_ == 3
        np.testing.assert_allclose(found.pip_, one.pip_, rtol=1e-10)
        np.testing.assert_allclose(found.predict(other), one.predict(table), rtol=1e-10 if exact else 0.05)
        assert sorted(found.columns_) == sorted(one.columns_)


def test_numbers_that_are_declared_as_categories_are_a_factor():
    table, y, _ = frame()
    table["grade"] = pd.Categorical(np.resize([1, 2, 3], len(table)), [3, 2, 1])
    fit = SpikeSlabRegressor(random_state=0).fit(table[["x", "grade"]], y)
    assert fit.columns_ == ["x", "grade[3]", "grade[2]", "grade[1]"]


def test_arguments_by_column_are_of_the_columns_of_the_frame():
    table, y, _ = frame()
    fit = SpikeSlabRegressor(
        inclusion=[0.1, 0.2, 0.3], slab_scale=[1.0, 0.5, 2.0], groups=["x", "both", "two"], random_state=0
    ).fit(table, y)
    prior = fit.summary()["prior"]
    np.testing.assert_allclose(prior.loc[["x", "g[a]", "g[d]", "two[no]"]], [0.1, 0.2, 0.2, 0.3])
    together = SpikeSlabRegressor(groups={"both": ["g", "two"]}, random_state=0).fit(table, y)
    assert set(together.summary()["group"]) == {"x", "both"}
    with pytest.raises(ValueError, match="slab_scale must be a number or one for each of 3 columns"):
        SpikeSlabRegressor(slab_scale=[1.0, 1.0]).fit(table, y)


def test_rows_of_weight_zero_bring_no_level():
    table, y, _ = frame()
    weights = (table["g"] != "a").astype(float)
    one = SpikeSlabRegressor(random_state=0).fit(table, y, sample_weight=weights)
    used = table["g"] != "a"
    other = SpikeSlabRegressor(random_state=0).fit(table[used], y[used])
    assert one.columns_ == other.columns_
    np.testing.assert_allclose(one.pip_, other.pip_, rtol=1e-10)


REFUSED = {
    "missing level": (lambda t: t.assign(g=t["g"].where(t.index != 4)), r"NaN in column 'g', first in row 4"),
    "text among numbers": (
        lambda t: t.assign(x=t["x"].astype(object).where(t.index != 2, "high")),
        r"text in column 'x', 'high' in row 2, among numbers",
    ),
    "a name in each row": (
        lambda t: t.assign(g=[f"n{i}" for i in t.index]),
        r"'g', with 60 different values",
    ),
    "dates": (lambda t: t.assign(g=pd.Timestamp("2020-01-01")), r"dates or times in column 'g'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_columns_that_are_neither_numbers_nor_factors(name):
    table, y, _ = frame()
    change, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        SpikeSlabRegressor().fit(change(table), y)


PREDICTED = {
    "unseen level": (
        lambda t: t.assign(g="e"),
        r"'e' in column 'g', row 0: a level that no row had in fit.*'a'",
    ),
    "another order": (lambda t: t[["g", "x", "two"]], "feature names should match"),
    "a column less": (lambda t: t[["x", "g"]], r"(?s)feature names should match.*two"),
    "a column more": (lambda t: t.assign(more=1.0), r"(?s)feature names.*more"),
    "no frame": (lambda t: np.zeros((3, 3)), r"X must be a frame with the columns x, g, two"),
    "missing level": (lambda t: t.assign(g=None), r"NaN in column 'g', first in row 0"),
    "text for numbers": (lambda t: t.assign(x="high"), r"X holds no numbers in column 'x'"),
    "numbers for text": (lambda t: t.assign(g=1.0), r"1.0 in column 'g', row 0: a level that no row had"),
}


@pytest.mark.parametrize("name", PREDICTED)
def test_predictions_from_other_columns_are_refused_by_name(name):
    table, y, _ = frame()
    fit = SpikeSlabRegressor(random_state=0).fit(table, y)
    change, message = PREDICTED[name]
    with pytest.raises(ValueError, match=message):
        fit.predict(change(table[:3]))


def test_a_level_that_was_declared_and_not_seen_is_predicted_at_the_mean_of_the_others():
    table, y, _ = frame()
    declared = table.assign(g=pd.Categorical(table["g"], [*LEVELS, "e"]))
    fit = SpikeSlabRegressor(random_state=0).fit(declared, y)
    np.testing.assert_allclose(fit.pip_, SpikeSlabRegressor(random_state=0).fit(table, y).pip_, rtol=1e-12)
    new = pd.DataFrame({"x": 0.0, "g": pd.Categorical([*LEVELS, "e"], [*LEVELS, "e"]), "two": "no"})
    with pytest.warns(UnseenLevelWarning, match="no row of level 'e' of column 'g' was seen"):
        predicted = fit.predict(new)
    assert predicted[4] == pytest.approx(predicted[:4].mean())
