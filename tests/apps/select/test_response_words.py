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
        (COUNTS % 2 * 2 - 1, "two values only, -1 and 1", "--likelihood bernoulli"),
        (COUNTS % 2 * -1.0, "two values only, -1 and 0", "--likelihood bernoulli"),
        (COUNTS % 2 + 1.5, "two values only, 1.5 and 2.5", "bernoulli and I(y > 1.5) for the response"),
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


def test_what_is_told_of_two_values_can_be_done():
    table = pd.DataFrame({"y": COUNTS % 2 + 1.5, "x": np.random.default_rng(0).normal(size=len(COUNTS))})
    assert apply_formula(table, "I(y > 1.5) ~ x", "bernoulli").y.nunique() == 2
    assert apply_formula(table.assign(y=COUNTS % 2 * 2 - 1), "y ~ x", "bernoulli").y.tolist()[:2] == [-1, 1]
    assert doubts([1.5, 2.5]) == []


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


def test_a_row_of_heavy_tails_is_that_of_the_file(tmp_path, quick):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=80), "y": rng.normal(size=80)})
    table.loc[41, "y"] = 60.0
    table.loc[:4, "x"] = np.nan
    found = json.loads(
        run(written(tmp_path, table), "y ~ x", "--drop-missing", "--out", tmp_path / "out", "--json").stdout
    )
    assert any("heavier tails" in words and "in data row 42." in words for words in found["warnings"])


def test_more_gates_are_enumerated_where_asked_for(tmp_path, quick):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(30, 22)))
    table.columns = [f"x{i}" for i in range(21)] + ["y"]
    path, out = written(tmp_path, table), tmp_path / "out"
    refused = run(path, "y ~ .", "--engine", "exact", "--out", out)
    assert refused.exit_code != 0
    assert "--max-gates 21" in " ".join(refused.stderr.split())
    few = ("--engine", "exact", "--max-gates", "1", "--out", out)
    assert "max_gates is 1." in run(path, "y ~ x1 + x2", *few).stderr
    assert run(path, "y ~ x1", *few).exit_code == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"likelihood": "binomial"}, "needs --trials COLUMN"),
        ({"likelihood": "logistic"}, r"likelihood must be one of gaussian, .*; got 'logistic'"),
        ({"max_gates": 3}, "max-gates is of --engine exact"),
        ({"max_gates": 99, "engine": "exact"}, "max_gates must be at most 25"),
        ({"inclusion": 1.0}, "strictly between 0 and 1, got 1: at 0 or 1 nothing is selected. Give"),
    ],
)
def test_settings_that_are_refused_say_what_to_write(settings, words):
    with pytest.raises(ValueError, match=words):
        SelectSettings(**settings)
