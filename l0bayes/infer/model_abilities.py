r"""The abilities of a Pyro model: no other file asks a model for its methods.

A model is a function or any module. It has an ability where it has the members of the ability's protocol;
nothing has to be inherited.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

__all__ = ["CostedModel", "LiveModel", "ModelAbilities", "model_abilities"]


@runtime_checkable
class CostedModel(Protocol):
    """A model that knows its costs: they can be a target, and are recorded during training."""

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


@runtime_checkable
class LiveModel(Protocol):
    """A model that can leave out units whose gates have all but shut, while it is trained.

    It keeps in buffers which units are left out, so that they are part of its state.
    """

    def sleep(self, active: Mapping[str, Tensor]) -> bool:
        r"""Leave out units that shut gates would multiply by 0, in all following runs.

        Args:
            active: :math:`P(z \ne 0)` by gate site.

        Returns:
            Whether the computation changed, so that captured graphs are out of date.
        """
        ...

    def settle(self) -> bool:
        """Follow the buffers, after they were loaded.

        Returns:
            Whether anything is left out.
        """
        ...

    def wake(self) -> None:
        """Compute everything again."""
        ...


@dataclass(frozen=True)
class ModelAbilities:
    """The abilities of a model beside being run.

    Attributes:
        costs: The model as one that knows its costs, or ``None``.
        live: The model as one that can leave units out, or ``None``.
        per_example_gates: Whether its gate sites take a value with the examples as first dimension (attribute
            ``supports_per_example_gates``).
        check_data: Its method ``check_data``, or ``None``: called with all the model's arguments, it refuses
            data that the model cannot observe.
        deploy: Its method ``deploy``, or ``None``: gives the deployed network, for a guide and a rule.
        cost_summary: Its method ``cost_summary``, or ``None``: gives dense, expected and deployed cost for a
            guide, by name.
        coords: Coordinate values by dimension name, of its attribute ``coords``; empty without one.
        dims: Dimension names by site, of its attribute ``dims``; empty without one.
    """

    costs: CostedModel | None
    live: LiveModel | None
    per_example_gates: bool
    check_data: Callable[..., None] | None
    deploy: Callable[..., nn.Module] | None
    cost_summary: Callable[[Any], dict[str, float]] | None
    coords: Mapping[str, Sequence[Any]]
    dims: Mapping[str, Sequence[str]]


def model_abilities(model: Any) -> ModelAbilities:
    """Find the abilities of a model.

    Args:
        model: Any Pyro model, a function or a module.
    """
    return ModelAbilities(
        costs=model if isinstance(model, CostedModel) else None,
        live=model if isinstance(model, LiveModel) else None,
        per_example_gates=bool(getattr(model, "supports_per_example_gates", False)),
        check_data=_method(model, "check_data"),
        deploy=_method(model, "deploy"),
        cost_summary=_method(model, "cost_summary"),
        coords=getattr(model, "coords", {}),
        dims=getattr(model, "dims", {}),
    )


def _method(model: Any, name: str) -> Callable[..., Any] | None:
    found = getattr(model, name, None)
    return found if callable(found) else None
