r"""A selection from a table that is read by column: a mapped array, a sparse matrix, Parquet or Arrow."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from l0bayes.apps.select.select_settings import SelectSettings
from l0bayes.files.whole_files import folder_for, staged
from l0bayes.optional_packages import needed_for
from l0bayes.selection.column_sources.any_source import column_source
from l0bayes.selection.column_sources.arrow_columns import ArrowColumns
from l0bayes.selection.column_sources.column_source import ColumnSource

__all__ = ["COLUMN_FILES", "open_columns", "select_by_column"]

COLUMN_FILES = ("summary.csv", "pip.npy", "selection.json")
_ARROW = (".parquet", ".arrow", ".feather")
_KINDS = ".npy (mapped), .npz (a SciPy sparse matrix), .parquet, .arrow or .feather"


def open_columns(path: Path, response: str) -> tuple[ColumnSource, Any]:
    """The columns of a file, left where they are, and the response.

    Args:
        path: A ``.npy``, ``.npz``, ``.parquet``, ``.arrow`` or ``.feather`` file.
        response: A ``.npy`` file or a text file of numbers; or, of an Arrow or Parquet file, a column's name.

    Raises:
        FileNotFoundError: If one of the files is not there.
        ModuleNotFoundError: If the file needs the extra ``tables``.
        ValueError: If a file is of another kind, or of the wrong size.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    kind = path.suffix.lower()
    if kind in _ARROW:
        return _arrow(path, response)
    if kind == ".npy":
        try:
            table: Any = np.load(path, mmap_mode="r")
        except ValueError as error:
            raise ValueError(
                f"{path.name} is of the wrong size: it is shorter than its header says, or no array of "
                f"numbers ({error}). Write it anew"
            ) from None
        return column_source(table), _numbers(response)
    if kind == ".npz":
        import scipy.sparse

        try:
            return column_source(scipy.sparse.load_npz(path)), _numbers(response)
        except (ValueError, KeyError) as error:
            raise ValueError(f"{path.name} holds no SciPy sparse matrix: {error}") from None
    raise ValueError(f"--response goes with a table that is read by column, {_KINDS}; got {path.name}")


def _arrow(path: Path, response: str) -> tuple[ColumnSource, Any]:
    with needed_for(path.name):
        import pyarrow.feather
        import pyarrow.parquet
    if path.suffix.lower() == ".parquet":
        table: Any = pyarrow.parquet.ParquetFile(path)
        names, read = list(table.schema_arrow.names), lambda name: table.read(columns=[name])
    else:
        table = pyarrow.feather.read_table(path, memory_map=True)
        names, read = list(table.schema.names), lambda name: table.select([name])
    if response not in names:
        if Path(response).exists():
            return column_source(table), _numbers(response)
        raise ValueError(f"{path.name} has no column {response!r}, and there is no such file")
    return ArrowColumns(table, without=response), read(response).column(response).to_numpy()


def _numbers(response: str) -> Any:
    path = Path(response)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {response!r} with the response")
    if path.suffix.lower() == ".npy":
        return np.load(path)
    try:
        return np.loadtxt(path, ndmin=1)
    except ValueError as error:
        raise ValueError(f"{path.name} must hold one number a line: {error}") from None


def _refuse_of_formulas(settings: SelectSettings) -> None:
    """Refuse what columns of a table and its terms would be needed for."""
    asked = [f"--{kind}" for kind, _ in settings.rows]
    asked += ["--always"] * bool(settings.always) + ["--heredity"] * (settings.heredity is not None)
    if asked:
        raise ValueError(
            f"{asked[0]} goes with a formula, and --response reads by column without one: leave it out, or "
            "give a .csv or .parquet file and a formula"
        )


def select_by_column(
    path: Path,
    response: str,
    out: Path,
    settings: SelectSettings,
    *,
    force: bool = False,
    on_step: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Fit, and write :data:`COLUMN_FILES` into a folder: columns that were in a model, all PIPs, the verdict.

    Args:
        path: The columns; see :func:`open_columns`.
        response: The response.
        out: Folder.
        settings: Priors and engine; the Gaussian likelihood only.
        force: Replace what a selection left in the folder.
        on_step: Called with what is being done.

    Returns:
        What ``selection.json`` holds.

    Raises:
        FileExistsError: If the folder is not empty and ``force`` is not given.
        ValueError: If a file or a setting will not do.
    """
    from l0bayes.estimators.estimator_choice import estimator_for

    announce = on_step or (lambda words: None)
    if not settings.law.conjugate:
        raise ValueError("--response reads by column, for the gaussian likelihood only; give a formula")
    _refuse_of_formulas(settings)
    if settings.engine not in ("auto", "wide"):
        raise ValueError(f"--response reads by column, by the engine 'wide'; got {settings.engine!r}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not (force and out.is_dir()):
        raise FileExistsError(f"out {str(out)!r} exists and is not empty; --force replaces what is in it")
    announce(f"Opening {path}")
    source, y = open_columns(path, response)
    chosen = settings.prior_of(source.num_columns)
    if settings.slab_scale is not None:
        chosen["slab_scale"] = settings.slab_scale
    arguments = {**settings.of_gaussian, **chosen, "random_state": settings.seed, "engine": "wide"}
    estimator: Any = estimator_for(settings.law, noise_prior=settings.noise_prior, **arguments)
    with folder_for(out):
        announce(f"Fitting {source.num_columns} columns to {source.num_rows} rows")
        began = time.perf_counter()
        estimator.fit(source, y)
        summary = estimator.summary(settings.hdi)
        found = {
            "file": path.name,
            "rows": source.num_rows,
            "columns": source.num_columns,
            "seconds": time.perf_counter() - began,
            "trust": estimator.trust_.verdict,
            "reasons": list(estimator.trust_.reasons),
            "expected_size": float(estimator.pip_.sum()),
            "above_half": {name: float(pip) for name, pip in summary["pip"].items() if pip > 0.5},
        }
        with staged(out, COLUMN_FILES) as folder:
            summary.to_csv(folder / "summary.csv")
            np.save(folder / "pip.npy", estimator.pip_)
            (folder / "selection.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return found
