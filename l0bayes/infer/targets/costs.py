r"""What a network with some of its gates open costs, as a share of the dense network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from l0bayes.infer.objectives.gate_parts import gate_laws

__all__ = ["CostedModel", "activities", "cost_kinds", "cost_share", "deployed", "smallest_share"]

_UNITS = "units"


@runtime_checkable
class CostedModel(Protocol):
    """What a model offers so that its cost can be a target and is recorded during training."""

    @property
    def cost_kinds(self) -> tuple[str, ...]:
        """Names of the costs that the model knows, such as ``("params", "macs", "units")``."""
        ...

    def cost_share(self, kind: str, active: Mapping[str, Tensor]) -> Tensor:
        r"""Expected cost over the cost of the dense network, a scalar, differentiable.

        Args:
            kind: One of ``cost_kinds``.
            active: :math:`P(z \ne 0)` by gate site, elementwise. Where it is 0 or 1 throughout, the
                result is the share of the deployed network, exactly.
        """
        ...

    def smallest_share(self, kind: str) -> float:
        """The share with one gate open in every group: what no target may be below.

        Args:
            kind: One of ``cost_kinds``.
        """
        ...


def activities(guide: Any) -> dict[str, Tensor]:
    r""":math:`P(z \ne 0)` of every gate by site.

    Args:
        guide: Any guide.
    """
    return {name: law.prob_active for name, law in gate_laws(guide).items()}


def deployed(active: Mapping[str, Tensor]) -> dict[str, Tensor]:
    r"""Which gates the median rule leaves open, as 0 and 1 by site.

    Args:
        active: :math:`P(z \ne 0)` by site.
    """
    return {name: (value > 0.5).to(value.dtype) for name, value in active.items()}


def cost_kinds(model: Any) -> tuple[str, ...]:
    """The costs that are known of a model: its own, or the number of open gates alone.

    Args:
        model: Any Pyro model.
    """
    return tuple(model.cost_kinds) if isinstance(model, CostedModel) else (_UNITS,)


def cost_share(model: Any, kind: str, active: Mapping[str, Tensor]) -> Tensor:
    """Cost over that of the dense network.

    Args:
        model: Any Pyro model.
        kind: One of :func:`cost_kinds`.
        active: Activity by site; for a model that is not a :class:`CostedModel` its mean over all gates
            is the share.
    """
    if isinstance(model, CostedModel):
        return model.cost_share(kind, active)
    return torch.cat([value.flatten() for value in active.values()]).mean()


def smallest_share(model: Any, guide: Any, kind: str) -> float:
    """The smallest share that can be asked for.

    Args:
        model: Any Pyro model.
        guide: Its guide.
        kind: One of :func:`cost_kinds`.
    """
    if isinstance(model, CostedModel):
        return float(model.smallest_share(kind))
    return 1.0 / sum(value.numel() for value in activities(guide).values())
