"""Responses for which no likelihood was named, and numbers that JSON does not have."""

import json

import numpy as np
import pandas as pd
import pytest

from l0bayes.apps.select import SelectSettings, apply_formula
from l0bayes.apps.select.response_words import doubts_about_response
from tests.apps.select.test_select_command import page, quick, run, written

__all__ = ["quick"]


def doubts(y, likelihood=None, formula="y ~ x"):
    table = pd.DataFrame({"y": y, "x": np.random.default_rng(0).normal(size=len(y))})
    settings = SelectSettings(likelihood=likelihood)
    return doubts_about_response(apply_formula(table, formula, settings.law), settings)


COUNTS = np.arange(30) % 7


@pytest.mark.parametrize(
    ("y", "held", "option"),
    [
        (COUNTS, "whole numbers only, 0 to 6", "--likelihood poisson"),
        (COUNTS.astype(float) + 100, "whole numbers only, 100 to 106", "--likelihood poisson"),
        (COUNTS % 2, "two values only, 0 and 1", "--likelihood bernoulli"),
        (COUNTS % 2 + 1, "two values only, 1 and 2", "--likelihood bernoulli"),
    ],
)
def test_whole_numbers_are_told(y, held, option):
    (words,) = doubts(y)
    assert held in words
    assert option in words
    assert "--likelihood gaussian says they are not" in words
    assert doubts(y, "gaussian") == []


@pytest.mark.parametrize("y", [COUNTS + 0.5, COUNTS - 3, np.linspace(0, 1, 30)])
def test_other_numbers_are_not(y):
    assert doubts(y) == []


def test_a_function_of_counts_is_no_count():
    assert doubts(COUNTS + 1, formula="log(y) ~ x") == []


def test_counts_on_the_command_line(tmp_path, quick):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=80)})
    table["visits"] = rng.poisson(np.exp(0.3 * table["x"]))
    path, out = written(tmp_path, table), tmp_path / "out"
    result = run(path, "visits ~ x", "--out", out, "--json")
    found = json.loads(result.stdout)
    assert found["likelihood"] == "gaussian"
    assert any("write --likelihood poisson" in words for words in found["warnings"])
    assert "write --likelihood poisson" in page(out)[0].text
    for likelihood in ("gaussian", "poisson"):
        result = run(path, "visits ~ x", "--likelihood", likelihood, "--out", out, "--force", "--json")
        assert not any("no likelihood was named" in words for words in json.loads(result.stdout)["warnings"])


def test_numbers_that_are_not_finite_are_named_in_json(tmp_path, quick):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(80, 3)), columns=["a", "b", "c"])
    table["y"] = 9.0 * table["a"] + rng.normal(size=80)
    path = written(tmp_path, table)
    exact = json.loads(run(path, "y ~ .", "--out", tmp_path / "one", "--json").stdout)
    assert exact["not_finite"] == {}
    assert exact["summary"][0]["pip"] == pytest.approx(1.0, abs=1e-12)
    assert exact["summary"][0]["log10_bf"] > 20
    sampled = json.loads(run(path, "y ~ .", "--engine", "gibbs", "--out", tmp_path / "two", "--json").stdout)
    missing = {
        f"summary[{row}].{name}"
        for row, values in enumerate(sampled["summary"])
        for name, value in values.items()
        if value is None and name != "credible_set"
    } | {name for name in ("log_evidence", "intercept") if sampled[name] is None}
    assert set(sampled["not_finite"]) == missing
    assert set(sampled["not_finite"].values()) <= {"NaN", "Infinity", "-Infinity"}
