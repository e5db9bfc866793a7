"""The history of a run as a file that grows by a line a record."""

from __future__ import annotations

import json
import math
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from l0bayes.files.whole_files import write_whole
from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import Record, TrainingRun
from l0bayes.user_warnings import warn_user

__all__ = ["HistoryFile", "HistoryFileWarning"]


class HistoryFileWarning(UserWarning):
    """Records could not be written to the file of the history."""


class HistoryFile(Callback):
    """Adds a line of JSON to a file at each record, which is there whatever ends the run.

    A line holds ``run`` (the number of the restart, from 0), ``seed``, and the values of the record by the
    names of :class:`~l0bayes.infer.History`; what is NaN or infinite is ``null``. A run that is resumed
    drops the lines after its checkpoint first. Where the disk takes no line, as a full one, the run goes on
    and says so once; the lines that the file lacks are tried again with every record.

    Args:
        path: The file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lines = 0  # of this run, in the file
        self._told = False

    def on_start(self, run: TrainingRun) -> None:
        self._told = False
        self._keep(run.index, 0)

    def load_state_dict(self, run: TrainingRun, state: dict[str, Any]) -> None:
        self._keep(run.index, run.done)
        self._add(run)

    def on_record(self, run: TrainingRun, record: Record) -> None:
        self._add(run)

    def _add(self, run: TrainingRun) -> None:
        """Write the records that the file lacks."""
        count = len(run.history.step)
        text = "".join(self._line(run, position) for position in range(self._lines, count))
        size = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            with suppress(OSError):  # a part of a line, of which the rest could not be written
                os.truncate(self.path, size)
            if not self._told:
                warn_user(
                    f"the history could not be written to {self.path} at step {run.done}: {error.strerror}. "
                    "The fit goes on; its records stay in fit.history, and are written once there is room",
                    HistoryFileWarning,
                )
            self._told = True
            return
        self._lines = count

    def _line(self, run: TrainingRun, position: int) -> str:
        values = {name: column[position] for name, column in run.history.by_name().items()}
        line = {
            "run": run.index,
            "seed": run.seed,
            **{name: _finite(value) for name, value in values.items()},
        }
        return json.dumps(line, allow_nan=False) + "\n"

    def _keep(self, index: int, done: int) -> None:
        """Keep the lines of earlier runs, and of this one those of the steps that were done."""
        self._lines = 0
        if not self.path.is_file():
            return
        kept, strange = [], 0
        texts = self.path.read_text("utf-8").splitlines()
        for text in texts:
            try:
                line = json.loads(text)
                run, step = line["run"], line["step"]
            except (ValueError, TypeError, KeyError):  # half a line, from a machine that went off
                strange += 1
                continue
            if run < index or (run == index and step <= done):
                kept.append(text)
                self._lines += run == index
        if strange > 1 or (strange and len(texts) == 1):
            raise ValueError(f"{self.path} exists and is no history of a fit: give history_file another name")
        whole = "".join(f"{text}\n" for text in kept)
        if whole != self.path.read_text("utf-8"):
            write_whole(self.path, lambda part: part.write_text(whole, "utf-8"))


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
