r"""What was decided of gates while a network was trained on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Decision"]


@dataclass(frozen=True)
class Decision:
    r"""Gates that were decided in the course of a run, which then went on with what was left.

    All that was trained afterwards is conditional on it: gates have probability 0 or 1 in the result, and
    those that they had come to by then are kept here.

    Attributes:
        step: Step before which all gates were decided.
        probabilities: :math:`P(z \ne 0)` of every gate at that step, by site.
        opened: 1 for a gate that was kept open and 0 for one whose units were taken out, by site.
    """

    step: int
    probabilities: dict[str, Tensor]
    opened: dict[str, Tensor]

    @property
    def kept(self) -> int:
        """Number of gates that were kept."""
        return sum(int(value.sum()) for value in self.opened.values())

    def __str__(self) -> str:
        total = sum(value.numel() for value in self.opened.values())
        return f"{self.kept} of {total} gates kept before step {self.step + 1}, the rest taken out"
