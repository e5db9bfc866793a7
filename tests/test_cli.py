"""The command line: what it lists, what it prints, and how it fails."""

import functools
import importlib.metadata
import warnings

import matplotlib as mpl
import numpy as np
import pytest
from typer.testing import CliRunner

import l0bayes
import l0bayes.__main__
from l0bayes.apps import demo
from l0bayes.cli import app
from l0bayes.infer import PruningWarning
from l0bayes.selection import GibbsOptions
from l0bayes.terminal import errors_in_a_line
from l0bayes.user_warnings import warn_user
from tests.arviz_versions import from_groups
from tests.posterior import fits

mpl.use("Agg")


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def posterior(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "posterior.nc"
    fits.idata("plain").to_netcdf(str(path))
    return path


# ---- help --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], []])
def test_the_commands_are_listed(arguments):
    result = run(*arguments)
    assert result.exit_code == (0 if arguments else 2)
    for command in ("demo", "diabetes", "digits", "clinics", "table"):
        assert command in result.output
    assert "spike-and-slab" in result.output


@pytest.mark.parametrize("command", ["demo", "diabetes", "digits", "clinics"])
def test_options_of_the_acts(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "--seed" in result.output
    assert "--out" in result.output


def test_the_entry_point_is_installed():
    (entry,) = (e for e in importlib.metadata.entry_points(group="console_scripts") if e.name == "l0bayes")
    assert entry.load() is l0bayes.__main__.main


# ---- table -------------------------------------------------------------------------------------------


def test_the_table_of_a_saved_posterior(posterior):
    result = run("table", posterior)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    table = l0bayes.gate_table(fits.idata("plain"))
    rows = [line for line in lines if any(name in line for name in fits.NAMES)]
    assert [next(n for n in fits.NAMES if n in row) for row in rows] == list(table.index)
    for row, (_, values) in zip(rows, table.iterrows(), strict=True):
        cells = [cell.strip() for cell in row.split("│")[1:-1]]
        numbers = [float(cell) for cell in cells[1:-1]]
        assert numbers == pytest.approx(values.iloc[:-1].astype(float).tolist(), rel=5e-3, abs=1e-12)
        assert cells[-1] == ("yes" if values["in_median_model"] else "")


def test_a_gate_by_name(posterior):
    result = run("table", posterior, "--name", "beta.gate")
    assert result.exit_code == 0
    table = l0bayes.gate_table(fits.idata("plain"), "beta.gate")
    (row,) = (line for line in result.output.splitlines() if "dose" in line)
    mean = float(row.split("│")[list(table.columns).index("mean") + 2])
    assert mean == pytest.approx(table.loc["dose", "mean"], rel=5e-3)


def test_large_and_infinite_numbers_are_readable(tmp_path):
    from l0bayes.terminal import cell

    assert [cell(v) for v in (123456.0, 1234.56, 0.123456, np.inf, np.nan, 1.0, 0.0)] == [
        "123,456",
        "1,234.6",
        "0.123",
        "inf",
        "nan",
        "1",
        "0",
    ]
    assert [cell(v) for v in (True, False, np.bool_(True), np.bool_(False), "3-4", 7)] == [
        "yes",
        "",
        "yes",
        "",
        "3-4",
        "7",
    ]


# ---- failures ----------------------------------------------------------------------------------------


def failed(*arguments):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return result.output


def test_no_such_file(tmp_path):
    assert "error: there is no file" in failed("table", tmp_path / "none.nc")


def test_a_folder(tmp_path):
    assert "is a folder" in failed("table", tmp_path)


def test_an_unknown_name(posterior):
    message = failed("table", posterior, "--name", "gamma")
    assert "error: name must be one of ['beta', 'beta.gate']; got 'gamma'" in message


def test_a_file_that_is_no_posterior(tmp_path):
    path = tmp_path / "text.nc"
    path.write_text("not a netCDF file\n" * 10)
    assert "error: " in failed("table", path)


def test_a_posterior_that_l0bayes_did_not_write(tmp_path):
    path = tmp_path / "other.nc"
    from_groups(posterior={"mu": np.zeros((1, 10))}).to_netcdf(str(path))
    assert "error: posterior has no group 'constant_data' with gates" in failed("table", path)


def test_an_unknown_command():
    assert "No such command" in failed("frobnicate")


def test_a_seed_that_is_no_number():
    assert "valid integer" in failed("diabetes", "--seed", "one")


@pytest.mark.parametrize("command", ["demo", "diabetes", "digits", "clinics"])
def test_a_file_in_the_place_of_the_folder(tmp_path, command):
    path = tmp_path / "taken"
    path.write_text("")
    assert "--out" in failed(command, "--out", path)


# ---- the acts ----------------------------------------------------------------------------------------


@pytest.fixture
def short_acts(monkeypatch):
    """The acts of the demo with a few steps, and what they were asked for."""
    asked = []

    def remember(name, function, **options):
        @functools.wraps(function)
        def act(out, *, seed):
            asked.append((name, out, seed))
            return function(out, seed=seed, progress=False, **options)

        monkeypatch.setattr(demo, f"run_{name}", act)

    options = GibbsOptions(chains=8, steps=200)
    remember("diabetes", demo.run_diabetes, steps=4, restarts=1, options=options)
    remember("digits", demo.run_digits, epochs=8, repeats=1)
    remember("clinics", demo.run_clinics, steps=4, restarts=1)
    return asked


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::l0bayes.infer.PruningWarning")  # cut too short for gates to close
def test_all_acts(tmp_path, short_acts):
    result = run("demo", "--out", tmp_path / "out", "--seed", 3)
    assert result.exit_code == 0, result.output
    assert short_acts == [
        ("diabetes", tmp_path / "out" / "diabetes", 3),
        ("digits", tmp_path / "out" / "digits", 3),
        ("clinics", tmp_path / "out" / "clinics", 3),
    ]
    assert (tmp_path / "out" / "diabetes" / "posterior.nc").is_file()
    assert (tmp_path / "out" / "digits" / "deployed" / "weights.safetensors").is_file()
    text = result.output
    for part in (
        "which of 64 terms explain",
        "the 10 most probable",
        "how small can it be",
        "narrow, from scratch",
        "which effects differ between clinics",
        "Verdict   exact",
    ):
        assert part in text
    assert "Next:" in text
    assert max(len(line) for line in text.replace(str(tmp_path), "").splitlines()) <= 100
    again = run("table", tmp_path / "out" / "diabetes" / "posterior.nc")
    assert again.exit_code == 0


def test_warnings_are_a_line_each_and_no_longer_than_the_command(capsys):
    before = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with errors_in_a_line(str.upper):
            assert warnings.showwarning is not before
            warn_user("no gate can close", PruningWarning)
    assert warnings.showwarning is before
    assert capsys.readouterr().err == "Warning: NO GATE CAN CLOSE\n"


@pytest.mark.parametrize("command", ["digits", "demo", "train"])
def test_seeds_below_0_are_refused_by_name(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(command, *(["lenet-300-100"] if command == "train" else []), "--seed", "-1")
    assert result.exit_code == 2
    assert "seed must not be negative, got -1" in result.output
    assert "of 3." not in result.output  # before anything is begun
    assert not list(tmp_path.iterdir())
