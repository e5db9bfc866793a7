r"""What was decided of gates while a network was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Decision"]


@dataclass(frozen=True)
class Decision:
    r"""Gates that were decided in the course of a run, which then went on with what was left.

    All that was trained afterwards is conditional on it: such gates have probability 0 or 1 in the result,
    and those that they had come to by then are kept here.

    Attributes:
        steps: Number of steps done when a gate was decided, by site; -1 for one that was trained to the end.
        probabilities: :math:`P(z \ne 0)` of a gate when it was decided, by site; NaN for one that was not.
        opened: 0 for a gate whose units were taken out, and 1 for any other, by site.
    """

    steps: dict[str, Tensor]
    probabilities: dict[str, Tensor]
    opened: dict[str, Tensor]

    @classmethod
    def after(
        cls,
        before: Decision | None,
        step: int,
        probabilities: dict[str, Tensor],
        opened: dict[str, Tensor],
        everything: bool,
    ) -> Decision:
        """What is decided after a cut.

        Args:
            before: What was decided before it.
            step: Number of steps done.
            probabilities: Those of all gates now.
            opened: 0 for gates that are taken out now or were before, 1 for the others.
            everything: Whether these are decided to be open.
        """
        steps, chances = {}, {}
        for site, value in opened.items():
            known = torch.full(value.shape, -1) if before is None else before.steps[site]
            past = torch.full_like(value, torch.nan) if before is None else before.probabilities[site]
            now = (known < 0) & ((value < 0.5) | everything)
            steps[site] = torch.where(now, step, known.to(value.device))
            chances[site] = torch.where(now, probabilities[site].to(past), past)
        return cls(steps, chances, opened)

    @property
    def step(self) -> int:
        """Number of steps done when gates were decided last."""
        return max(int(value.max()) for value in self.steps.values())

    @property
    def kept(self) -> int:
        """Number of gates whose units were not taken out."""
        return sum(int(value.sum()) for value in self.opened.values())

    def __str__(self) -> str:
        total = sum(value.numel() for value in self.opened.values())
        return f"{self.kept} of {total} gates kept before step {self.step + 1}, the rest shut for good"
