"""Messages of the command line: in its own words, before any work, and whole."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from l0bayes import SpikeSlabRegressor
from l0bayes.apps.select import in_options
from l0bayes.cli import app

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(RNG.normal(size=(40, 2)), columns=["a", "b"]).assign(
    y=lambda it: it.a + RNG.normal(size=40),
    n=lambda it: RNG.poisson(np.exp(0.5 * it.a)),
    t=RNG.exponential(size=40),
    e=(np.arange(40) % 3 > 0).astype(int),
    m=4,
    off=1.0,
    g=["u", "v"] * 20,
)


@pytest.fixture
def run(tmp_path):
    TABLE.to_csv(tmp_path / "t.csv", index=False)

    def run(*words, table="t.csv", command="select"):
        where = ["--out", str(tmp_path / "out")] if command == "select" else []
        first = [str(tmp_path / "out")] if command == "predict" else []
        found = CliRunner().invoke(app, [command, *first, str(tmp_path / table), *words, *where])
        return found.exit_code, found.output

    run.folder = tmp_path
    return run


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        ("always_in holds 'z', which is no column", "--always holds 'z', which is no column"),
        ("write --offset COLUMN; in Python fit(..., offset=...)", "write --offset COLUMN"),
        ("Give noise_prior (l0bayes select: --noise-prior) 'weak'", "Give --noise-prior 'weak'"),
        ("fit again with engine='auto' (l0bayes select: --engine auto).", "fit again with --engine auto."),
        ("under heredity='strong' it must", "under --heredity strong it must"),
        ("inclusion must lie between", "--inclusion must lie between"),
        ("inclusion probabilities mean nothing", "inclusion probabilities mean nothing"),
        ("fill='mean' (--fill mean) takes", "--fill mean takes"),
        ("decided by slab_scale alone", "decided by --slab-scale alone"),
        ("take slab='normal' with noise_prior='weak'.", "take --slab normal with --noise-prior weak."),
        ("priors (--inclusion, --slab-scale) may", "priors (--inclusion, --slab-scale) may"),
        ("options=ExactOptions(max_gates=22) (l0bayes select: --max-gates 22)", "--max-gates 22"),
        ("seed must not be negative", "--seed must not be negative"),
        ("slab_scale must be positive", "--slab-scale: slab_scale must be positive"),
    ],
)
def test_arguments_are_options(words, typed):
    assert in_options(words) == typed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["y ~ a + b", "--always", "z"], "--always holds 'z', which is no column; there are a, b"),
        (["y ~ a + b", "--heredity", "strong"], "--heredity strong is for products and powers"),
        (
            ["y ~ a:b + a", "--heredity", "weak"],
            "'b' is not there: add it to the columns (and to --always",
        ),
        (
            ["y ~ a*b", "--heredity", "strong", "--always", "a:b"],
            "too, and 'a': add what is lacking to --always",
        ),
        (["y ~ a*b", "--heredity", "weak", "--always", "a:b"], "add what is lacking to --always"),
        (["y ~ a + b", "--always", "a", "--always", "b"], "--always must leave out some columns"),
        (["y ~ a", "--noise-prior", "jeffreys", "--likelihood", "student_t"], "jeffreys"),
        (
            ["n ~ a", "--noise-prior", "weak", "--likelihood", "poisson"],
            "gaussian likelihood and of student_t",
        ),
        (["y ~ a", "--inclusion", "2"], "--inclusion must lie strictly between 0 and 1"),
        (["y ~ a + offset(off)"], "write --offset COLUMN"),
        (["cbind(n, m) ~ a"], "--likelihood binomial --trials COLUMN"),
        (["y ~ a + weights(m)"], "write --weights COLUMN"),
        (["log(Surv(t, e)) ~ a"], "write Surv(time, event) ~ ..."),
        (["Surv(t, m) ~ a"], "Write 1 where the event was seen at the time, and 0 where"),
        (["Surv(t, g) ~ a"], "it holds text, such as 'u': 1 where the event was seen at the time"),
        (["Surv(y, e) ~ a"], "Correct such rows or leave them out"),
        (["y ~ a", "--data-sets", "9"], "--data-sets is of --calibrate"),
        (["y ~ a", "--calibrate", "--data-sets", "1"], "--data-sets must be at least 2"),
        (["y ~ a", "--calibrate", "--weights", "m"], "--calibrate draws a response for each row"),
        (["y ~ a", "--calibrate", "--slab", "g", "--g", "eb-global"], "has no law of g before the data"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_what_will_not_do_is_refused_before_any_work(words, message, run):
    code, output = run(*words)
    assert code == 2
    assert "Fitting" not in output
    assert message in " ".join(output.split())
    assert not (run.folder / "out").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--always", "a"], ["--heredity", "weak"], ["--offset", "off"], ["--sensitivity"], ["--calibrate"],
        ["--drop-missing"], ["--no-centre"], ["--na", "x"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_goes_with_a_formula_is_not_passed_over_without_one(words, run):
    np.save(run.folder / "x.npy", TABLE[["a", "b"]].to_numpy())
    np.save(run.folder / "y.npy", TABLE["y"].to_numpy())
    code, output = run("--response", str(run.folder / "y.npy"), *words, table="x.npy")
    assert code == 2
    assert f"{words[0]} goes with a formula" in " ".join(output.split())


def test_an_offset_of_numbers_comes_to_predictions_too(run):
    code, output = run("y ~ a + b", "--offset", "m", "--json")
    assert code == 0
    found = json.loads(output[output.index("{\n") :])["summary"]
    wanted = SpikeSlabRegressor(random_state=0).fit(TABLE[["a", "b"]], TABLE.y - TABLE.m)
    pips = dict(zip(wanted.columns_, wanted.pip_, strict=True))
    assert {one["feature"]: one["pip"] for one in found} == pytest.approx(pips, abs=1e-9)
    TABLE[["a", "b"]].assign(m=[10.0] * 40).to_csv(run.folder / "new.csv", index=False)
    code, moved = run("--interval", "0", command="predict", table="new.csv")
    code, still = run("--interval", "0", command="predict")
    means = [np.array(text.split()[1:], dtype=float) for text in (moved, still)]
    np.testing.assert_allclose(means[0] - means[1], 6.0, atol=1e-9)


def test_cells_that_are_filled_are_told_and_files_without_rows_refused(run):
    assert run("y ~ a + g")[0] == 0
    new = TABLE[["a", "g"]].head(5).copy()
    new.loc[1, "a"] = np.nan
    new.loc[[2, 3], "g"] = None
    new.to_csv(run.folder / "new.csv", index=False)
    code, output = run("--fill", "mean", command="predict", table="new.csv")
    assert code == 0
    assert "values are missing: 'a' in 1 row, 'g' in 2 rows" in " ".join(output.split())
    code, output = run(command="predict", table="new.csv")
    assert code == 2
    assert "--fill mean takes the mean of the fit" in " ".join(output.split())
    new.head(0).to_csv(run.folder / "new.csv", index=False)
    code, output = run(command="predict", table="new.csv")
    assert code == 2
    assert "has 0 rows and 2 columns: nothing to predict" in " ".join(output.split())


def test_calibration_is_a_table_a_picture_and_words(run):
    code, output = run("Surv(t, e) ~ a", "--calibrate", "--data-sets", "3", "--json")
    assert code == 0
    found = json.loads(output[output.index("{\n") :])["calibration"]
    assert found["words"].startswith("3 data sets of 40 rows and 1 gates were drawn from the prior")
    assert {"right", "p", "tests"} <= set(found)
    table = pd.read_csv(run.folder / "out" / "calibration.csv")
    assert {"promised", "realised"} <= set(table.columns)
    assert (run.folder / "out" / "calibration.png").stat().st_size > 5000
    page = (run.folder / "out" / "report.html").read_text("utf-8")
    assert "Do such probabilities come true?" in page
