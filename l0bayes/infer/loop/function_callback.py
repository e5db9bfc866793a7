r"""A function that is called after each record, as a callback."""

from __future__ import annotations

from collections.abc import Callable

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.history import History
from l0bayes.infer.callbacks.training_run import Record, TrainingRun

__all__ = ["FunctionCallback"]


class FunctionCallback(Callback):
    """Calls a function with the history after each record.

    Args:
        function: The function.
    """

    def __init__(self, function: Callable[[History], None]) -> None:
        self.function = function

    @property
    def name(self) -> str:
        """The function's name."""
        return str(getattr(self.function, "__qualname__", type(self.function).__name__))

    def on_record(self, run: TrainingRun, record: Record) -> None:
        self.function(run.history)
