"""``l0bayes select``: from a file and a formula to a folder, and how it fails."""

import html.parser
import json
import re

import arviz as az
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

import l0bayes
from l0bayes.apps import select as selecting
from l0bayes.apps.select import report_pictures as pictures
from l0bayes.apps.select.selection_job import FILES
from l0bayes.cli import app
from tests.arviz_versions import group_names

mpl.use("Agg")

FORMULA = "y ~ . - id - high - visits + C(region)"
COLUMNS = [
    "pip", "pip_mcse", "prior", "log10_bf", "mean", "sd", "cond_mean", "cond_sd", "cond_hdi_low",
    "cond_hdi_high", "p_positive", "in_median_model", "bfdr_q", "group", "credible_set",
]  # fmt: skip


def frame():
    """The diabetes study: four of its columns, a factor that says nothing, and responses of each kind."""
    data = l0bayes.datasets.diabetes(interactions=False)
    table = pd.DataFrame(data.x.double().numpy(), columns=data.names)[["age", "bmi", "bp", "s5"]]
    rng = np.random.default_rng(0)
    table["region"] = rng.choice(["north", "south", "west"], len(table))
    table["y"] = data.y.double().numpy() * data.y_scale + data.y_mean
    table["high"] = np.where(table["y"] > table["y"].median(), "yes", "no")
    table["visits"] = rng.poisson(np.exp(0.6 * table["bmi"]))
    table.insert(0, "id", np.arange(1, len(table) + 1))
    return table


def run(*arguments):
    threads = torch.get_num_threads()
    try:
        return CliRunner().invoke(app, ["select", *(str(argument) for argument in arguments)])
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "study.csv"
    frame().to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def done(data, tmp_path_factory):
    """One run that most tests look at: its result and its folder."""
    out = tmp_path_factory.mktemp("done") / "report"
    return run(data, FORMULA, "--out", out), out


@pytest.fixture
def quick(monkeypatch):
    """One picture instead of eight."""
    monkeypatch.setattr(
        "l0bayes.apps.select.selection_job.pictures", lambda *args: [next(iter(pictures.pictures(*args)))]
    )


def written(tmp_path, table, name="table.csv"):
    table.to_csv(tmp_path / name, index=False)
    return tmp_path / name


# ---- what is left in the folder --------------------------------------------------------------------------


def test_all_files_are_there_and_whole(done):
    result, out = done
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    assert all(path.stat().st_size for path in out.iterdir())
    for name in FILES:
        assert f"Writing {name}" in result.stderr
        assert str(out / name) in result.stdout
    assert "Trust: exact" in result.stdout


def test_the_summary(done):
    summary = pd.read_csv(done[1] / "summary.csv", index_col="feature")
    assert list(summary.columns) == COLUMNS
    assert set(summary.index) == {
        "age", "bmi", "bp", "s5", "C(region)[north]", "C(region)[south]", "C(region)[west]"
    }  # fmt: skip
    dummies = summary[summary["group"] == "C(region)"]
    assert len(dummies) == 3
    assert dummies["mean"].sum() == pytest.approx(0.0, abs=1e-10)
    assert dummies["pip"].nunique() == 1
    assert list(summary.index[summary["in_median_model"]]) == ["bmi", "s5", "bp"]


def test_the_numbers_are_those_of_the_estimator(done):
    from l0bayes import SpikeSlabRegressor

    table = frame()
    fit = SpikeSlabRegressor(random_state=0).fit(table[["age", "bmi", "bp", "s5", "region"]], table["y"])
    found = pd.read_csv(done[1] / "summary.csv", index_col="feature")
    names = ["age", "bmi", "bp", "s5", "C(region)[north]", "C(region)[south]", "C(region)[west]"]
    assert found.loc[names, "pip"].to_numpy() == pytest.approx(fit.pip_, abs=1e-10)
    assert found.loc[names, "mean"].to_numpy() == pytest.approx(fit.coef_, rel=1e-8)


def test_the_posterior_is_arviz_data(done):
    posterior = az.from_netcdf(str(done[1] / "posterior.nc"))
    assert {"posterior", "observed_data"} <= group_names(posterior)
    posterior.close()


class Links(html.parser.HTMLParser):
    """What a page refers to, and its text."""

    def __init__(self):
        super().__init__()
        self.links, self.tags, self.text, self.anchors = [], [], "", []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        found = [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        self.links += [value for value in found if not value.startswith("#")]
        self.anchors += [value for value in found if value.startswith("#")]

    def handle_data(self, data):
        self.text += f" {data} "


def page(out):
    parser = Links()
    text = (out / "report.html").read_text("utf-8")
    parser.feed(text)
    return parser, text


def test_the_report_holds_everything_itself(done):
    parsed, text = page(done[1])
    assert len(parsed.links) == 8
    assert all(link.startswith("data:image/png;base64,") for link in parsed.links)
    assert not {"script", "link", "iframe"} & set(parsed.tags)
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    assert 'name="viewport"' in text
    assert "@media print" in text


def test_the_report_begins_with_its_contents(done):
    parsed, text = page(done[1])
    headings = re.findall(r'<h2 id="([^"]+)">(.*?)</h2>', text)
    assert "<h2>" not in text
    assert parsed.anchors == [f"#{name}" for name, _ in headings]
    assert len(headings) >= 6
    assert text.index("<nav") < text.index("<main>") < text.index("In short</h2>")
    assert text.count("<h1>") == text.count("<main>") == text.count("</main>") == 1
    assert all(alt.strip() for alt in re.findall(r'<img [^>]*alt="([^"]*)"', text))
    # What scrolls sideways can be reached by the keyboard, and has a name; nothing is outside of landmarks.
    frames = re.findall(r'<div class="scroll"([^>]*)>', text)
    assert len(frames) == text.count("<table>") >= 2
    assert all('tabindex="0"' in frame and re.search(r'aria-label="[^"]+"', frame) for frame in frames)
    assert text.index("<header>") < text.index("<h1>") < text.index("</header>") < text.index("<nav")


def test_the_report_says_what_was_done(done):
    text = " ".join(page(done[1])[0].text.split())
    for words in (
        "study.csv: 442 rows, 5 variables in 7 columns",
        "3 of 5 variables are more likely than not to be in the model: bmi, s5, bp .",
        "Can I trust this? Exact. All models were enumerated.",
        "y ~ age + bmi + bp + s5 + C(region)",
        "π ~ Beta(1, 1)",
        "2.5 of 5 variables are expected to matter",
        "C(region) (3 columns)",
        "Effects of C(region) are those of each level, as differences from the mean of all its levels",
        "centred and divided by their standard deviation",
        "exact: all models were enumerated",
        "seed 0",
        f"l0bayes {l0bayes.__version__}, torch {torch.__version__}",
    ):
        assert words in text


# ---- options ---------------------------------------------------------------------------------------------


def test_json_is_all_that_is_printed(data, tmp_path, quick):
    out = tmp_path / "report"
    arguments = ["--likelihood", "bernoulli", "--json", "--out", out, "--hdi", 0.5, "--expected-active", 1]
    result = run(data, "high ~ age + bmi + s5", *arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout, parse_constant=pytest.fail)
    assert found["formula"] == "high ~ age + bmi + s5"
    assert found["likelihood"] == "bernoulli"
    assert found["trust"]["verdict"] == "exact"
    assert [set(row) for row in found["summary"]] == [{"feature", *COLUMNS}] * 3
    assert [row["prior"] for row in found["summary"]] == pytest.approx([1 / 3] * 3)
    assert found["top_models"][0]["variables"] == ["bmi", "s5"]
    assert found["files"] == [str(out / name) for name in (*FILES[:3], *FILES[-2:])]
    assert "logistic regression" in page(out)[0].text
    assert "P(y i = yes)" in " ".join(page(out)[0].text.split())
    assert "50 % interval" in page(out)[0].text


def test_priors_without_an_intercept(data, tmp_path, quick):
    out = tmp_path / "report"
    settings = ["--likelihood", "poisson", "--inclusion", "1,4", "--slab-scale", 0.5, "--seed", 3]
    result = run(data, "visits ~ 0 + age + bmi", *settings, "--out", out)
    assert result.exit_code == 0, result.output
    text = " ".join(page(out)[0].text.split())
    assert "Beta(1, 4)" in text
    assert "N(0, 0.5²)" in text
    assert "The intercept" not in text
    assert "seed 3" in text


def test_sampling_says_how_large_its_error_is(data, tmp_path, quick):
    out = tmp_path / "report"
    result = run(data, "y ~ age + bmi + s5", "--engine", "gibbs", "--out", out)
    assert result.exit_code == 0, result.output
    text = " ".join(page(out)[0].text.split())
    assert "± error" in text
    assert "Reliable" in text
    assert "The largest Monte Carlo standard error of a PIP is" in text


@pytest.mark.parametrize("ending", ["parquet", "feather"])
def test_other_kinds_of_files(ending, tmp_path):
    pytest.importorskip("pyarrow")
    table = frame()
    table["region"] = table["region"].astype("category")
    path = tmp_path / f"study.{ending}"
    getattr(table, f"to_{ending}")(path)
    read = selecting.read_table(path)
    assert list(read.columns) == list(table.columns)
    assert isinstance(read["region"].dtype, pd.CategoricalDtype)
    assert selecting.apply_formula(read, FORMULA, "gaussian").groups[-2:] == ["C(region)"] * 2


def test_the_extra_is_named_where_it_is_missing(tmp_path, monkeypatch):
    path = tmp_path / "study.parquet"
    path.write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert "pip install 'l0bayes[tables]'" in failed(path, "y ~ x", "--out", tmp_path / "out")


def test_an_old_folder_needs_force_and_other_files_survive(data, tmp_path, quick):
    out = tmp_path / "report"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    (out / "pairs.png").write_text("old")
    (out / "inclusion.png").write_text("old")
    assert "exists and is not empty; --force replaces" in failed(data, "y ~ bmi + s5", "--out", out)
    assert (out / "pairs.png").read_text() == "old"
    result = run(data, "y ~ bmi + s5", "--out", out, "--force")
    assert result.exit_code == 0, result.output
    assert (out / "notes.txt").read_text() == "mine"
    assert not (out / "pairs.png").exists()
    assert (out / "inclusion.png").read_bytes().startswith(b"\x89PNG")


def test_rows_may_be_left_out(tmp_path, quick):
    table = frame()
    table.loc[[3, 5], "bmi"] = np.nan
    table.loc[5, "region"] = None
    path = written(tmp_path, table)
    message = failed(path, FORMULA, "--out", tmp_path / "out")
    assert "'bmi' in 2 rows, 'region' in 1 row. --drop-missing leaves out 2 of 442 rows" in message
    result = run(path, "y ~ bmi + s5 + C(region)", "--drop-missing", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "2 of 442 rows left out" in page(tmp_path / "out")[0].text


# ---- interruption ----------------------------------------------------------------------------------------


def stopped(monkeypatch, where, name):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(where, name, stop)


def test_an_interruption_leaves_what_is_finished(data, tmp_path, monkeypatch):
    stopped(monkeypatch, pictures, "plot_fdr")
    out = tmp_path / "report"
    result = run(data, "y ~ bmi + s5", "--out", out)
    assert result.exit_code == 130
    left = ["summary.csv", "posterior.nc", "inclusion.png", "effects.png"]
    assert sorted(path.name for path in out.iterdir()) == sorted(left)
    assert f"stopped: {', '.join(left)} in {out} are whole" in result.stderr
    assert "Traceback" not in result.output


def test_a_file_that_was_begun_is_not_left(data, tmp_path, monkeypatch):
    def half(self, path, *args, **kwargs):
        path.write_text("feature,pip\nbmi,")
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_csv", half)
    out = tmp_path / "report"
    result = run(data, "y ~ bmi + s5", "--out", out)
    assert result.exit_code == 130
    assert not out.exists()
    assert "stopped: nothing was written" in result.stderr


def test_an_interruption_while_fitting(data, tmp_path, monkeypatch):
    from l0bayes.estimators import SpikeSlabRegressor

    stopped(monkeypatch, SpikeSlabRegressor, "fit_coded")
    out = tmp_path / "report"
    assert run(data, "y ~ bmi", "--out", out).exit_code == 130
    assert not out.exists()


def test_an_interruption_before_anything_is_written_leaves_the_earlier_files(
    data, tmp_path, monkeypatch, quick
):
    from l0bayes.estimators import SpikeSlabRegressor

    out = tmp_path / "report"
    assert run(data, "y ~ bmi", "--out", out).exit_code == 0
    earlier = {path.name: path.read_bytes() for path in out.iterdir()}
    stopped(monkeypatch, SpikeSlabRegressor, "fit_coded")
    result = run(data, "y ~ bmi + s5", "--out", out, "--force")
    assert result.exit_code == 130
    assert "stopped: nothing was written" in result.stderr
    assert {path.name: path.read_bytes() for path in out.iterdir()} == earlier


def test_an_interruption_leaves_nothing_of_an_earlier_selection_beside_its_files(data, tmp_path, monkeypatch):
    out = tmp_path / "report"
    assert run(data, "y ~ bmi", "--out", out).exit_code == 0
    stopped(monkeypatch, pictures, "plot_inclusion")
    result = run(data, "y ~ bmi + s5", "--out", out, "--force")
    assert result.exit_code == 130
    assert sorted(path.name for path in out.iterdir()) == ["posterior.nc", "summary.csv"]
    assert f"stopped: summary.csv, posterior.nc in {out} are whole" in result.stderr


def test_an_error_leaves_the_folder_as_it_was(data, tmp_path, monkeypatch, quick):
    out = tmp_path / "new" / "report"
    assert run(data, "y ~ bmi", "--out", out).exit_code == 0
    earlier = {path.name: path.read_bytes() for path in out.iterdir()}

    def fail(*args, **kwargs):
        raise ValueError("no page")

    monkeypatch.setattr("l0bayes.apps.select.selection_job.render_page", fail)
    assert "no page" in failed(data, "y ~ bmi + s5", "--out", out, "--force")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == earlier
    assert "no page" in failed(data, "y ~ bmi", "--out", tmp_path / "other" / "report")
    assert not (tmp_path / "other").exists()


# ---- names as they come ----------------------------------------------------------------------------------

ODD = ["rev ($) per 100% ($)", "w $^$", "x [cm]", "w[/b]", ":b: :smile:", "收入", "1", "C(a)"]


def test_names_that_mean_something_elsewhere(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(60, len(ODD) + 1)), columns=[*ODD, "y"])
    out = tmp_path / "out[b]"
    result = run(written(tmp_path, table), "y ~ .", "--out", out)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    for name in (*ODD, str(out)):
        assert name in result.stdout
    assert "Glyph" not in result.stderr
    assert set(pd.read_csv(out / "summary.csv", dtype={"feature": str})["feature"]) == set(ODD)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_the_table_of_what_select_wrote(data, tmp_path, quick, likelihood):
    out = tmp_path / "report"
    formula = f"{'y' if likelihood == 'gaussian' else 'high'} ~ bmi + s5 + C(region)"
    assert run(data, formula, "--likelihood", likelihood, "--engine", "gibbs", "--out", out).exit_code == 0
    summary = pd.read_csv(out / "summary.csv", index_col="feature")
    posterior = az.from_netcdf(str(out / "posterior.nc"))
    table = l0bayes.gate_table(posterior)
    gates = l0bayes.gate_table(posterior, "gate")
    first = l0bayes.gate_table(posterior, chain=0)
    with pytest.raises(ValueError, match="name must be one of"):
        l0bayes.gate_table(posterior, "gamma")
    posterior.close()
    assert set(table.index) == set(summary.index)
    assert table["pip"].to_numpy() == pytest.approx(summary.loc[table.index, "pip"].to_numpy())
    wanted = summary.loc[table.index]
    assert ((table["mean"] - wanted["mean"]).abs() < 0.1 * wanted["sd"] + 1e-3).all()
    assert table["prior"].to_numpy() == pytest.approx(0.5)
    assert set(gates.index) == {"bmi", "s5", "C(region)"}
    assert gates["mean"].to_numpy() == pytest.approx(gates["pip"].to_numpy(), abs=0.05)
    assert first["mean"].to_numpy() != pytest.approx(table.loc[first.index, "mean"].to_numpy(), rel=1e-6)
    shown = CliRunner().invoke(app, ["table", str(out / "posterior.nc")])
    assert shown.exit_code == 0, shown.output
    assert "C(region)[south]" in shown.output


# ---- bad input -------------------------------------------------------------------------------------------


def failed(*arguments):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ bmj + s5", "'bmj' (did you mean 'bmi'?)"),
        ("y ~ . - idd", "'idd' (did you mean 'id'?)"),
        ("y ~ log(bmj)", "'bmj' (did you mean 'bmi'?)"),
        ("Y ~ bmi", "'Y' (did you mean 'y'?)"),
        ("y ~ bmi +", "formula 'y ~ bmi +' cannot be read"),
        ("y ~ bmi)", "cannot be read"),
        ("y", "formula must read 'response ~ terms', got 'y'"),
        ("~ bmi", "formula must read 'response ~ terms'"),
        ("y ~ bmi | s5", "must have one part on each side"),
        (
            "y ~ bmi s5",
            "Missing operator between `bmi` and `s5`. Write + between terms, and a name with spaces",
        ),
        ("y ~ sqrt(bmi - 30)", "is not finite in"),
        ("y ~ sqrt(bmi - 30)", ": a square root is of numbers from 0 on"),
        ("y + age ~ bmi", "must have one response"),
        ("y ~ 1", "leaves no variable to select"),
        ("y ~ log(bmi)", "column 'log(bmi)' is not finite in"),
        ("y ~ log(bmi)", "of positive numbers. Of counts write log1p(...)"),
        ("y ~ log(region)", "column 'region' holds text, such as"),
        ("y ~ I(bmi * 0)", "column 'I(bmi * 0)' is constant: 0 in all 442 rows"),
        ("high ~ bmi", "response 'high' must hold numbers for --likelihood gaussian, it holds text, such as"),
    ],
)
def test_formulas_that_will_not_do(data, tmp_path, formula, message):
    assert message in failed(data, formula, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("likelihood", "formula", "message"),
    [
        ("gamma", "y ~ bmi", "bernoulli, poisson, negative_binomial, cox, binomial; got 'gamma'"),
        ("bernoulli", "region ~ bmi", "must have two classes for --likelihood bernoulli, got 3: 'north'"),
        ("bernoulli", "one ~ bmi", "response 'one' has one class only, 1 in all 442 rows"),
        ("poisson", "age ~ bmi", "response 'age' must not be negative for --likelihood poisson: "),
        (
            "poisson",
            "y10 ~ bmi",
            "response 'y10' must be whole numbers for --likelihood poisson: 0.5 in data row 1",
        ),
        ("gaussian", "one ~ bmi", "response 'one' is constant"),
    ],
)
def test_responses_that_will_not_do(tmp_path, likelihood, formula, message):
    path = written(tmp_path, frame().assign(one=1, y10=0.5))
    assert message in failed(path, formula, "--likelihood", likelihood, "--out", tmp_path / "out")


def changed(column, values):
    table = frame()
    table[column] = table[column].astype(object) if column in table else None
    table[column] = values if np.isscalar(values) else table[column]
    for row, value in values.items() if isinstance(values, dict) else ():
        table.loc[row, column] = value
    return table


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("k", 3, "column 'k' is constant: 3 in all 442 rows"),
        ("k", "same", "term 'k' is constant"),
        (
            "age",
            {6: "old?"},
            "column 'age' holds text among numbers in 1 row, the first of them 'old?' in data row 7",
        ),
        ("age", {6: "inf"}, "column 'age' is infinite in 1 row, the first of them data row 7"),
        ("age", {6: ""}, "values are missing: 'age' in 1 row"),
        (
            "name",
            {row: f"n{row}" for row in range(442)},
            "column 'name' holds text with 442 different values",
        ),
    ],
)
def test_columns_that_will_not_do(tmp_path, column, values, message):
    path = written(tmp_path, changed(column, values))
    assert message in failed(path, FORMULA, "--out", tmp_path / "out")


def test_two_columns_of_one_name(tmp_path):
    path = tmp_path / "twice.csv"
    path.write_text("y,a,b,a\n1,2,3,4\n2,3,1,4\n")
    assert "have the same name: ['a']" in failed(path, "y ~ .", "--out", tmp_path / "out")


def test_dates_are_refused():
    table = frame().assign(day=pd.date_range("2020-01-01", periods=442))
    with pytest.raises(ValueError, match="column 'day' holds dates"):
        selecting.apply_formula(table, "y ~ day", "gaussian")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "there is no file"),
        ("table.xlsx", b"PK", "must end in one of"),
        ("table.xlsx", b"PK", "so that its kind is known. Save the sheet as CSV"),
        ("table.sav", b"$FL2", "Write it as CSV; SPSS: File, Save As"),
        ("table.txt", b"a b\n1 2\n", "can be named .csv, whatever separates them"),
        ("empty.csv", b"", "cannot be read as CSV: it is empty. The first line names the columns"),
        (
            "header.csv",
            b"a,b\n",
            "has 0 rows and 2 columns: nothing to select. Each line after the header is",
        ),
        (
            "longer.csv",
            b"a,b\n1,2\n3,4\n1,2,3\n",
            "Expected 2 fields in line 4, saw 3. Put quotes around",
        ),
        ("ragged.csv", b"a,b\n1,2\n1,2,3,4\n", "cannot be read as CSV"),
        ("bytes.csv", b"a,b\n\xff\xfe,\x81\n", "cannot be read as CSV"),
        ("text.parquet", b"no parquet", "cannot be read as Parquet"),
        ("text.feather", b"no feather", "cannot be read as Feather"),
    ],
)
def test_files_that_will_not_do(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert message in failed(tmp_path / name, "a ~ b", "--out", tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "nuts"], "engine must be one of auto, svi, exact, gibbs, wide; got 'nuts'"),
        (["--inclusion", "often"], "inclusion must be a probability such as 0.1"),
        (["--inclusion", "1.5"], "inclusion must lie strictly between 0 and 1, got 1.5"),
        (["--inclusion", "1,-1"], "inclusion must be two positive numbers"),
        (["--inclusion", "0.1", "--expected-active", "2"], "give inclusion or expected-active, not both"),
        (["--expected-active", "9"], "expected-active must lie strictly between 0 and 2"),
        (["--slab-scale", "0"], "slab-scale must be positive, got 0"),
        (["--hdi", "94"], "hdi must lie strictly between 0 and 1, got 94"),
        (["--seed", "-1"], "seed must not be negative, got -1"),
        (["--seed", "4294967296"], "seed must be at most 4294967295, got 4294967296"),
        (["--slab-scale", "1e-300"], "slab_scale must lie between 1e-100 and 1e+100, got 1e-300"),
    ],
)
def test_options_that_will_not_do(data, tmp_path, arguments, message):
    assert message in failed(data, "y ~ bmi + s5", *arguments, "--out", tmp_path / "parent" / "out")
    assert not (tmp_path / "parent").exists()


@pytest.mark.parametrize("threads", ["0", "-1"])
@pytest.mark.parametrize("command", ["select", "train"])
def test_threads_that_are_none(command, threads):
    arguments = ["one.csv", "y ~ ."] if command == "select" else ["lenet-300-100"]
    result = CliRunner().invoke(app, [command, *arguments, "--threads", threads])
    assert result.exit_code == 2
    assert "--threads" in result.output
    assert "Traceback" not in result.output


def test_a_prior_that_is_nearly_certain(data, tmp_path, quick):
    out = tmp_path / "out"
    result = run(data, "y ~ bmi + s5", "--inclusion", "1e300,1", "--out", out)
    assert result.exit_code == 0, result.output
    assert "2 of 2 variables are expected to matter" in " ".join(page(out)[0].text.split())


def test_a_folder_in_the_place_of_the_table(tmp_path):
    assert "is a folder" in failed(tmp_path, "y ~ bmi", "--out", tmp_path / "out")


def test_a_file_in_the_place_of_the_folder(data, tmp_path):
    (tmp_path / "out").write_text("")
    result = run(data, "y ~ bmi", "--out", tmp_path / "out", "--force")
    assert result.exit_code == 2
    assert (tmp_path / "out").read_text() == ""


# ---- formulas --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "written", "groups"),
    [
        ("y ~ age + bmi", "y ~ age + bmi", ["age", "bmi"]),
        ("y ~ 0 + region", "y ~ 0 + region", ["region"] * 3),
        ("y ~ region - 1 + age", "y ~ 0 + region + age", ["region"] * 3 + ["age"]),
        ("log(y) ~ bs(age, df=4)", "log(y) ~ bs(age, df=4)", ["bs(age, df=4)"] * 4),
        ("y ~ C(region):age + bmi", "y ~ bmi + C(region):age", ["C(region):age"] * 3 + ["bmi"]),
        ("y ~ `blood sugar`", "y ~ `blood sugar`", ["blood sugar"]),
        ("y ~ {age ** 2}", "y ~ {age ** 2}", ["age ** 2"]),
    ],
)
def test_columns_of_a_term_share_a_gate(formula, written, groups):
    table = frame().assign(**{"blood sugar": frame()["s5"]})
    found = selecting.apply_formula(table, formula, "gaussian")
    assert found.formula == written
    assert sorted(found.groups) == sorted(groups)
    assert found.gates == list(dict.fromkeys(found.groups))
    assert len(found.groups) == found.x.shape[1]
    assert found.intercept == ("0 +" not in written)


def test_the_dot_leaves_out_what_another_term_brings():
    table = frame()
    found = selecting.apply_formula(table, "log(y) ~ . - id - high + C(region) + poly(age, 2)", "gaussian")
    assert found.gates == ["bmi", "bp", "s5", "visits", "C(region)", "poly(age, 2)"]
    assert [name for name in found.x if name.startswith("C(")] == [
        "C(region)[north]", "C(region)[south]", "C(region)[west]"
    ]  # fmt: skip


def test_levels_that_do_not_occur_get_no_column():
    table = frame().assign(region=pd.Categorical(frame()["region"], ["north", "south", "west", "mars"]))
    assert selecting.apply_formula(table, "y ~ region", "gaussian").groups == ["region"] * 3


# ---- likelihoods -----------------------------------------------------------------------------------------


def test_the_help_lists_the_likelihoods_there_are():
    """The list is written out in the command line, which starts without torch."""
    from l0bayes.likelihoods import names

    words = " ".join(CliRunner().invoke(app, ["select", "--help"], env={"COLUMNS": "200"}).output.split())
    listed = words.partition("or a name that --load registers")[0]
    assert all(name in listed for name in (*names("selection"), "binomial"))


def test_options_of_a_likelihood(data, tmp_path, quick):
    out = tmp_path / "report"
    chosen = ["--likelihood", "negative_binomial", "--likelihood-option", "dispersion=0.5"]
    result = run(data, "visits ~ age + bmi", *chosen, "--out", out)
    assert result.exit_code == 0, result.output
    text = " ".join(page(out)[0].text.split())
    assert "It is a negative binomial regression" in text
    assert "The likelihood's dispersion is 0.5." in text
    assert "An effect is the change of the log mean per unit of a variable." in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--likelihood", "binomial"],
            "likelihood 'binomial' needs --trials COLUMN",
        ),
        (
            ["--likelihood", "cox"],
            "likelihood 'cox' takes times and events: write the formula as Surv(time, event) ~ ...",
        ),
        (["--likelihood", "student_t", "--trials", "age"], "--trials is of --likelihood binomial"),
        (["--likelihood", "student_t", "--exposure", "age"], "--exposure is of counts"),
        (["--likelihood", "poisson", "--offset", "sky"], "--offset names the column 'sky', which is not"),
        (
            ["--likelihood-option", "shape=1"],
            "the gaussian likelihood has no option 'shape'; it has noise_scale",
        ),
        (["--likelihood-option", "noise_scale"], "likelihood-option must read name=number"),
        (["--likelihood-option", "noise_scale=-1"], "noise_scale must be positive, got -1.0"),
    ],
)
def test_likelihoods_that_will_not_do(data, tmp_path, arguments, message):
    assert message in failed(data, "y ~ bmi", *arguments, "--out", tmp_path / "out")


def test_a_known_noise(data, tmp_path, quick):
    out = tmp_path / "report"
    result = run(data, "y ~ age + bmi", "--likelihood-option", "noise_scale=60", "--out", out)
    assert result.exit_code == 0, result.output
    assert "σ = " in page(out)[0].text


# ---- what the data say of the likelihood -----------------------------------------------------------------


def test_overdispersed_counts_are_told_everywhere(tmp_path, quick):
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.normal(size=(200, 3)), columns=["a", "b", "c"])
    table["n"] = rng.negative_binomial(1, 1 / (1 + np.exp(3 + 0.3 * table["a"])))
    out = tmp_path / "report"
    result = run(written(tmp_path, table), "n ~ .", "--likelihood", "poisson", "--json", "--out", out)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["trust"]["verdict"] == "doubtful"
    assert any("Pearson's dispersion" in reason for reason in found["trust"]["reasons"])
    assert any("dispersion=" in words for words in found["warnings"])
    (check,) = found["likelihood_checks"]
    assert check["measure"] == "dispersion"
    assert check["contradicted"] is True
    assert check["value"] > 8.0
    text = " ".join(page(out)[0].text.split())
    assert (
        "Can I trust this? Doubtful. The answer is conditional on a likelihood that the data contradict."
        in text
    )
    assert "More computation does not help" in text
