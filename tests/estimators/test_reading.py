"""Tables, sets, draws."""

import arviz as az
import numpy as np
import pytest
import torch

from l0bayes import SpikeSlabRegressor
from l0bayes.selection import TrustWarning
from l0bayes.selection.summaries.false_discoveries import fdr_q_values

COLUMNS = [
    "pip", "pip_mcse", "prior", "log10_bf", "mean", "sd", "cond_mean", "cond_sd", "cond_hdi_low",
    "cond_hdi_high", "p_positive", "in_median_model", "bfdr_q", "group", "credible_set",
]  # fmt: skip


@pytest.fixture(scope="module")
def duplicates():
    """x0 and x1 nearly the same, x2 a signal of its own, x3 nothing."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(60, 4))
    x[:, 1] = x[:, 0] + 0.02 * rng.normal(size=60)
    return x, 1.5 * x[:, 0] - x[:, 2] + rng.normal(size=60)


@pytest.fixture(scope="module")
def fit(duplicates):
    return SpikeSlabRegressor(inclusion=0.2, random_state=0).fit(*duplicates)


def test_the_summary(fit):
    table = fit.summary(hdi_prob=0.9)
    assert list(table.columns) == COLUMNS
    assert table.index.name == "feature"
    assert table["pip"].is_monotonic_decreasing
    assert table.loc["x2", "in_median_model"]
    odds = table["pip"] / (1 - table["pip"]) / (0.2 / 0.8)
    np.testing.assert_allclose(table["log10_bf"].iloc[1:], np.log10(odds.iloc[1:]), rtol=1e-6)
    np.testing.assert_allclose(table["cond_mean"], table["mean"] / table["pip"], rtol=1e-8)
    assert table.loc["x2", "p_positive"] < 0.01
    assert table.loc["x2", "cond_hdi_high"] < 0
    assert table["bfdr_q"].is_monotonic_increasing
    assert table["bfdr_q"].iloc[1] == pytest.approx(1 - table["pip"].iloc[:2].mean())
    assert table.attrs["engine"] == "exact"
    assert table.attrs["trust"] == "exact"
    assert table.attrs["expected_model_size"] == pytest.approx(fit.pip_.sum())
    assert table.attrs["log_evidence"] == fit.log_evidence_


def test_intervals_are_those_of_the_conditional_posterior(fit):
    """Of a signal that is certain: a Normal law, but for the mixture over the other columns."""
    row = fit.summary(hdi_prob=0.9).loc["x2"]
    half = 1.645 * row["cond_sd"]
    assert row["cond_hdi_low"] == pytest.approx(row["cond_mean"] - half, abs=0.2 * half)
    assert row["cond_hdi_high"] == pytest.approx(row["cond_mean"] + half, abs=0.2 * half)


def test_near_duplicates_share_a_credible_set(fit):
    table = fit.summary()
    assert table.loc["x0", "pip"] < 0.95
    assert table.loc["x1", "pip"] < 0.95
    assert table.loc["x0", "credible_set"] == table.loc["x1", "credible_set"]
    assert table.loc["x2", "credible_set"] != table.loc["x0", "credible_set"]
    assert table["credible_set"].isna().loc["x3"]
    sets = {one.gates: one for one in fit.credible_sets()}
    pair = sets.get((0, 1)) or sets[1, 0]
    joint = fit.joint_inclusion()
    union = joint.loc["x0", "x0"] + joint.loc["x1", "x1"] - joint.loc["x0", "x1"]
    assert pair.probability == pytest.approx(union, abs=0.01)
    assert pair.purity > 0.99
    assert sets[2,].probability > 0.95


def test_ties_share_a_false_discovery_rate():
    q = fdr_q_values(torch.tensor([0.5, 0.9, 0.5, 0.1], dtype=torch.float64))
    np.testing.assert_allclose(q, [1.1 / 3, 0.1, 1.1 / 3, 2.0 / 4])


def test_models_and_sizes(fit):
    models = fit.top_models(4)
    assert models["probability"].is_monotonic_decreasing
    assert set(models["variables"].iloc[:2]) == {("x0", "x2"), ("x1", "x2")}
    sizes = fit.model_size()
    assert sizes["posterior"].sum() == pytest.approx(1.0)
    assert sizes["prior"].sum() == pytest.approx(1.0)
    assert sizes.loc[1, "prior"] == pytest.approx(4 * 0.2 * 0.8**3)
    assert sizes["posterior"] @ sizes.index == pytest.approx(fit.pip_.sum())


def test_draws_for_arviz(fit):
    data = fit.inference_data_
    assert data is fit.inference_data_
    posterior = data.posterior
    assert posterior["beta"].dims == ("chain", "draw", "feature")
    np.testing.assert_allclose(posterior["gate"].mean(("chain", "draw")), fit.pip_, atol=0.02)
    np.testing.assert_allclose(posterior["beta"].mean(("chain", "draw")), fit.coef_, atol=0.08)
    assert ((posterior["beta"].to_numpy() == 0) == (posterior["gate"].to_numpy() == 0)).all()
    assert posterior["intercept"].mean() == pytest.approx(fit.intercept_, abs=0.02)
    np.testing.assert_allclose(data.constant_data["pip"], fit.pip_)
    assert len(az.summary(data, var_names=["noise_scale"], kind="stats")) == 1
    assert data.posterior.attrs["engine"] == "exact"


def test_a_variational_fit_of_correlated_columns_warns(duplicates):
    with pytest.warns(TrustWarning, match=r"'x[01]' and 'x[01]' are correlated.*engine='auto'"):
        fit = SpikeSlabRegressor(engine="svi", restarts=2, noise_scale=1.0, random_state=0).fit(*duplicates)
    assert fit.engine_ == "svi"
    assert np.isnan(fit.log_evidence_)
    assert len(fit.summary()) == 4
