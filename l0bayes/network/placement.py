r"""Where gates are asked for: globs over module names."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from torch import nn

from l0bayes.network.attention import HeadAttention
from l0bayes.network.units import layers_of

__all__ = ["GateGroup", "GatePlacement", "Gates", "Place", "chosen_places"]

GatePlacement = Literal["input", "output", "weight", "heads", "block"]


@dataclass(frozen=True)
class GateGroup:
    """Gates of one's own: what each multiplies, given as slices of parameters.

    Attributes:
        slices: One entry a gate: the (parameter name, index) pairs whose weights share it. An index is
            whatever a tensor accepts, such as ``slice(0, 10)`` or ``(slice(None), 3)``.

    Example::

        rows = [(slice(None), slice(28 * i, 28 * (i + 1))) for i in range(28)]
        GateGroup([[("fc1.weight", row)] for row in rows])  # one gate for each row of an image
    """

    slices: Sequence[Sequence[tuple[str, Any]]]


Gates = GatePlacement | Mapping[str, GatePlacement | GateGroup | Sequence[GatePlacement]]
"""A placement for all layers, or a mapping from globs over module names to placements, and from names
of one's own to :class:`GateGroup`."""


@dataclass(frozen=True)
class Place:
    """One module with one kind of gates, as asked for.

    Attributes:
        name: The module.
        placement: What kind.
        pattern: The glob that asked for it.
    """

    name: str
    placement: GatePlacement
    pattern: str


def chosen_places(net: nn.Module, gates: Gates) -> tuple[list[Place], dict[str, GateGroup]]:
    """Resolve globs over module names.

    Args:
        net: The network, attention already of the kind that can be gated.
        gates: What the user gave.

    Returns:
        The places, and the groups by name.

    Raises:
        ValueError: If a placement is unknown or a glob matches no module.
        TypeError: If a module cannot have such gates.
    """
    layers = {
        name: layer
        for name, layer in layers_of(net).items()
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d)
    }
    if isinstance(gates, str):
        _check_placement(gates, "*")
        if gates in ("heads", "block"):
            gates = {"*": gates}
        else:
            if not layers:
                raise ValueError("net holds no Linear or convolution to gate")
            return [Place(name, gates, "*") for name in layers], {}
    if not isinstance(gates, Mapping):
        raise TypeError(
            f"gates must be a placement or a mapping from module names, got {type(gates).__name__}"
        )
    modules = dict(net.named_modules(remove_duplicate=False))
    modules.pop("", None)
    places: dict[tuple[str, str], Place] = {}
    groups: dict[str, GateGroup] = {}
    for pattern, value in gates.items():
        if isinstance(value, GateGroup):
            groups[pattern] = value
            continue
        for placement in (value,) if isinstance(value, str) else tuple(value):
            _check_placement(placement, pattern)
            for name in _matching(modules, pattern, placement):
                places.setdefault((name, placement), Place(name, placement, pattern))
    order = {name: position for position, name in enumerate(modules)}
    return sorted(places.values(), key=lambda place: order[place.name]), groups


def _check_placement(placement: Any, pattern: str) -> None:
    if placement not in get_args(GatePlacement):
        raise ValueError(
            f"gates must be one of {', '.join(get_args(GatePlacement))} or a GateGroup; "
            f"got {placement!r} for {pattern!r}"
        )


_ACCEPTED: dict[str, tuple[type[nn.Module], ...]] = {
    "input": (nn.Linear, nn.Conv1d, nn.Conv2d),
    "output": (nn.Linear, nn.Conv1d, nn.Conv2d, nn.LayerNorm, nn.Embedding),
    "weight": (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding),
    "heads": (HeadAttention,),
    "block": (nn.Module,),
}


def _matching(modules: Mapping[str, nn.Module], pattern: str, placement: str) -> Iterator[str]:
    names = fnmatch.filter(modules, pattern)
    if not names:
        near = difflib.get_close_matches(pattern, modules, 4, 0.4)
        hint = f"; near matches are {near}" if near else f"; the modules are {list(modules)[:20]}"
        raise ValueError(f"gates: {pattern!r} matches no module of the network (unknown){hint}")
    # Projections inside attention are part of it.
    inside = tuple(f"{name}." for name, module in modules.items() if isinstance(module, HeadAttention))
    accepted = _ACCEPTED[placement]
    fitting = [
        name for name in names if isinstance(modules[name], accepted) and not name.startswith(inside or "\0")
    ]
    if not fitting:
        kinds = ", ".join(sorted({f"{name!r} is a {type(modules[name]).__name__}" for name in names})[:4])
        wanted = "/".join(kind.__name__ for kind in accepted).replace("HeadAttention", "MultiheadAttention")
        raise TypeError(f"gates: {kinds}, which cannot be gated on {placement!r}; that takes a {wanted}")
    yield from fitting
