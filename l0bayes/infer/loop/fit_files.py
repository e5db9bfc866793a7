r"""Fits in folders: one file, safetensors with a checksum."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from l0bayes.files.state_files import StateFileError, as_plain_state, read_state, write_state
from l0bayes.files.whole_files import settle, write_whole
from l0bayes.infer.guide_combinations import copied_guide
from l0bayes.infer.kept_model import kept_model
from l0bayes.infer.loop.kept_runs import KeptRunError, check_fits, kept_run, run_of
from l0bayes.infer.loop.restart_result import Restart, take_best
from l0bayes.infer.loop.run_identity import guide_in_words
from l0bayes.optional_packages import need

__all__ = ["SavedFitError", "read_fit", "write_fit"]

_FILE = "fit.safetensors"
_FORMAT = "l0bayes fit 1"


class SavedFitError(ValueError):
    """A folder holds no fit, one that is not whole, or one of another model or guide."""


def write_fit(folder: str | os.PathLike[str], runs: Sequence[Restart], about: Mapping[str, Any]) -> Path:
    """Write the file.

    Args:
        folder: The folder, which is made where there is none.
        runs: The runs.
        about: What else is known of the fit, as plain values.

    Returns:
        The file.

    Raises:
        FileExistsError: If the folder holds other files, and no fit.
        ModuleNotFoundError: If the extra ``files`` is not installed.
        TypeError: If the folder is no path, or model or guide hold something that no file can hold, by name.
    """
    need("A saved fit", "safetensors")
    folder = _as_folder(folder)
    is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_free and not (folder / _FILE).is_file():
        raise FileExistsError(f"folder {str(folder)!r} exists and holds no fit; name another one")
    state = {
        "format": _FORMAT,
        "guide": guide_in_words(runs[0].guide),
        "runs": [kept_run(run) for run in runs],
        "about": as_plain_state(dict(about), "what is known of the fit"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = write_whole(folder / _FILE, lambda part: write_state(state, part))
    settle(folder)
    return file


def read_fit(folder: str | os.PathLike[str], model: Any, guide: Any) -> tuple[list[Restart], dict[str, Any]]:
    """Read the runs into model and guide, copies of them where there are several, and what else is known.

    Args:
        folder: The folder.
        model: The model, which ends with the values of the best run where it is a module.
        guide: The guide, which ends with those of the best run.

    Raises:
        FileNotFoundError: If there is no such folder, or no fit in it.
        SavedFitError: If the file is not whole, or of another model or guide.
    """
    folder = _as_folder(folder)
    if not (folder / _FILE).is_file():
        raise FileNotFoundError(f"there is no fit in {str(folder)!r}: no file {_FILE}")
    try:
        state = read_state(folder / _FILE)
    except StateFileError as error:
        raise SavedFitError(f"the fit in {str(folder)!r} can't be read: {error}") from error
    if state.get("format") != _FORMAT:
        raise SavedFitError(f"{_FILE} in {str(folder)!r} was not written by this version of Fit.save")
    try:
        for one in state["runs"]:
            check_fits(one, model, guide)
        _check_guide(folder, state["guide"], guide)
        return _runs(state["runs"], model, guide), state["about"]
    except KeptRunError as error:
        raise SavedFitError(
            f"the fit in {str(folder)!r} was made with the guide {state['guide']} and can't be read into "
            f"this one: {error}"
        ) from error


def _as_folder(folder: Any) -> Path:
    """The folder of a fit, also where its file is named."""
    if not isinstance(folder, str | os.PathLike):
        raise TypeError(
            f"folder must be a path, got {type(folder).__name__}: fit.save(folder), and then "
            "load_fit(folder, model, guide)"
        )
    path = Path(folder)
    return path.parent if path.name == _FILE and path.is_file() else path


def _check_guide(folder: Path, theirs: str, guide: Any) -> None:
    """Refuse a guide of other settings, under which the same parameters mean something else."""
    # Version 0.1 kept the class alone.
    ours = guide_in_words(guide) if "(" in theirs else type(guide).__name__
    if ours != theirs:
        raise SavedFitError(
            f"the fit in {str(folder)!r} was made with the guide {theirs} and can't be read into {ours}: "
            "make the guide as it was made for the fit"
        )


def _runs(kept: list[dict[str, Any]], model: Any, guide: Any) -> list[Restart]:
    if len(kept) == 1:
        return [run_of(kept[0], model, guide)]
    runs = [run_of(one, kept_model(model), copied_guide(guide)) for one in kept]
    take_best(runs, model, guide)
    return runs
