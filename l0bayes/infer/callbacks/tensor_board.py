"""The history of a run for TensorBoard."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import Record, TrainingRun
from l0bayes.optional_packages import needed_for

__all__ = ["TensorBoard"]


class TensorBoard(Callback):
    """Writes every column of the history as a scalar, a folder a restart. Needs the extra ``tensorboard``.

    With several ranks give it to rank 0 alone.

    Args:
        folder: The log directory.

    Raises:
        ModuleNotFoundError: If TensorBoard is not installed; says which extra brings it.

    Example::

        fit = l0bayes.fit(model, guide, data, callbacks=[TensorBoard("runs/first")])
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        with needed_for("TensorBoard (fit.history and history_file= hold the same)"):
            from torch.utils.tensorboard import SummaryWriter

        self.folder = Path(folder)
        self._new_writer: Any = SummaryWriter
        self._writer: Any = None

    def on_start(self, run: TrainingRun) -> None:
        folder = self.folder if run.restarts == 1 else self.folder / f"run-{run.index}"
        self._writer = self._new_writer(str(folder))

    def on_record(self, run: TrainingRun, record: Record) -> None:
        for name, column in run.history.by_name().items():
            if name != "step":
                self._writer.add_scalar(name, column[-1], record.step)

    def on_end(self, run: TrainingRun) -> None:
        self._writer.close()
