r"""Costs that a target may name beside a model's own, by name: a new one is a function and a registration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from l0bayes.infer.model_abilities import CostedModel, ModelAbilities

__all__ = [
    "CombinedCosts",
    "CostMaker",
    "ReasonNot",
    "ask_for_cost",
    "asked_costs",
    "register_cost",
    "registered_costs",
]

CostMaker = Callable[[Any, Any, str, str], CostedModel]
"""From model, guide, the whole kind and what stands behind its ``@`` to the cost, of that kind."""

ReasonNot = Callable[[Any], str | None]
"""From a model to why it cannot have a cost; ``None`` where it can."""

_MAKERS: dict[str, tuple[CostMaker, ReasonNot]] = {}
_ASKED: WeakKeyDictionary[Any, CostedModel] = WeakKeyDictionary()


def _every_model(model: Any) -> str | None:
    return None


def register_cost(name: str, make: CostMaker, reason_not: ReasonNot = _every_model) -> None:
    """Make a cost known by name, so that ``target="name:0.3"`` and ``target="name:0.3@option"`` ask for it.

    Args:
        name: The name, without ``:`` and ``@``.
        make: Makes the cost when a fit starts. The result is a :class:`~l0bayes.infer.CostedModel` of that
            kind. It may have a method ``deployed_share``, called like ``cost_share`` with zeros and ones, a
            method ``settle_cost(kind, opened) -> bool``, which is called with gates as they would be decided
            and says whether the cost is now told otherwise, and an attribute ``cost_state``, a module with
            what was measured, which is kept in checkpoints.
        reason_not: Says of a model why it cannot have this cost; by default every one can.

    Raises:
        ValueError: If the name is taken, or is none.
    """
    if not name or {":", "@"} & set(name):
        raise ValueError(f"name must be a word without ':' and '@', got {name!r}")
    if name in _MAKERS:
        raise ValueError(f"a cost {name!r} is registered already")
    _MAKERS[name] = make, reason_not


def registered_costs(model: Any = None) -> tuple[str, ...]:
    """Names of the costs that were registered.

    Args:
        model: Only those that this model can have.
    """
    return tuple(name for name, (_, reason) in _MAKERS.items() if model is None or reason(model) is None)


class CombinedCosts:
    """A model's own costs, and one that was asked for beside them.

    Args:
        own: The model's own.
        more: The other.
    """

    def __init__(self, own: CostedModel, more: CostedModel) -> None:
        self._of = dict.fromkeys(own.cost_kinds, own) | dict.fromkeys(more.cost_kinds, more)
        self.cost_state: nn.Module | None = ModelAbilities(more).cost_state

    @property
    def cost_kinds(self) -> tuple[str, ...]:
        """Names of all."""
        return tuple(self._of)

    def cost_share(self, kind: str, active: Mapping[str, Tensor]) -> Tensor:
        """As :meth:`CostedModel.cost_share <l0bayes.infer.CostedModel.cost_share>`.

        Args:
            kind: One of ``cost_kinds``.
            active: Activity by site.
        """
        return self._of[kind].cost_share(kind, active)

    def deployed_share(self, kind: str, active: Mapping[str, Tensor]) -> Tensor:
        """The exact share of a decided network.

        Args:
            kind: One of ``cost_kinds``.
            active: Zeros and ones by site.
        """
        share_of = ModelAbilities(self._of[kind]).deployed_share
        assert share_of is not None  # all of them are costed
        return share_of(kind, active)

    def smallest_share(self, kind: str) -> float:
        """The share with one gate open at every site.

        Args:
            kind: One of ``cost_kinds``.
        """
        return self._of[kind].smallest_share(kind)

    def settle_cost(self, kind: str, opened: Mapping[str, Tensor]) -> bool:
        """Measure a decided network, where the cost is one that is measured.

        Args:
            kind: One of ``cost_kinds``.
            opened: Zeros and ones by site.

        Returns:
            Whether the cost is now told otherwise.
        """
        settle = ModelAbilities(self._of[kind]).settle_cost
        return settle is not None and settle(kind, opened)


def ask_for_cost(kind: str, model: Any, guide: Any) -> None:
    """Make the cost that a target names, if it is a registered one; forget one that was asked for before.

    Args:
        kind: The target's kind.
        model: The model.
        guide: Its guide.

    Raises:
        ValueError: If the cost cannot be had of this model, or its option is none.
    """
    name, _, option = kind.partition("@")
    own = ModelAbilities(model).costs
    _ASKED.pop(model, None)
    if name in _MAKERS and (own is None or kind not in own.cost_kinds):
        make, reason_not = _MAKERS[name]
        if (reason := reason_not(model)) is not None:
            raise ValueError(f"target names the cost {name!r}, which {reason}")
        _ASKED[model] = make(model, guide, kind, option)


def asked_costs(model: Any, own: CostedModel) -> CostedModel:
    """A model's own costs, with the one that its fit asked for.

    Args:
        model: The model.
        own: Its own costs.
    """
    more = _ASKED.get(model)
    return own if more is None else CombinedCosts(own, more)
