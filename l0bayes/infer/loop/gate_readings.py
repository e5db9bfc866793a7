r"""What is read off the gates at each record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from l0bayes.infer.objectives.elbo import BoundELBO
from l0bayes.infer.targets.costs import CostedModel, activities, cost_kinds, cost_share, deployed
from l0bayes.infer.targets.target import TargetELBO

__all__ = ["GateReading", "further_columns", "read_gates"]


@dataclass
class GateReading:
    """What the progress line says of the gates.

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
    everything = torch.cat(active)
    return GateReading(float(everything.sum()), int((everything > 0.5).sum()), everything.numel())


@torch.no_grad()
def further_columns(objective: BoundELBO) -> dict[str, float]:
    """The columns of a record that depend on the model; see :class:`~l0bayes.infer.History`.

    Args:
        objective: The ELBO with its model and guide.
    """
    under_target = isinstance(objective, TargetELBO)
    if not under_target and not isinstance(objective.model, CostedModel):
        return {}
    active = activities(objective.guide)
    if not active:
        return {}
    strict, columns = deployed(active), {}
    for kind in cost_kinds(objective.model):
        columns[f"expected_{kind}"] = float(cost_share(objective.model, kind, active))
        columns[f"deployed_{kind}"] = float(cost_share(objective.model, kind, strict))
    columns |= {f"open:{name}": int(value.sum()) for name, value in strict.items()}
    if isinstance(objective, TargetELBO):
        columns |= {"multiplier": float(objective.multiplier), "target": float(objective.asked)}
    return columns
