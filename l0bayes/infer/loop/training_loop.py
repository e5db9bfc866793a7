r"""One run of training: steps, and the callbacks around them."""

from __future__ import annotations

from typing import Any

import pyro
import torch
from torch import Tensor

from l0bayes.infer.callbacks.callback_list import CallbackList
from l0bayes.infer.callbacks.training_run import Record, TrainingRun
from l0bayes.infer.loop.batch_stream import endless_batches
from l0bayes.infer.loop.checkpoint import Checkpoint
from l0bayes.infer.loop.divergence import DivergenceError
from l0bayes.infer.loop.single_row import explained_single_row
from l0bayes.infer.ranks.ranks import Ranks

__all__ = ["train"]


def train(
    run: TrainingRun,
    data: Any,
    callbacks: CallbackList,
    record_every: int,
    resume: Checkpoint | None,
    ranks: Ranks,
) -> None:
    """Run the optimisation. ``run`` holds the state that was reached, whatever ends it.

    Args:
        run: The run, at its start.
        data: A tuple of arguments or an iterable of batches.
        callbacks: The callbacks.
        record_every: Steps between records.
        resume: The checkpoint to go on from; ``None`` to start.
        ranks: The processes that train it.

    Raises:
        DivergenceError: If the objective or its gradient becomes NaN or infinite. Parameters are put
            back to the last finite record.
        CheckpointError: If the checkpoint's file is of another run.
    """
    with callbacks.around(run), ranks.interruptible():
        try:
            if resume is not None:
                resume.load(run)
            _steps(run, data, callbacks, record_every, ranks)
        except KeyboardInterrupt:
            run.stopped = "interrupted"
        except BaseException as error:
            run.stopped = "diverged" if isinstance(error, DivergenceError) else "failed"
            raise


def _steps(run: TrainingRun, data: Any, callbacks: CallbackList, record_every: int, ranks: Ranks) -> None:
    if run.done >= run.steps:
        run.stop("finished")
    if run.stopped is not None:  # it had ended when it was kept
        return
    pending: list[Tensor] = []
    for batch in endless_batches(data, run.done):
        with ranks.calling_back():
            callbacks.before_step(run)
        run.batch = batch
        ranks.begin_step(run.seed, run.done)
        # Validation has passed once; from here on NaN ends the run.
        with explained_single_row(), pyro.validation_enabled(False):
            _, likelihood, kl = run.gradient_step(batch)
        measured = ranks.average(run.objective.parameters(), torch.stack([likelihood, kl]))
        run.optimizer.step()
        run.done += 1
        pending.append(measured)
        with ranks.calling_back():
            callbacks.after_step(run)
        if run.done % record_every and run.done < run.steps and run.stopped is None:
            continue
        steps = torch.stack(pending).double()
        pending.clear()
        likelihood, kl = steps.mean(0).tolist()
        wrong = (~torch.isfinite(steps.sum(1))).nonzero().flatten().tolist()
        ranks.agree(run.objective, run.done)
        first = run.done - len(steps) + wrong[0] + 1 if wrong else None
        with ranks.calling_back():
            callbacks.on_record(run, Record(run.done, likelihood - kl, likelihood, kl, first))
        if run.done >= run.steps:
            run.stop("finished")
        if run.stopped is not None:
            return
