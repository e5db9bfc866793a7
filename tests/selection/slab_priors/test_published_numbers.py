"""Numbers of R's BMS and BayesFactor, which stand in the folder ``references`` with how they were made."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from l0bayes import SpikeSlabRegressor
from l0bayes.selection import SlabSetting
from l0bayes.selection.slab_priors.jzs import JZS
from l0bayes.selection.slab_priors.slab_prior import log_bayes_factor

FOLDER = Path(__file__).parent / "references"


def reference(name):
    return json.loads((FOLDER / name).read_text())


def r_squared(x, y):
    x, y = x - x.mean(0), y - y.mean()
    left = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return 1.0 - left @ left / (y @ y)


@pytest.fixture(scope="module")
def crime():
    table = pd.read_csv(FOLDER / "uscrime.csv")
    return table.drop(columns="y"), table["y"]


def test_pips_of_bms_to_every_digit(crime):
    expected = reference("bms-uscrime-unit-information.json")
    fit = SpikeSlabRegressor(slab="g", inclusion=0.5).fit(*crime)
    found = fit.summary()
    assert fit.trust_.verdict == "exact"
    for name, pip in expected["pip"].items():
        assert f"{found['pip'][name]:.4f}" == f"{pip:.4f}"
    np.testing.assert_allclose(found["mean"][list(expected["mean"])], list(expected["mean"].values()), 5e-5)
    np.testing.assert_allclose(found["sd"][list(expected["sd"])], list(expected["sd"].values()), 5e-5)
    assert found.attrs["expected_model_size"] == pytest.approx(expected["mean_size"], abs=5e-5)


def test_bayes_factors_of_bayesfactor_to_a_millionth():
    expected = reference("bayesfactor-attitude-jzs.json")
    table = pd.read_csv(FOLDER / "attitude.csv")
    y = table["rating"].to_numpy(float)
    for model in expected["models"]:
        size = len(model["columns"])
        r2 = r_squared(table[model["columns"]].to_numpy(float), y) if size else 0.0
        found = log_bayes_factor(
            JZS(), SlabSetting(30, 29, 6), torch.tensor([size]), torch.tensor([r2], dtype=torch.float64)
        )
        assert float(found) == pytest.approx(model["log_bf"], abs=1e-6)
    fit = SpikeSlabRegressor(slab="jzs", inclusion=0.5).fit(table[expected["columns"]], y)
    np.testing.assert_allclose(fit.pip_, [expected["pips"][name] for name in expected["columns"]], atol=1e-6)
    top = fit.top_models(5)
    best = sorted(expected["models"], key=lambda model: -model["posterior_probability"])[:5]
    np.testing.assert_allclose(top["probability"], [one["posterior_probability"] for one in best], atol=1e-6)
    assert [set(names) for names in top["variables"]] == [set(one["columns"]) for one in best]
