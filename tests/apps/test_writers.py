"""A command that cannot write what it will find says so before it fits anything."""

from __future__ import annotations

import sys
from importlib import import_module

import matplotlib as mpl
import pandas as pd
import pytest
from typer.testing import CliRunner

from l0bayes.apps.writers import try_writers
from l0bayes.cli import app
from l0bayes.plots.style import try_pictures

mpl.use("Agg")

SMALL_RUN = ["lenet-300-100", "--data", "digits", "--epochs", "1", "--batch-size", "500"]
COMMANDS = {
    "demo": (["demo"], ["l0bayes.apps.demo.refined_act.fit", "l0bayes.apps.demo.digits_act.fit"]),
    "diabetes": (["diabetes"], ["l0bayes.apps.demo.refined_act.fit"]),
    "digits": (["digits"], ["l0bayes.apps.demo.digits_act.fit", "l0bayes.apps.demo.digits_act.train_plain"]),
    "clinics": (["clinics"], ["l0bayes.apps.demo.refined_act.fit"]),
    "train": (["train", *SMALL_RUN], ["l0bayes.apps.train.training_job.fit"]),
    "select": (["select", "table.csv", "y ~ ."], ["l0bayes.estimators.SpikeSlabRegressor.fit"]),
}
NEEDED = {
    **{name: ["h5py", "h5netcdf", "matplotlib.pyplot"] for name in COMMANDS},
    "digits": ["matplotlib.pyplot"],
    "select": ["h5py", "h5netcdf", "matplotlib.pyplot", "jinja2"],
}
EXTRA_OF = {"h5py": "files", "h5netcdf": "files", "jinja2": "select"}


@pytest.fixture(autouse=True, scope="module")
def arviz():
    """ArviZ 0.x itself takes Matplotlib; it is there before that is hidden."""
    import_module("arviz")


@pytest.fixture
def without_fits(monkeypatch):
    def forbid(*arguments, **options):
        raise AssertionError("fitted before the writers were tried")

    def apply(targets):
        for target in targets:
            monkeypatch.setattr(target, forbid)

    return apply


@pytest.mark.parametrize(("name", "package"), [(n, p) for n, packages in NEEDED.items() for p in packages])
def test_a_missing_writer_is_told_before_any_fit(name, package, without_fits, tmp_path, monkeypatch):
    arguments, fits = COMMANDS[name]
    without_fits(fits)
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"x": [1.0, 2.0, 4.0, 3.0], "y": [1.0, 2.0, 3.0, 5.0]}).to_csv("table.csv", index=False)
    monkeypatch.setitem(sys.modules, package, None)
    result = CliRunner().invoke(app, [*arguments, "--out", "new/results"])
    assert result.exit_code == 2, result.exception
    missing = package.split(".")[0]
    assert f"needs {missing}, which" in result.output
    extra = EXTRA_OF.get(package)
    install = f"'l0bayes[{extra}]'" if extra else f"--upgrade --force-reinstall {missing}"
    assert f"pip install {install}\n" in result.output
    assert not (tmp_path / "new").exists()


def test_trying_leaves_a_folder_as_it_was(tmp_path):
    (tmp_path / "kept.txt").write_text("kept")
    try_writers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]
    try_writers(tmp_path / "a" / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]
    assert not mpl.pyplot.get_fignums()


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OSError, match="out"):
        try_writers(tmp_path / "out")


def test_pictures_that_cannot_be_drawn_say_why(tmp_path, monkeypatch):
    def fails(*arguments, **options):
        raise RuntimeError("no font at all")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fails)
    with pytest.raises(OSError, match="cannot draw a picture here: RuntimeError: no font at all"):
        try_pictures(tmp_path)
    assert not list(tmp_path.iterdir())
    assert not mpl.pyplot.get_fignums()


def test_a_missing_pillow_goes_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    for name in [name for name in sys.modules if name.startswith("matplotlib.image")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(
        ModuleNotFoundError, match=r"needs pillow, which is not installed: pip install 'l0bayes\[plots\]'$"
    ):
        try_pictures(tmp_path)
