"""``l0bayes predict``: the rows of another file by the formula and what it learned."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import l0bayes
from l0bayes.apps import select as selecting
from l0bayes.cli import app

FORMULA = "y ~ bs(dose, df=4) + C(arm) + flag + C(code) + age + temp*region + poly(temp, 2)"


def frame(rows=120):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"age": rng.normal(50, 10, rows), "temp": rng.normal(15, 5, rows), "dose": rng.uniform(0, 3, rows)}
    )
    table["region"] = rng.choice(["north", "south", "west"], rows)
    table["code"] = rng.choice(["01", "02", "x"], rows)
    table["flag"] = rng.random(rows) > 0.5
    table["arm"] = rng.choice([1, 2, 3], rows)
    table["y"] = 0.1 * table["age"] + 2 * (table["region"] == "north") + np.sin(table["dose"])
    table["y"] += 0.05 * table["temp"] * table["dose"] + rng.normal(size=rows)
    table["ill"] = np.where(rng.random(rows) < 1 / (1 + np.exp(1.5 - table["dose"])), "yes", "no")
    table["visits"] = rng.poisson(np.exp(0.4 * table["dose"]))
    return table


def run(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture(scope="module", autouse=True)
def quick():
    """No pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("l0bayes.apps.select.selection_job.pictures", lambda *args: [])
        yield


@pytest.fixture(scope="module")
def report(quick, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    frame().to_csv(folder / "data.csv", index=False)
    found = selecting.select(folder / "data.csv", FORMULA, folder / "out")
    return folder, found


def predictions(text):
    import io

    return pd.read_csv(io.StringIO(text))


def test_rows_of_the_fit_are_coded_as_they_were(report):
    """Splines, polynomials, factors, products of centred columns: to the last digits."""
    _, found = report
    coding = found.data.coding
    assert coding.of_all_rows == []
    np.testing.assert_allclose(coding.encode(frame()), found.data.x.to_numpy(float), rtol=1e-12, atol=1e-12)
    some = [3, 50, 7]
    np.testing.assert_allclose(
        coding.encode(frame().iloc[some]), found.data.x.to_numpy(float)[some], rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("estimator", ["average", "median", "best"])
def test_predictions_are_those_of_the_estimator(report, estimator):
    folder, found = report
    columns = ["code", "other", "region", "arm", "flag", "dose", "temp", "age"]
    rows = frame().assign(other=1).iloc[[9, 2, 30]]
    rows[columns].to_csv(folder / f"{estimator}.csv", index=False)
    done = run(
        "predict", folder / "out", folder / f"{estimator}.csv", "--interval", "0.8", "--estimator", estimator
    )
    assert done.exit_code == 0, done.stderr
    table = predictions(done.stdout)
    assert list(table.columns) == ["mean", "low", "high"]
    x = found.data.x.iloc[[9, 2, 30]]
    fit = found.estimator.predict(x, estimator=estimator, interval=0.8)
    np.testing.assert_allclose(table.to_numpy().T, np.stack(fit), rtol=1e-10)
    kept = l0bayes.load_selection(folder / "out")
    np.testing.assert_allclose(kept.predict(rows, estimator=estimator), fit.mean, rtol=1e-12)


def test_text_that_looks_like_numbers_here_is_text(report):
    """All rows of this file have the code 01."""
    folder, found = report
    rows = frame()[frame()["code"] == "01"].iloc[:4]
    rows.to_csv(folder / "codes.csv", index=False)
    done = run("predict", folder / "out", folder / "codes.csv")
    assert done.exit_code == 0, done.stderr
    own = found.estimator.predict(found.data.x.loc[rows.index])
    np.testing.assert_allclose(predictions(done.stdout)["mean"], own, rtol=1e-10)


@pytest.mark.parametrize(
    ("change", "named", "filling"),
    [
        ({"drop": "age"}, "lacks a column of the formula: 'age'", ["--fill", "mean"]),
        (
            {"region": "east"},
            "level 'east' of region that no row of the fit had, in data row 2",
            ["--unseen", "mean"],
        ),
        ({"arm": 7}, "level 7 of C(arm)", ["--unseen", "mean"]),
        ({"age": None}, "values are missing: 'age' in 1 row, first in data row 2", ["--fill", "mean"]),
        ({"region": None}, "values are missing: 'region'", ["--fill", "mean"]),
    ],
)
def test_what_is_missing_or_new_is_refused_by_name_or_filled(report, change, named, filling):
    folder, _ = report
    rows = frame().iloc[:4].drop(columns=change.get("drop", []))
    for name, value in change.items():
        if name != "drop":
            rows[name] = rows[name].astype(object)
            rows.loc[1, name] = value
    rows.to_csv(folder / "wrong.csv", index=False)
    out = folder / "predicted.csv"
    done = run("predict", folder / "out", folder / "wrong.csv", "--out", out)
    assert done.exit_code == 2
    assert named in done.stderr
    assert not out.exists()
    done = run("predict", folder / "out", folder / "wrong.csv", "--out", out, *filling)
    assert done.exit_code == 0, done.stderr
    table = pd.read_csv(out)
    assert np.isfinite(table.to_numpy()).all()
    assert len(table) == 4
    assert run("predict", folder / "out", folder / "wrong.csv", "--out", out, *filling).exit_code == 2
    out.unlink()


def test_a_new_level_is_at_the_mean_of_the_levels(report):
    folder, _ = report
    kept = l0bayes.load_selection(folder / "out")
    row = frame().iloc[:1]
    with pytest.warns(UserWarning, match="no row of the fit had level 'east'"):
        new = kept.predict(row.assign(region="east"), unseen="mean")
    levels = [kept.predict(row.assign(region=level)) for level in ("north", "south", "west")]
    np.testing.assert_allclose(new, np.mean(levels, 0), rtol=1e-10)


def test_what_no_other_row_can_have_is_refused(report):
    folder, _ = report
    found = selecting.select(folder / "data.csv", "y ~ age + I(temp - temp.mean())", folder / "means")
    assert found.data.coding.of_all_rows == ["I(temp - temp.mean())"]
    done = run("predict", folder / "means", folder / "data.csv")
    assert done.exit_code == 2
    assert "computed from all rows" in done.stderr
    far = frame().iloc[:1].assign(dose=99.0)
    with pytest.raises(ValueError, match="spline that ends where the rows of the fit do"):
        l0bayes.load_selection(folder / "out").predict(far)
    with pytest.raises(ValueError, match="'age' must hold numbers, as in the fit; it holds 'old'"):
        l0bayes.load_selection(folder / "out").predict(frame().assign(age="old"))


@pytest.mark.parametrize(
    ("likelihood", "formula", "options", "columns"),
    [
        (
            "bernoulli",
            "ill ~ dose + region",
            [],
            [
                "class",
                *[f"{what}[{name}]" for name in ("no", "yes") for what in ("probability", "low", "high")],
            ],
        ),
        ("poisson", "visits ~ dose + region", [], ["mean", "low", "high"]),
        (
            "negative_binomial",
            "visits ~ dose + region",
            ["--likelihood-option", "dispersion=0.2"],
            ["mean", "low", "high"],
        ),
    ],
)
def test_every_likelihood_predicts(report, likelihood, formula, options, columns):
    folder, _ = report
    out = folder / likelihood
    done = run(
        "select", folder / "data.csv", formula, "--likelihood", likelihood, *options, "--out", out, "--json"
    )
    assert done.exit_code == 0, done.stderr
    done = run("predict", out, folder / "data.csv", "--interval", "0.9")
    assert done.exit_code == 0, done.stderr
    table = predictions(done.stdout)
    assert list(table.columns) == columns
    if likelihood == "bernoulli":
        np.testing.assert_allclose(table["probability[no]"] + table["probability[yes]"], 1.0)
        assert (table["low[yes]"] <= table["probability[yes]"]).all()
        assert set(table["class"]) == {"no", "yes"}
    else:
        y = frame()["visits"]
        assert ((y >= table["low"]) & (y <= table["high"])).mean() > 0.9
        assert (table[["low", "high"]] % 1 == 0).all().all()
    shown = predictions(run("predict", out, folder / "data.csv", "--interval", "0").stdout)
    assert not [name for name in shown.columns if name.startswith(("low", "high"))]


def test_other_folders_and_options_are_refused(report, tmp_path):
    folder, _ = report
    done = run("predict", tmp_path, folder / "data.csv")
    assert done.exit_code == 2
    assert "there is no selection" in done.stderr
    assert run("predict", folder / "out", folder / "none.csv").exit_code == 2
    for option in (["--estimator", "mode"], ["--interval", "1.5"], ["--fill", "zero"]):
        assert run("predict", folder / "out", folder / "data.csv", *option).exit_code == 2


def test_sensitivity_is_told_where_it_is_asked_for(report):
    import json

    folder, _ = report
    out = folder / "sensitive"
    asked = ["y ~ age + temp + dose", "--out", out]
    done = run("select", folder / "data.csv", *asked, "--sensitivity", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)["sensitivity"]
    table = pd.read_csv(out / "sensitivity.csv")
    assert len(table) == len(told["table"]) == 3 * 45
    assert (out / "sensitivity.png").stat().st_size > 1000
    page = (out / "report.html").read_text("utf-8")
    assert "Does it depend on the prior?" in page
    assert all(words in page for words in told["words"])
    done = run("select", folder / "data.csv", *asked, "--force")
    assert done.exit_code == 0, done.stderr
    assert not (out / "sensitivity.csv").exists()  # of the run before
    assert "Does it depend on the prior?" not in (out / "report.html").read_text("utf-8")
