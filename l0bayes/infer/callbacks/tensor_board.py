"""The history of a run for TensorBoard."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import Record, TrainingRun

__all__ = ["TensorBoard"]


class TensorBoard(Callback):
    """Writes every column of the history as a scalar, a folder a restart. Needs the extra ``tensorboard``.

    With several ranks give it to rank 0 alone.

    Args:
        folder: The log directory.

    Raises:
        ImportError: If TensorBoard is not installed.

    Example::

        fit = l0bayes.fit(model, guide, data, callbacks=[TensorBoard("runs/first")])
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError(
                "TensorBoard is not installed: pip install 'l0bayes[tensorboard]', or read the history from "
                "fit.history or the file of history_file="
            ) from error
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
