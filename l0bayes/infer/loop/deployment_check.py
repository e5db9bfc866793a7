r"""The deployed network at the end of a run: its statistics, and whether it does what was trained."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import TrainingRun
from l0bayes.infer.loop.batches import Minibatches
from l0bayes.infer.loop.num_data import examples_stood_for
from l0bayes.infer.model_abilities import DeployedModel, ModelAbilities
from l0bayes.infer.model_arguments import as_arguments
from l0bayes.infer.objectives.gate_parts import gate_part_of
from l0bayes.infer.randomness import private_randomness
from l0bayes.infer.row_parts import num_rows, parts_of_rows
from l0bayes.infer.targets.costs import activities
from l0bayes.user_warnings import warn_user

__all__ = ["DeploymentCheck", "DeploymentWarning"]

_EXAMPLES = 4000  # that statistics and the deployed network's likelihood are computed on
_ROWS = 500  # at a time, of data that come as a whole
_RECORDS = 20  # below which a run was too short to be judged
_GAP = 0.2  # nats an entry of the target
_DECIDED = 0.05
_SHRINK = "give shrink=True, which decides gates early and trains what is left on, "


class DeploymentWarning(UserWarning):
    """The deployed network predicts much worse than what was trained, or is not as small as was counted."""


class DeploymentCheck(Callback):
    """Computes running statistics anew for the gates as they are deployed, and measures what is deployed.

    Args:
        model: The model.
        data: A tuple of arguments or an iterable of batches.
        targeted: Whether a target made the network small, so that what it lost on the way is told too.
        could_shrink: Whether ``shrink=True`` was not given and may be, so that warnings name it.
    """

    def __init__(
        self, model: DeployedModel, data: Any, targeted: bool = False, could_shrink: bool = False
    ) -> None:
        self.model, self.data, self.targeted = model, data, targeted
        self.shrink_words = _SHRINK if could_shrink else ""

    def on_end(self, run: TrainingRun) -> None:
        if run.stopped in ("failed", "diverged") or not run.done:
            return
        with private_randomness(run.seed), torch.no_grad():
            self.model.settle_statistics(run.guide, self._batches())

    def on_finish(self, fit: Any) -> None:
        misfit = ModelAbilities(fit.model).misfit
        if misfit is not None and (reason := misfit(fit.guide)):
            warn_user(
                "the deployed network keeps its full size, whatever its cost in the history is: smaller "
                f"layers do not fit the network's forward ({reason})",
                DeploymentWarning,
            )
        history = fit.history
        if fit.best.stopped not in ("finished", "converged") or len(history.log_likelihood) < _RECORDS:
            return
        active = activities(fit.guide)
        if active and all(gate_part_of(fit.guide, site).tied for site in active):
            return  # one rate for all units of a site, as in Concrete Dropout, which selects nothing
        width = max(1, len(history.log_likelihood) // 10)
        sums = torch.tensor(history.log_likelihood, dtype=torch.float64).unfold(0, width, 1).mean(-1)
        with private_randomness(fit.best.seed), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deploy() says the same again to the user
            found = fit.model.deployed_log_likelihood(fit.guide, self._batches())
        if found is None:
            return
        deployed, entries, rows = found
        rows = examples_stood_for(fit.model, self.data, rows)
        trained, best = float(sums[-1]) / rows, float(sums.max()) / rows
        chances = torch.cat([value.flatten() for value in active.values()]) if active else torch.zeros(0)
        open_ended = int(((chances > _DECIDED) & (chances < 1.0 - _DECIDED)).sum())
        fit.deployment = (
            f"log likelihood {deployed:.3g} nats an example, in training {trained:.3g}; {open_ended} of "
            f"{len(chances)} gates undecided"
        )
        if (trained - deployed) / entries <= _GAP:
            if self.targeted and (best - deployed) / entries > _GAP:
                step = history.step[int(sums.argmax()) + width - 1]
                warn_user(
                    "the deployed network predicts worse than what was trained before it was small: its log "
                    f"likelihood is {deployed:.3g} nats an example, that of the gated network was {best:.3g} "
                    f"at step {step}. Give it more steps, so that it gets small more slowly and can recover, "
                    f"{self.shrink_words}or ask for a larger share",
                    DeploymentWarning,
                )
            return
        warn_user(
            f"the deployed network predicts worse than what was trained: its log likelihood is "
            f"{deployed:.3g} nats an example, that of the gated network in training was {trained:.3g}. "
            f"{open_ended} of {len(chances)} gates are undecided (P(z != 0) between {_DECIDED:g} and "
            f"{1 - _DECIDED:g}). Train longer, lower the temperature towards the end, {self.shrink_words}or "
            "train the deployed network on",
            DeploymentWarning,
        )

    def _batches(self) -> Iterator[tuple[Any, ...]]:
        """Model arguments of so many examples, in batches."""
        seen = 0
        for batch in _each(self.data):
            if seen >= _EXAMPLES:
                return
            seen += num_rows(batch) or 1
            yield batch


def _each(data: Any) -> Iterator[tuple[Any, ...]]:
    if isinstance(data, Minibatches):
        yield from data.epoch(0)
    elif isinstance(data, Tensor | tuple):
        yield from parts_of_rows(data, _ROWS)
    else:
        for batch in itertools.islice(data, _EXAMPLES):
            yield as_arguments(batch)
