r"""A state in two generations: what was written last, and what was written before it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from l0bayes.files.state_files import StateFileError, read_state, write_state
from l0bayes.files.whole_files import as_usual, remove_abandoned, settle

__all__ = ["Generations"]


class Generations:
    """Keeps the last two states that were written, so that one is whole whatever happens to the other.

    A state is written beside, brought to the disk and moved into place; the one that was there becomes the
    one before, ``{name}.before``. At every moment one of the two names leads to a whole file.

    Args:
        path: The file of the last state.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.before = path.with_name(f"{path.name}.before")
        self._written = False
        self._whole: Path | None = None  # what is known to be a whole state of this run

    @property
    def exist(self) -> bool:
        """Whether there is one to read."""
        return self.path.exists() or self.before.exists()

    def read(self) -> tuple[dict[str, Any], str]:
        """The last state that is whole, and what is wrong with the one after it, ``""`` where nothing is.

        Raises:
            FileNotFoundError: If there is none.
            StateFileError: If none of them is whole.
        """
        try:
            state = read_state(self.path)
        except (FileNotFoundError, StateFileError) as error:
            if not self.before.exists():
                raise
            wrong = "it is not there" if isinstance(error, FileNotFoundError) else str(error)
            try:
                state = read_state(self.before)
            except StateFileError as other:
                raise StateFileError(f"{wrong}; nor can the one before be read: {other}") from None
            self._whole = self.before
            return state, wrong
        self._whole = self.path
        return state, ""

    def write(self, state: dict[str, Any]) -> None:
        """Write a state. What was read, or written before, is kept as the one before; nothing else is.

        Args:
            state: A state, as :func:`~l0bayes.files.state_files.as_plain_state` gives it.

        Raises:
            OSError: If there is no room for it; the states that were there are as they were.
        """
        if not self._written:  # what a killed run left, of the size of a state
            remove_abandoned(self.path.absolute().parent, f"{self.path.name}.", ".part")
        part = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        try:
            write_state(state, part)
            as_usual(part)
            if self._whole == self.path:
                self.path.replace(self.before)
            part.replace(self.path)
            if self._whole is None:  # that of another run is none to fall back to
                self.before.unlink(missing_ok=True)
            self._whole, self._written = self.path, True
            settle(self.path.parent)
        finally:
            part.unlink(missing_ok=True)
