r"""What one run of a fit ends with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from l0bayes.infer.callbacks.decision import Decision
from l0bayes.infer.callbacks.history import History
from l0bayes.infer.objectives.gate_parts import gate_laws
from l0bayes.infer.trained_parameters import TrainedParameters

__all__ = ["Restart", "best_run", "take_best"]


@dataclass(repr=False)
class Restart:
    """One independent run.

    Attributes:
        guide: The trained guide.
        model: The model. Where it is a module it is a copy that holds the parameters of its own as they were
            trained with this guide, whatever another fit makes of them; what is not trained is shared.
        history: Its records.
        seed: Seed of the run.
        seconds: Wall-clock time.
        stopped: Why it ended: ``"finished"``, ``"converged"``, ``"interrupted"`` or ``"diverged"``, or what a
            callback gave as the reason.
        collapsed: Gate site to the step at which all its gates had shut and one was reopened.
        decision: What was decided of the gates before its end, and when; ``None`` where they were trained
            throughout.
        parameters: The values of ``pyro.param`` that model and guide were trained to outside of modules.
    """

    guide: Any
    model: Any
    history: History
    seed: int
    seconds: float
    stopped: str
    collapsed: dict[str, int] = field(default_factory=dict)
    decision: Decision | None = None
    parameters: TrainedParameters = field(default_factory=TrainedParameters)

    def __repr__(self) -> str:
        gates = sum(law.batch_shape.numel() for law in gate_laws(self.guide).values())
        steps = self.history.step[-1] if self.history.step else 0
        return (
            f"Restart(seed={self.seed}, {type(self.guide).__name__} with {gates} gates, "
            f"objective {self.elbo:.2f} nats, {self.stopped} after {steps} steps, {self.seconds:.1f} s)"
        )

    @property
    def elbo(self) -> float:
        """Mean recorded ELBO of the last tenth of the run, in nats."""
        elbos = self.history.elbo
        tail = elbos[-max(1, len(elbos) // 10) :]
        return sum(tail) / len(tail) if tail else float("nan")


def best_run(runs: list[Restart]) -> Restart:
    """The run with the highest ELBO; one without a record only where none has one.

    Args:
        runs: The runs, at least one.
    """
    recorded = [run for run in runs if run.history.elbo]
    return max(recorded or runs, key=lambda run: run.elbo)


def take_best(runs: list[Restart], model: Any, guide: Any) -> None:
    """Give modules the values of the run with the highest ELBO.

    Args:
        runs: The runs, in modules of their own.
        model: The model, which takes the values where it is a module.
        guide: The guide.
    """
    best = best_run(runs)
    guide.load_state_dict(best.guide.state_dict())
    if isinstance(best.model, torch.nn.Module):
        model.load_state_dict(best.model.state_dict())
