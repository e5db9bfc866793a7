"""What a run does, to Python's logging."""

from __future__ import annotations

import logging

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import Record, TrainingRun

__all__ = ["RunLog"]

_log = logging.getLogger("l0bayes.fit")


class RunLog(Callback):
    """Tells the logger ``l0bayes.fit`` of starts, ends and cuts (level INFO) and of records (DEBUG).

    The library sets no handler: ``logging.basicConfig(level="INFO")`` shows them.
    """

    def on_start(self, run: TrainingRun) -> None:
        self._decided = -1
        _log.info("run %d of %d begins: %d steps, seed %d", run.index + 1, run.restarts, run.steps, run.seed)

    def on_record(self, run: TrainingRun, record: Record) -> None:
        _log.debug(
            "step %d: ELBO %.6g, log likelihood %.6g, KL %.6g",
            record.step,
            record.elbo,
            record.log_likelihood,
            record.kl,
        )
        if run.decision is not None and run.decision.kept != self._decided:
            self._decided = run.decision.kept
            _log.info("step %d: %s", record.step, run.decision)

    def on_end(self, run: TrainingRun) -> None:
        _log.info(
            "run %d of %d %s at step %d", run.index + 1, run.restarts, run.stopped or "failed", run.done
        )
