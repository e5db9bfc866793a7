r"""A selection from a file and a formula, with everything left in a folder."""

from __future__ import annotations

import math
import platform
import shlex
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from l0bayes.apps.select.calibration_request import check_calibration
from l0bayes.apps.select.formulas import FormulaData, apply_formula
from l0bayes.apps.select.option_words import in_options
from l0bayes.apps.select.report_page import page_template, render_page
from l0bayes.apps.select.report_pictures import CALIBRATION_FILES, PICTURES, SENSITIVITY_FILES, pictures
from l0bayes.apps.select.report_words import advice_on, describe_model, describe_sets
from l0bayes.apps.select.response_words import doubts_about_response
from l0bayes.apps.select.select_settings import SelectSettings
from l0bayes.apps.select.selection_result import TOP_MODELS, Selection
from l0bayes.apps.select.table_checks import data_row
from l0bayes.apps.select.table_files import TableFile, load_table
from l0bayes.apps.writers import try_writers
from l0bayes.estimators.kept.selection_files import SELECTION_FILE, write_selection
from l0bayes.files.whole_files import folder_for, staged, write_whole
from l0bayes.plots import plot_calibration, plot_sensitivity
from l0bayes.posterior.netcdf import write_netcdf

if TYPE_CHECKING:
    pass

__all__ = ["FILES", "Selection", "select"]

FILES = ("summary.csv", "posterior.nc", *PICTURES, SELECTION_FILE, "report.html")
_FDR = 0.1


def select(
    path: str | Path,
    formula: str,
    out: str | Path,
    settings: SelectSettings | None = None,
    *,
    force: bool = False,
    drop_missing: bool = False,
    na: Sequence[str] | None = None,
    centred: bool = True,
    sensitivity: bool = False,
    calibrate: int | None = None,
    command: str | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Selection:
    """Read a table, fit, and write :data:`FILES` into a folder, where they appear together.

    Everything that can be wrong with data, formula and settings is found before the folder is made. An
    interruption leaves the files that were finished; an error leaves the folder as it was.

    Args:
        path: A CSV, Parquet or Feather file.
        formula: Such as ``"y ~ . - id + C(region)"``.
        out: Folder.
        settings: Likelihood, priors, engine; the defaults where not given.
        force: Replace what a selection left in the folder; other files there are not touched.
        drop_missing: Leave out rows in which something is missing.
        na: Words that mean missing; see :func:`~l0bayes.apps.select.table_files.load_table`.
        centred: Whether products are of centred columns.
        sensitivity: Whether to say what changes under other priors, with a table and a map.
        calibrate: Number of data sets to draw from the prior and fit, before the response is looked at, to
            say whether probabilities come true; ``None`` for none.
        command: The command line, for the report.
        on_step: Called with what is being done.

    Returns:
        The selection.

    Raises:
        FileNotFoundError: If there is no such table.
        IsADirectoryError: If it is a folder.
        FileExistsError: If the folder is not empty and ``force`` is not given.
        ModuleNotFoundError: If the file needs the extra ``tables``, or a package that writes is missing.
        OSError: If the folder cannot be written to.
        ValueError: If the table, the formula, or a setting will not do.
        Stopped: At an interruption while files are written, with those that are left.
    """
    settings, out = settings or SelectSettings(), Path(out)
    announce = on_step or (lambda words: None)
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and (not force or not out.is_dir()):
        raise FileExistsError(
            f"out {str(out)!r} exists and is {'not empty; --force replaces' if out.is_dir() else 'no folder'}"
            f"{' what a selection left in it' if out.is_dir() else ''}"
        )
    settings = settings.for_formula(formula)
    announce(f"Reading {path}")
    file = load_table(path, na)
    data = apply_formula(
        file.table,
        formula,
        settings.law,
        drop_missing=drop_missing,
        centred=centred,
        refused=file.refused,
        row_columns=settings.rows,
    )
    estimator = _estimator(settings, data)
    estimator.check_coded(data.coded)
    check_calibration(calibrate, data.rows)
    page_template()
    with folder_for(out):
        try_writers(out)
        calibration = None
        if calibrate is not None:
            announce(f"Drawing {calibrate} data sets from the prior, and fitting them")
            calibration = estimator.calibrate_coded(data.coded, data.rows.terms, num_datasets=calibrate)
        rows, gates = len(data.x), len(data.gates)
        announce(f"Fitting {gates} {'variable' if gates == 1 else 'variables'} to {rows} rows")
        started = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            estimator.fit_coded(data.coded, data.y.to_numpy(), data.rows.weights, data.rows.terms)
        seconds = time.perf_counter() - started
        caught_words = [in_options(str(w.message)) for w in caught if issubclass(w.category, UserWarning)]
        doubts = [*file.guessed, *_doubts_of(file, data), *doubts_about_response(data, settings)]
        warned = list(dict.fromkeys([*doubts, *data.notes, *caught_words]))
        summary = estimator.summary(settings.hdi)
        found = Selection(out, settings, data, estimator, summary, seconds, warned, list(file.notes))
        found.calibration = calibration
        if estimator.supports_row_checks() is None:
            found.checks = estimator.row_checks(partial(data_row, data.x.index))
        if sensitivity:
            announce("Looking at other priors")
            found.sensitivity = estimator.sensitivity()
        with staged(out, (*FILES, *SENSITIVITY_FILES, *CALIBRATION_FILES)) as folder:
            names = _write(found, folder, path, na, command, announce)
        found.files += [out / name for name in names]
    return found


def _doubts_of(file: TableFile, data: FormulaData) -> list[str]:
    """What is doubtful about the columns that the formula uses; the others do not matter."""
    return [doubt for name, doubt in file.doubts.items() if name in data.columns]


def _estimator(settings: SelectSettings, data: FormulaData) -> Any:
    from l0bayes.estimators.estimator_choice import estimator_for

    chosen = settings.prior_of(len(data.gates))
    if settings.slab_scale is not None:
        chosen["slab_scale"] = settings.slab_scale
    return estimator_for(
        settings.law,
        noise_prior=settings.noise_prior,
        intercept=data.intercept,
        engine=settings.engine,
        options=settings.options,
        random_state=settings.seed,
        **settings.of_gaussian,
        **settings.of_gates,
        **chosen,
    )


def _write(
    found: Selection,
    folder: Path,
    path: str | Path,
    na: Sequence[str] | None,
    command: str | None,
    announce: Callable[[str], None],
) -> list[str]:
    """Names of the files that were written, in their order."""
    fit, names = found.estimator, []

    def keep(name: str, write: Callable[[Path], Any]) -> Path:
        announce(f"Writing {name}")
        names.append(name)
        return write_whole(folder / name, write)

    keep("summary.csv", found.summary.to_csv)
    keep("posterior.nc", partial(write_netcdf, fit.inference_data_))
    images = []
    spread = found.data.x.std(ddof=0)
    for name, draw in pictures(found.summary, fit.posterior_, found.data.gates, spread, found.checks):
        images.append(keep(name, partial(_save, draw)))
    if found.sensitivity is not None:
        keep("sensitivity.csv", partial(found.sensitivity.to_csv, index=False))
        draw = partial(plot_sensitivity, found.sensitivity)
        images.append(keep("sensitivity.png", partial(_save, draw)))
    if found.calibration is not None:
        keep("calibration.csv", found.calibration.to_frame().to_csv)
        draw = partial(plot_calibration, found.calibration)
        images.append(keep("calibration.png", partial(_save, lambda: draw()[0])))
    coding = replace(found.data.coding, na=None if na is None else list(na))
    keep(SELECTION_FILE, partial(write_selection, fit.kept_state({"kind": coding.kind, **coding.state()})))
    page = _page(found, images, path, command)
    keep("report.html", lambda file: file.write_text(page, "utf-8"))
    return names


def _save(draw: Callable[[], Any], file: Path) -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    with warnings.catch_warnings():
        # Letters that no font here has are boxes; the table and the page have them all the same.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        try:
            draw().figure.savefig(file, format="png", dpi=130)
        finally:
            for number in set(plt.get_fignums()) - set(before):  # also of a drawing that failed
                plt.close(number)


def _page(found: Selection, images: list[Path], path: str | Path, command: str | None) -> str:
    fit, data, settings = found.estimator, found.data, found.settings
    trust, posterior = fit.trust_, fit.posterior_
    # One row a gate, most probable first.
    gates = found.summary.drop_duplicates("group").set_index("group")
    described = describe_model(settings.law, data, posterior, fit.get_params())
    return render_page(
        found.summary,
        fit.top_models(TOP_MODELS),
        images,
        response=data.response,
        source=Path(path).name,
        num_rows=len(data.x),
        num_gates=len(data.gates),
        num_columns=data.x.shape[1],
        rows_read=data.rows_read,
        rows_dropped=data.rows_dropped,
        median=gates.index[gates["in_median_model"]].tolist(),
        selected=gates.index[gates["bfdr_q"] <= _FDR].tolist(),
        expected_size=float(gates["pip"].sum()),
        prior_size=float(gates["prior"].sum()),
        spreads=found.spreads,
        shared_prior=posterior.problem.prior.beta is not None,
        verdict=trust.verdict,
        verdict_words=str(trust).removeprefix(f"{trust.verdict}: ").removesuffix(" ".join(trust.reasons)),
        reasons=found.reasons,
        advice=advice_on(trust, posterior),
        warnings=found.warnings,
        sensitivity=found.sensitivity_words,
        calibration="" if found.calibration is None else found.calibration.words,
        fit_words=found.fit_words,
        sets=describe_sets(posterior, data.gates),
        hdi=f"{100.0 * settings.hdi:g} %",
        model_kind=described["kind"],
        formula=data.formula,
        formulas=described["formulas"],
        sentences=described["sentences"],
        computed=_computed(found, path, command),
    )


def _computed(found: Selection, path: str | Path, command: str | None) -> dict[str, str]:
    from importlib.metadata import version

    fit, settings = found.estimator, found.settings
    facts = {
        "command": command
        or f"l0bayes select {shlex.quote(Path(path).name)} {shlex.quote(found.data.formula)}",
        "cells": " ".join(found.reading),
        "engine": f"{fit.engine_}: {fit.posterior_.diagnostics.method}",
    }
    if math.isfinite(fit.log_evidence_):
        facts["log evidence"] = f"{fit.log_evidence_:.4f}"
    facts |= {
        "seed": str(settings.seed),
        "time of the fit": f"{found.seconds:.1f} s",
        "finished": time.strftime("%Y-%m-%d %H:%M %z"),
        "versions": ", ".join(
            [
                f"l0bayes {version('l0bayes')}",
                f"torch {torch.__version__}",  # with its build, which not every wheel's metadata name
                *(f"{name} {version(name)}" for name in ("formulaic", "numpy", "pandas")),
                f"Python {platform.python_version()}",
            ]
        ),
    }
    return facts
