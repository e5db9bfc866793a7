"""Estimators of counts, shares, outliers and survival times are kept, checked and predicted from alike."""

import numpy as np
import pandas as pd
import pytest

import l0bayes
from l0bayes.apps import select as selecting
from l0bayes.estimators import (
    SpikeSlabBinomial,
    SpikeSlabCountRegressor,
    SpikeSlabCox,
    SpikeSlabRobustRegressor,
)

ROWS = 60


def table():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(ROWS, 2)), columns=["a", "b"])
    return frame, 0.6 * frame["a"].to_numpy(), rng


def cases():
    _, eta, rng = table()
    time = rng.uniform(1.0, 4.0, ROWS)
    counts = rng.poisson(time * np.exp(eta) * rng.gamma(2.0, 0.5, ROWS))
    known = {"exposure": time}, {"offset": np.log(time)}
    return {
        "poisson": (SpikeSlabCountRegressor(random_state=0), counts, *known),
        "negative_binomial": (
            SpikeSlabCountRegressor(likelihood="negative_binomial", random_state=0), counts, *known
        ),
        "binomial": (
            SpikeSlabBinomial(random_state=0), rng.binomial(5, 1 / (1 + np.exp(-eta))), {"trials": 5},
            {"trials": 5},
        ),
        "robust": (SpikeSlabRobustRegressor(random_state=0), eta + rng.standard_t(3, ROWS), {}, {}),
        "cox": (
            SpikeSlabCox(random_state=0),
            np.column_stack([rng.exponential(np.exp(-eta)), rng.random(ROWS) < 0.8]), {}, {},
        ),
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore::l0bayes.estimators.LikelihoodWarning")
@pytest.mark.parametrize("name", ["poisson", "negative_binomial", "binomial", "robust", "cox"])
def test_what_is_kept_predicts_the_same(name, tmp_path):
    frame = table()[0]
    fit, y, own, others = cases()[name]
    fit.fit(frame, y, **own)
    fit.save(tmp_path)
    kept = l0bayes.load_selection(tmp_path)
    for estimator in ("average", "median", "best"):
        for more in ({}, {"interval": 0.8}, {"return_std": True}):
            one = fit.predict(frame, estimator=estimator, **more, **own)
            other = kept.predict(frame, estimator=estimator, **more, **others)
            np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-12, atol=1e-12)
    if name == "cox":
        with pytest.raises(ValueError, match="all rows together"):
            fit.row_checks()
    else:
        assert np.isfinite(fit.row_checks().rows["residual"]).all()


@pytest.mark.filterwarnings("ignore::l0bayes.estimators.LikelihoodWarning")
def test_the_command_reads_exposures_and_refuses_files_that_lack_them(tmp_path, monkeypatch):
    monkeypatch.setattr("l0bayes.apps.select.selection_job.pictures", lambda *args: [])
    frame = table()[0]
    fit, y, own, _ = cases()["poisson"]
    data = frame.assign(n=y, time=own["exposure"])
    data.to_csv(tmp_path / "data.csv", index=False)
    columns = selecting.RowColumns(exposure="time")
    settings = selecting.SelectSettings(likelihood="poisson", rows=columns)
    selecting.select(tmp_path / "data.csv", "n ~ a + b", tmp_path / "out", settings)
    kept = l0bayes.load_selection(tmp_path / "out")
    mean = kept.predict(data)
    np.testing.assert_allclose(kept.predict(data.assign(time=2.0 * data["time"])), 2.0 * mean, rtol=1e-10)
    np.testing.assert_allclose(mean, fit.fit(frame, y, **own).predict(frame, **own), rtol=0.02)
    with pytest.raises(ValueError, match="lacks the column 'time', which was --exposure"):
        kept.predict(data.drop(columns="time"))
    with pytest.raises(ValueError, match=r"'time' must hold positive numbers .*data row 1"):
        kept.predict(data.assign(time=-1.0))
