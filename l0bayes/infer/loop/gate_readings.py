r"""Expected and deployed numbers of open gates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from l0bayes.infer.targets.costs import activities

__all__ = ["GateReading", "read_gates"]


@dataclass
class GateReading:
    """How many gates are open.

    Attributes:
        expected: Sum over gates of P(z != 0).
        deployed: Number of gates that the median rule leaves open.
        total: Number of gates.
    """

    expected: float = 0.0
    deployed: int = 0
    total: int = 0


@torch.no_grad()
def read_gates(guide: Any) -> GateReading:
    """Expected and deployed numbers of open gates of a guide; zeros where it has none.

    Args:
        guide: Any guide.
    """
    active = [value.flatten() for value in activities(guide).values()]
    if not active:
        return GateReading()
    everything = active[0] if len(active) == 1 else torch.cat(active)
    return GateReading(
        float(everything.sum()), int(torch.count_nonzero(everything > 0.5)), everything.numel()
    )
