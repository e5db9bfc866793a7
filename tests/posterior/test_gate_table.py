"""The gate table against direct computation."""

import arviz as az
import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.sites import spike_and_slab
from tests.arviz_versions import from_groups, hdi, with_variable
from tests.posterior import fits
from tests.posterior.fits import NAMES, X, Y

COLUMNS = [
    "pip",
    "pip_low",
    "pip_high",
    "prob_one",
    "mean",
    "sd",
    "hdi_low",
    "hdi_high",
    "mean_active",
    "prior",
    "bayes_factor",
    "in_median_model",
]


def best_chain(fit):
    return fit.restarts.index(fit.best)


def draws_of(name, site="beta"):
    chain = best_chain(getattr(fits, name)())
    return fits.idata(name).posterior[site].to_numpy()[chain].astype(np.float64)


# ---- columns -----------------------------------------------------------------------------------------


def test_rows_and_columns():
    table = l0bayes.gate_table(fits.idata("plain"), sort=False)
    assert list(table.columns) == COLUMNS
    assert list(table.index) == NAMES
    assert table.index.name == "weight"
    assert table["in_median_model"].dtype == bool


def test_pips_are_analytic_with_their_range_over_restarts():
    fit, table = fits.plain(), l0bayes.gate_table(fits.idata("plain"), sort=False)
    pips = np.stack([r.guide.gates()["beta.gate"].prob_active.detach().numpy() for r in fit.restarts])
    law = fit.guide.gates()["beta.gate"]
    assert table["pip"].to_numpy() == pytest.approx(law.prob_active.detach().numpy())
    assert table["prob_one"].to_numpy() == pytest.approx(law.prob_one.detach().numpy())
    assert table["pip_low"].to_numpy() == pytest.approx(pips.min(0))
    assert table["pip_high"].to_numpy() == pytest.approx(pips.max(0))
    assert (table["pip_low"] < table["pip_high"]).all()
    assert (table["in_median_model"] == (table["pip"] > 0.5)).all()


def test_moments_of_the_weight_with_and_without_zeros():
    table, draws = l0bayes.gate_table(fits.idata("plain"), sort=False), draws_of("plain")
    assert table["mean"].to_numpy() == pytest.approx(draws.mean(0), rel=1e-5)
    assert table["sd"].to_numpy() == pytest.approx(draws.std(0), rel=1e-5)
    active = [draws[draws[:, j] != 0, j].mean() for j in range(3)]
    assert table["mean_active"].to_numpy() == pytest.approx(active, rel=1e-4)


def test_the_bayes_factor_is_posterior_odds_over_prior_odds():
    table = l0bayes.gate_table(fits.idata("plain"))
    assert table["prior"].to_numpy() == pytest.approx(0.2)
    odds = table["pip"] / (1 - table["pip"])
    assert table["bayes_factor"].to_numpy() == pytest.approx((odds / (0.2 / 0.8)).to_numpy(), rel=1e-5)


def narrowest(values, prob):
    """Brute force over all windows that ArviZ's count of draws allows."""
    ordered = np.sort(values)
    width = int(np.ceil(prob * len(ordered)))
    windows = [(ordered[i + width] - ordered[i], i) for i in range(len(ordered) - width)]
    _, start = min(windows)
    return ordered[start], ordered[start + width]


@pytest.mark.parametrize("prob", [0.5, 0.94])
def test_the_interval_is_the_narrowest_that_holds_its_share(prob):
    table, draws = l0bayes.gate_table(fits.idata("plain"), sort=False, hdi_prob=prob), draws_of("plain")
    for row, name in enumerate(NAMES):
        low, high = narrowest(draws[:, row], prob)
        assert (table.loc[name, "hdi_low"], table.loc[name, "hdi_high"]) == pytest.approx((low, high))
        inside = (draws[:, row] >= low) & (draws[:, row] <= high)
        assert inside.mean() >= prob


def test_the_interval_is_arvizs():
    """Of 400 draws and 94 percent both count the same draws; a mode at the spike is one of many zeros."""
    table = l0bayes.gate_table(fits.idata("plain"), sort=False)
    reference = hdi(draws_of("plain").reshape(400, 3), 0.94)
    widths = (table["hdi_high"] - table["hdi_low"]).to_numpy()
    assert widths == pytest.approx(reference[:, 1] - reference[:, 0], abs=1e-6)


def test_a_gate_that_is_never_open_and_one_that_always_is():
    model = fits.plain().model
    guide = AutoHardConcrete(model, (X, Y))
    with torch.no_grad():
        for parameter in guide.gate_parameters():
            parameter.copy_(torch.tensor([-200.0, 200.0, 0.0]))
    table = l0bayes.gate_table(l0bayes.to_arviz(l0bayes.Fit.of(model, guide, (X, Y)), num_draws=50))
    shut, open_ = table.loc["age"], table.loc["bmi"]
    assert (shut["pip"], shut["mean"], shut["sd"], shut["bayes_factor"]) == (0.0, 0.0, 0.0, 0.0)
    assert np.isnan(shut["mean_active"])
    assert (shut["hdi_low"], shut["hdi_high"]) == (0.0, 0.0)
    assert (open_["pip"], open_["prob_one"], open_["bayes_factor"]) == (1.0, 1.0, np.inf)
    assert open_["mean_active"] == open_["mean"]


# ---- order, restarts, names --------------------------------------------------------------------------


def test_the_most_probable_comes_first():
    table = l0bayes.gate_table(fits.idata("plain"))
    assert table["pip"].is_monotonic_decreasing
    unsorted = l0bayes.gate_table(fits.idata("plain"), sort=False)
    pd.testing.assert_frame_equal(table.sort_index(), unsorted.sort_index())


def test_one_restart_has_no_range():
    table = l0bayes.gate_table(fits.idata("latent_inclusion"))
    assert list(table.columns) == [c for c in COLUMNS if c not in ("pip_low", "pip_high")]


@pytest.mark.parametrize("chain", [0, 1])
def test_a_restart_of_ones_choice(chain):
    table = l0bayes.gate_table(fits.idata("plain"), sort=False, chain=chain)
    law = fits.plain().restarts[chain].guide.gates()["beta.gate"]
    assert table["pip"].to_numpy() == pytest.approx(law.prob_active.detach().numpy())
    draws = fits.idata("plain").posterior["beta"][chain].to_numpy()
    assert table["mean"].to_numpy() == pytest.approx(draws.mean(0), rel=1e-4, abs=1e-6)


def test_the_best_restart_is_the_one_with_the_highest_elbo():
    elbos = np.array([run.elbo for run in fits.plain().restarts])
    for order in (elbos, -elbos):
        idata = with_variable(fits.idata("plain"), "constant_data", "elbo", ("chain", order))
        expected = l0bayes.gate_table(idata, chain=int(order.argmax()))
        pd.testing.assert_frame_equal(l0bayes.gate_table(idata), expected)


def test_a_restart_without_an_elbo_is_not_the_best():
    """An interrupted restart has none."""
    elbos = ("chain", np.array([-3.0, np.nan]))
    idata = with_variable(fits.idata("plain"), "constant_data", "elbo", elbos)
    pd.testing.assert_frame_equal(l0bayes.gate_table(idata), l0bayes.gate_table(idata, chain=0))


def test_without_any_elbo_the_first_is_read():
    fit = l0bayes.Fit.of(fits.plain().model, fits.plain().restarts[1].guide, (X, Y))
    table = l0bayes.gate_table(l0bayes.to_arviz(fit, num_draws=10), sort=False)
    law = fits.plain().restarts[1].guide.gates()["beta.gate"]
    assert table["pip"].to_numpy() == pytest.approx(law.prob_active.detach().numpy())


def test_a_fit_is_drawn_from_first():
    table = l0bayes.gate_table(fits.grouped())
    expected = l0bayes.gate_table(l0bayes.to_arviz(fits.grouped()))
    pd.testing.assert_frame_equal(table, expected)


def test_a_file_has_the_same_table(tmp_path):
    path = str(tmp_path / "posterior.nc")
    fits.idata("plain").to_netcdf(path)
    pd.testing.assert_frame_equal(
        l0bayes.gate_table(az.from_netcdf(path)), l0bayes.gate_table(fits.idata("plain"))
    )


# ---- which gates -------------------------------------------------------------------------------------


def test_columns_of_one_group_share_their_gate():
    table = l0bayes.gate_table(fits.idata("grouped"), sort=False)
    pips = fits.grouped().guide.gates()["beta.gate"].prob_active.detach().numpy()
    assert table["pip"].to_numpy() == pytest.approx(pips[[1, 0, 0]])
    assert table["prior"].to_numpy() == pytest.approx([0.4] * 3)
    assert table.loc["bmi", "pip"] == table.loc["dose", "pip"]
    draws = draws_of("grouped")
    assert table["mean"].to_numpy() == pytest.approx(draws.mean(0), rel=1e-4, abs=1e-6)


def test_the_gates_of_groups_by_name():
    table = l0bayes.gate_table(fits.idata("grouped"), "beta.gate", sort=False)
    pips = fits.grouped().guide.gates()["beta.gate"].prob_active.detach().numpy()
    assert list(table.index) == ["beta.gate[0]", "beta.gate[1]"]
    assert table["pip"].to_numpy() == pytest.approx(pips)
    # in a table of gates the moments are the gate's
    draws = draws_of("grouped", "beta.gate")
    assert table["mean"].to_numpy() == pytest.approx(draws.mean(0), rel=1e-5)
    assert (table["hdi_low"] >= 0.0).all()
    assert (table["hdi_high"] <= 1.0).all()


def test_gates_of_a_network_have_a_row_each():
    table = l0bayes.gate_table(fits.idata("network"), sort=False)
    assert list(table.index) == [f"0.gate[{i}]" for i in range(3)] + [f"2.gate[{i}]" for i in range(4)]
    gates = fits.network().guide.gates()
    pips = torch.cat([gates["0.gate"].prob_active, gates["2.gate"].prob_active]).detach().numpy()
    assert table["pip"].to_numpy() == pytest.approx(pips)
    assert len(l0bayes.gate_table(fits.idata("network"), "2.gate")) == 4


def test_gates_shared_by_broadcasting_stand_for_their_weights():
    """A gate a column of a matrix: the gates are listed; a scalar weight is listed itself."""
    table = l0bayes.gate_table(fits.idata("matrix"), sort=False)
    assert list(table.index) == ["offset"] + [f"weight.gate[0, {i}]" for i in range(3)]
    with pytest.raises(ValueError, match=r"weights 'weight' share gates by broadcasting; read.*weight.gate"):
        l0bayes.gate_table(fits.idata("matrix"), "weight")


def test_weights_in_a_matrix_with_gates_of_their_own():
    def model(x):
        slab = dist.Normal(0.0, 1.0).expand([2, 3]).to_event(2)
        weight = spike_and_slab("w", torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]), slab)
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(weight.sum(), 1.0), obs=x)

    model.coords, model.dims = {"row": ["a", "b"]}, {"w": ("row", "column")}
    guide = AutoHardConcrete(model, (Y,)).perturb(0)
    idata = l0bayes.to_arviz(l0bayes.Fit.of(model, guide, (Y,)), num_draws=20)
    table = l0bayes.gate_table(idata, sort=False)
    assert list(table.index) == ["a, 0", "a, 1", "a, 2", "b, 0", "b, 1", "b, 2"]
    assert table["prior"].to_numpy() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    pips = guide.gates()["w.gate"].prob_active.detach().numpy().ravel()
    assert table["pip"].to_numpy() == pytest.approx(pips)


# ---- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("prob", [0.0, 1.0, -0.1, 94.0, float("nan")])
def test_hdi_prob(prob):
    with pytest.raises(ValueError, match=f"hdi_prob must lie strictly between 0 and 1, got {prob}"):
        l0bayes.gate_table(fits.idata("plain"), hdi_prob=prob)


def test_unknown_name():
    with pytest.raises(ValueError, match=r"name must be one of \['beta', 'beta.gate'\]; got 'gamma'"):
        l0bayes.gate_table(fits.idata("plain"), "gamma")


def test_only_gates_and_gated_weights_have_names():
    with pytest.raises(ValueError, match=r"name must be one of \['0.gate', '2.gate'\]; got '0.weight'"):
        l0bayes.gate_table(fits.idata("network"), "0.weight")


def test_a_weight_that_was_left_out_of_the_draws():
    idata = l0bayes.to_arviz(fits.plain(), num_draws=5, var_names=["intercept"])
    with pytest.raises(ValueError, match="'beta' is not among the draws; name it in var_names of to_arviz"):
        l0bayes.gate_table(idata, "beta")


@pytest.mark.parametrize("chain", [2, -3])
def test_a_restart_that_does_not_exist(chain):
    with pytest.raises(ValueError, match=f"chain must be 'best' or one of the 2 restarts.*got {chain}"):
        l0bayes.gate_table(fits.idata("plain"), chain=chain)


def test_data_that_l0bayes_did_not_write():
    other = from_groups(posterior={"mu": np.zeros((1, 10))})
    with pytest.raises(ValueError, match=r"posterior has no group 'constant_data' with gates.*to_arviz"):
        l0bayes.gate_table(other)
    other = from_groups(posterior={"mu": np.zeros((1, 10))}, constant_data={"x": np.zeros(3)})
    with pytest.raises(ValueError, match=r"posterior has no group 'constant_data' with gates.*to_arviz"):
        l0bayes.gate_table(other)


def test_a_fit_without_gates():
    def model(y):
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        with pyro.plate("row", len(y)):
            pyro.sample("y", dist.Normal(mean, 1.0), obs=y)

    data = (torch.zeros(3),)
    fit = l0bayes.Fit.of(model, l0bayes.guides.AutoHardConcrete(model, data), data)
    with pytest.raises(
        ValueError, match=r"the fit's model has no gates: sample them by l0bayes.spike_and_slab"
    ):
        l0bayes.gate_table(fit)
