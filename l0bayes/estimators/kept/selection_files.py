r"""A fitted selection in a file: safetensors with a checksum, and nothing that could run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from l0bayes.files.state_files import StateFileError, as_plain_state, read_state, write_state
from l0bayes.files.whole_files import settle, write_whole

__all__ = ["SELECTION_FILE", "SavedSelectionError", "read_selection", "write_selection", "write_to_folder"]

SELECTION_FILE = "selection.safetensors"
"""Name of the file in its folder."""
_FORMAT = "l0bayes selection 1"


class SavedSelectionError(ValueError):
    """A folder holds no selection, or one that is not whole."""


def write_selection(state: Mapping[str, Any], path: Path) -> Path:
    """Write a selection to a file, which is there when it is whole.

    Args:
        state: Plain values and tensors.
        path: The file.

    Returns:
        The file.

    Raises:
        TypeError: If something in it cannot be kept, by its place.
    """
    plain = as_plain_state({"format": _FORMAT, **state}, "the selection")
    write_state_whole = write_whole(path, lambda part: write_state(plain, part))
    settle(path.parent)
    return write_state_whole


def write_to_folder(state: Mapping[str, Any], folder: str | os.PathLike[str]) -> Path:
    """Write a selection into a folder of its own, which is made where there is none.

    Args:
        state: Plain values and tensors.
        folder: The folder.

    Returns:
        The file.

    Raises:
        FileExistsError: If the folder holds other files, and no selection.
        TypeError: If something in it cannot be kept, by its place.
    """
    folder = Path(folder)
    is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_free and not (folder / SELECTION_FILE).is_file():
        raise FileExistsError(f"folder {str(folder)!r} exists and holds no selection; name another one")
    as_plain_state(dict(state), "the selection")  # before a folder is made
    folder.mkdir(parents=True, exist_ok=True)
    return write_selection(state, folder / SELECTION_FILE)


def read_selection(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what was written, once it has been found to be that.

    Args:
        folder: The folder, of :func:`write_to_folder` or of ``l0bayes select``.

    Raises:
        FileNotFoundError: If there is no such folder, or no selection in it.
        SavedSelectionError: If the file is not whole, or of another kind.
    """
    folder = Path(folder)
    if not (folder / SELECTION_FILE).is_file():
        there = "is no folder" if not folder.is_dir() else f"has no file {SELECTION_FILE}"
        raise FileNotFoundError(f"there is no selection in {str(folder)!r}: it {there}")
    try:
        state = read_state(folder / SELECTION_FILE)
    except StateFileError as error:
        raise SavedSelectionError(f"the selection in {str(folder)!r} can't be read: {error}") from error
    if state.get("format") != _FORMAT:
        raise SavedSelectionError(
            f"{SELECTION_FILE} in {str(folder)!r} was not written by this version of l0bayes"
        )
    return state
