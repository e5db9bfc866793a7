r"""Work around the steps of a run, as objects with a few methods that are called in one order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l0bayes.infer.callbacks.training_run import Record, TrainingRun

__all__ = ["Callback"]


class Callback:
    """Work around the steps of :func:`l0bayes.fit`. A subclass writes the methods that it needs.

    Everything that :func:`l0bayes.fit` does beside steps is a callback. They are called in this order:

    1. schedules, pruning forecast, costs, target,
    2. finite values, collapse guard, sleeping, shrinking,
    3. history, progress bar,
    4. the ``callbacks`` that a user gives, as they are listed,
    5. checkpoint, the ``callback`` function, early stopping.

    ``on_end`` alone is called in reverse order. An error in a callback carries a note with its name.
    ``KeyboardInterrupt`` ends the run as Ctrl-C does. With ``restarts`` the same object serves all runs, one
    after the other: ``on_start`` begins anew.

    Example::

        class StopWhenSmall(Callback):
            def on_record(self, run, record):
                if run.history.deployed_l0[-1] < 10:
                    run.stop("small")


        fit = l0bayes.fit(model, guide, data, callbacks=[StopWhenSmall()])
    """

    @property
    def name(self) -> str:
        """Its name in errors and checkpoints: by default that of the class."""
        return type(self).__name__

    def on_start(self, run: TrainingRun) -> None:
        """Called before the first step of a run, with everything at its start.

        Args:
            run: The run.
        """

    def before_step(self, run: TrainingRun) -> None:
        """Called before each step.

        Args:
            run: The run; ``run.done`` steps are done.
        """

    def after_step(self, run: TrainingRun) -> None:
        """Called after each step.

        Args:
            run: The run; ``run.done`` steps are done.
        """

    def columns(self, run: TrainingRun) -> Mapping[str, float]:
        """Further columns of a record, the same names each time; none by default.

        Args:
            run: The run.
        """
        return {}

    def on_record(self, run: TrainingRun, record: Record) -> None:
        """Called every ``log_every`` steps and after the last one.

        Args:
            run: The run. Once the history has been written, its last values are those of this record.
            record: The measurements since the last record.
        """

    def on_end(self, run: TrainingRun) -> None:
        """Called when a run that was started ends, whatever ends it.

        Args:
            run: The run; ``run.stopped`` holds the reason.
        """

    def on_finish(self, fit: Any) -> None:
        """Called once, when all runs are over and none of them has failed.

        Args:
            fit: The result of :func:`l0bayes.fit`, a :class:`~l0bayes.infer.Fit`.
        """

    def state_dict(self, run: TrainingRun) -> dict[str, Any]:
        """The state with which a resumed run goes on as if it had not been interrupted; empty by default.

        Args:
            run: The run.

        Returns:
            Numbers, text, tensors, and lists and dictionaries of them.
        """
        return {}

    def shape_like(self, run: TrainingRun, state: dict[str, Any]) -> None:
        """Called in a resumed run before anything is loaded, to bring the run to the shape that it had.

        Only a callback that puts another objective or optimiser into the run has something to do.

        Args:
            run: The run, at its start.
            state: The result of :meth:`state_dict` when the checkpoint was written; empty where it had none.
        """

    def load_state_dict(self, run: TrainingRun, state: dict[str, Any]) -> None:
        """Called in a resumed run, after all ``on_start``: parameters, buffers and optimiser are loaded.

        Args:
            run: The run, with the number of steps done.
            state: The result of :meth:`state_dict` when the checkpoint was written.
        """
