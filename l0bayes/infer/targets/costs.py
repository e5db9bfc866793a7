r"""What a network with some of its gates open costs, as a share of the dense network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from l0bayes.infer.model_abilities import CostedModel, ModelAbilities
from l0bayes.infer.objectives.gate_parts import gate_laws
from l0bayes.infer.targets.cost_registry import asked_costs

__all__ = ["UnitCosts", "activities", "costs_of", "deployed", "deployed_share_of", "settle"]


class UnitCosts:
    """The cost of a model without costs of its own: its gates, counted alike.

    Args:
        guide: The model's guide, which holds the gates.
    """

    cost_kinds: tuple[str, ...] = ("units",)

    def __init__(self, guide: Any) -> None:
        self.guide = guide

    def cost_share(self, kind: str, active: Mapping[str, Tensor]) -> Tensor:
        """The mean activity of all gates.

        Args:
            kind: ``"units"``.
            active: Activity by site.
        """
        return torch.cat([value.flatten() for value in active.values()]).mean()

    def smallest_share(self, kind: str) -> float:
        """The share with one gate open.

        Args:
            kind: ``"units"``.
        """
        return 1.0 / sum(value.numel() for value in activities(self.guide).values())


def costs_of(model: Any, guide: Any) -> CostedModel:
    """The costs of a model: its own, or else the number of open gates, and one that its target asks for.

    Args:
        model: Any Pyro model.
        guide: Its guide.
    """
    own = ModelAbilities(model).costs
    return asked_costs(model, UnitCosts(guide) if own is None else own)


def deployed_share_of(costs: CostedModel) -> Callable[[str, Mapping[str, Tensor]], Tensor]:
    """What gives the share of a decided network, for a kind of cost and zeros and ones by site.

    Args:
        costs: The costs of a model.
    """
    return ModelAbilities(costs).deployed_share or costs.cost_share


def settle(costs: CostedModel, kind: str, opened: Mapping[str, Tensor]) -> bool:
    """Measure a decided network, where its cost is one that is measured.

    Args:
        costs: The costs of a model.
        kind: The cost.
        opened: Zeros and ones by site.

    Returns:
        Whether the cost is now told otherwise.
    """
    settle_cost = ModelAbilities(costs).settle_cost
    return settle_cost is not None and settle_cost(kind, opened)


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
