r"""Where an objective is not finite: which batch, which argument, which site, which parameter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyro
import torch
from torch import Tensor

from l0bayes.infer.callbacks.training_run import TrainingRun
from l0bayes.infer.loop.batch_stream import num_batches
from l0bayes.infer.loop.batches import Minibatches
from l0bayes.infer.loop.preflight import check_data
from l0bayes.infer.model_arguments import ModelArguments, as_arguments
from l0bayes.infer.objectives.elbo import BoundELBO
from l0bayes.infer.objectives.pair_traces import run_pair
from l0bayes.infer.objectives.site_densities import log_density
from l0bayes.infer.randomness import private_randomness

__all__ = ["batch_at", "place_of", "signs_in_batch", "signs_in_parameters", "signs_in_run"]

# More are counted, not named.
_NAMED = 3


def place_of(data: Any, step: int) -> str:
    """``" (batch 3 of 10, epoch 2)"``; nothing where there are no batches.

    Args:
        data: The data of the fit.
        step: The step, from 1.
    """
    count = None if isinstance(data, tuple | Tensor) else num_batches(data)
    if not count:
        return ""
    return f" (batch {(step - 1) % count + 1} of {count}, epoch {(step - 1) // count + 1})"


def batch_at(run: TrainingRun, data: Any, step: int | None) -> tuple[Any, ...] | None:
    """The model's arguments at a step; ``None`` where only the loader could give them.

    Args:
        run: The run, which holds those of the last step.
        data: The data of the fit.
        step: The step, from 1; ``None`` for the last one.
    """
    if step is None or step == run.done or isinstance(data, tuple | Tensor):
        return run.batch
    if isinstance(data, Minibatches):
        return next(data.epoch(*divmod(step - 1, len(data))))
    if isinstance(data, Sequence):
        return as_arguments(data[(step - 1) % len(data)])
    return None


def signs_in_batch(objective: BoundELBO, batch: tuple[Any, ...]) -> list[str]:
    """What is not finite among the model's arguments.

    Args:
        objective: The objective.
        batch: The arguments.
    """
    return check_data(objective.model, ModelArguments(batch, objective.keywords), may_be_masked=True)


def signs_in_run(objective: BoundELBO, batch: tuple[Any, ...]) -> list[str]:
    """Sites of model and guide whose value or log density is not finite in one run at the parameters now.

    Args:
        objective: The objective.
        batch: The model's arguments.
    """
    with private_randomness(0), torch.no_grad(), pyro.validation_enabled(False):
        try:
            traces = run_pair(objective.model, objective.guide, batch, dict(objective.keywords))
            found = [*_of_sites(traces.guide.nodes, "guide"), *_of_sites(traces.model.nodes, "model")]
        except Exception as error:  # whatever a user's model does with such numbers is a sign too
            return [f"a run of guide and model raises {type(error).__name__}"]
    return _shortened(found)


def _of_sites(nodes: Any, of: str) -> Iterator[str]:
    for name, site in nodes.items():
        if site["type"] != "sample":
            continue
        value = site["value"]
        if isinstance(value, Tensor) and not bool(torch.isfinite(value).all()) and not site["is_observed"]:
            yield f"site {name!r} of the {of} is not finite"
        elif of == "model":
            density = log_density(site)
            bad = density[~torch.isfinite(density)]
            if bad.numel():
                yield f"the log density of site {name!r} is {bad[0].item()}"


def signs_in_parameters(objective: BoundELBO) -> list[str]:
    """Parameters that are not finite, by name; none where all are, as after one more step everything is.

    Args:
        objective: The objective.
    """
    named = dict(objective.named_parameters())
    bad = [name for name, value in named.items() if not bool(torch.isfinite(value).all())]
    if not bad or (len(bad) == len(named) and len(bad) > 1):
        return []
    return _shortened([f"parameter {name!r} is not finite" for name in bad])


def _shortened(found: list[str]) -> list[str]:
    more = len(found) - _NAMED
    return [*found[:_NAMED], *([f"and {more} more"] if more > 0 else [])]
