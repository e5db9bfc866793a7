"""The history of a run as a file that grows by a line a record."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from l0bayes.files.whole_files import write_whole
from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import Record, TrainingRun

__all__ = ["HistoryFile"]


class HistoryFile(Callback):
    """Adds a line of JSON to a file at each record, which is there whatever ends the run.

    A line holds ``run`` (the number of the restart, from 0), ``seed``, and the values of the record by the
    names of :class:`~l0bayes.infer.History`; what is NaN or infinite is ``null``. A run that is resumed
    drops the lines after its checkpoint first.

    Args:
        path: The file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def on_start(self, run: TrainingRun) -> None:
        self._keep(run.index, 0)

    def load_state_dict(self, run: TrainingRun, state: dict[str, Any]) -> None:
        self._keep(run.index, run.done)
        for position in range(len(run.history.step)):  # those that the file lacks
            if position >= self._lines:
                self._add(run, position)

    def on_record(self, run: TrainingRun, record: Record) -> None:
        self._add(run, len(run.history.step) - 1)

    def _add(self, run: TrainingRun, position: int) -> None:
        values = {name: column[position] for name, column in run.history.by_name().items()}
        line = {
            "run": run.index,
            "seed": run.seed,
            **{name: _finite(value) for name, value in values.items()},
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")
        self._lines += 1

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
        write_whole(self.path, lambda part: part.write_text(whole, "utf-8"))


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
