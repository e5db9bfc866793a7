"""``l0bayes select X.npy --response y.npy`` reads files by column."""

import json

import numpy as np
import pytest
import scipy.sparse
from typer.testing import CliRunner

from l0bayes.cli import app

_RNG = np.random.default_rng(3)
_X = _RNG.integers(0, 3, size=(60, 40)).astype(np.int8)
_Y = 1.5 * _X[:, 4] + _RNG.normal(size=60)


def _run(*words):
    return CliRunner().invoke(app, ["select", *map(str, words)])


@pytest.fixture
def response(tmp_path):
    np.save(tmp_path / "y.npy", _Y)
    return tmp_path / "y.npy"


def _npy(folder):
    np.save(folder / "x.npy", _X)
    return folder / "x.npy"


def _npz(folder):
    scipy.sparse.save_npz(folder / "x.npz", scipy.sparse.csc_matrix(_X))
    return folder / "x.npz"


@pytest.mark.filterwarnings("ignore::l0bayes.selection.TrustWarning")
@pytest.mark.parametrize("write", [_npy, _npz])
def test_a_file_is_selected_by_column(write, tmp_path, response):
    done = _run(write(tmp_path), "--response", response, "--out", tmp_path / "report")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "report" / "selection.json").read_text("utf-8"))
    assert (found["rows"], found["columns"], list(found["above_half"])) == (60, 40, ["x4"])
    assert np.load(tmp_path / "report" / "pip.npy").shape == (40,)
    assert (tmp_path / "report" / "summary.csv").read_text("utf-8").splitlines()[1].startswith("x4,")


@pytest.mark.filterwarnings("ignore::l0bayes.selection.TrustWarning")
def test_the_response_is_a_column_of_a_parquet_file(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    columns = {f"c{j}": _X[:, j] for j in range(30)}
    pyarrow.parquet.write_table(pa.table({**columns, "yield": _Y}), tmp_path / "x.parquet")
    done = _run(tmp_path / "x.parquet", "--response", "yield", "--out", tmp_path / "report")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "report" / "selection.json").read_text("utf-8"))
    assert (found["columns"], list(found["above_half"])) == (30, ["c4"])


def test_bad_files_are_refused_before_anything_is_written(tmp_path, response):
    whole = _npy(tmp_path).read_bytes()
    short = tmp_path / "short.npy"
    short.write_bytes(whole[:-7])
    longer = tmp_path / "longer.npy"
    longer.write_bytes(whole + b"1234567")
    np.save(tmp_path / "few.npy", _Y[:50])
    out = tmp_path / "report"
    for words, message in (
        ([short, "--response", response], "short.npy is of the wrong size"),
        ([longer, "--response", response], "longer.npy is of the wrong size"),
        ([tmp_path / "x.npy", "--response", tmp_path / "few.npy"], "it has 60 rows, and y the shape (50,)"),
        ([tmp_path / "x.npy", "--response", tmp_path / "no.npy"], "with the response"),
        ([tmp_path / "x.npy"], "give a formula, or --response"),
        ([tmp_path / "x.npy", "y ~ .", "--response", response], "not both"),
        ([tmp_path / "x.npy", "--response", response, "--engine", "exact"], "by the engine 'wide'"),
    ):
        done = _run(*words, "--out", out)
        assert done.exit_code == 2
        assert message in " ".join(done.output.split())
        assert not out.exists()
