r"""Where gates are asked for: globs over module names."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from torch import nn

from l0bayes.network.identity import first_names
from l0bayes.network.kinds import (
    GatePlacement,
    kind_of,
    layers_of,
    left_alone,
    nearest_kind,
    registered_kinds,
)
from l0bayes.user_warnings import warn_user

__all__ = ["GateGroup", "Gates", "Place", "chosen_places"]


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

    @property
    def is_of_a_glob(self) -> bool:
        """Whether it means what can have such gates: asked for by a glob, or by one word for all."""
        return any(mark in self.pattern for mark in "*?[")


def chosen_places(net: nn.Module, gates: Gates) -> tuple[list[Place], dict[str, GateGroup]]:
    """Resolve globs over module names.

    A module that is nearly of a kind (a subclass of Linear, a parametrised convolution) has no gates: a glob
    that matches others too passes it over, with a warning that names it and the reason.

    Args:
        net: The network, prepared for gates.
        gates: What the user gave.

    Returns:
        The places, and the groups by name.

    Raises:
        ValueError: If a placement is unknown or a glob matches no module.
        TypeError: If a module cannot have such gates.
    """
    chooser = _Chooser(net)
    if isinstance(gates, str):
        _check_placement(gates, "*")
        if gates not in ("heads", "block"):
            places = chooser.everywhere(gates)
            chooser.warn()
            return places, {}
        gates = {"*": gates}
    if not isinstance(gates, Mapping):
        raise TypeError(
            f"gates must be a placement or a mapping from module names, got {type(gates).__name__}"
        )
    found: dict[tuple[str, str], Place] = {}
    groups: dict[str, GateGroup] = {}
    for pattern, value in gates.items():
        if isinstance(value, GateGroup):
            groups[pattern] = value
            continue
        for placement in (value,) if isinstance(value, str) else tuple(value):
            _check_placement(placement, pattern)
            for name in dict.fromkeys(map(chooser.first.__getitem__, chooser.matching(pattern, placement))):
                found.setdefault((name, placement), Place(name, placement, pattern))
    chooser.warn()
    order = {name: position for position, name in enumerate(chooser.modules)}
    return sorted(found.values(), key=lambda place: order[place.name]), groups


def _check_placement(placement: Any, pattern: str) -> None:
    if placement not in get_args(GatePlacement):
        raise ValueError(
            f"gates must be one of {', '.join(get_args(GatePlacement))} or a GateGroup; "
            f"got {placement!r} for {pattern!r}"
        )


class _Chooser:
    """The modules of a network by what gates they can have."""

    def __init__(self, net: nn.Module) -> None:
        self.modules = dict(net.named_modules(remove_duplicate=False))
        self.modules.pop("", None)
        self.layers, self.first = layers_of(net), first_names(net)
        own = {net.get_submodule(name): kind for name, kind in self.layers.items()}
        # Under all its names, where a module has several.
        self.kinds = {name: own[module] for name, module in self.modules.items() if module in own}
        alone = left_alone(net)
        self.reasons = {name: alone[first] for name, first in self.first.items() if first in alone}
        self.passed_over: dict[str, str] = {}

    def takes(self, name: str, placement: GatePlacement) -> bool:
        """Whether a module can have such gates; what is nearly of a kind that can is noted."""
        if self.is_nearly(name, placement):
            self.passed_over[name] = self.reasons[name]
        return name in self.kinds and placement in self.kinds[name].placements

    def is_nearly(self, name: str, placement: GatePlacement) -> bool:
        """Whether a module is of a kind that can have such gates, but for something about it."""
        near = nearest_kind(self.modules[name])
        return name in self.reasons and near is not None and placement in near.placements

    def everywhere(self, placement: GatePlacement) -> list[Place]:
        """All layers with weights between two sets of units: those whose inputs can be gated."""
        reading = [name for name in (*self.layers, *self.reasons) if self.takes(name, "input")]
        if not reading:
            raise ValueError(
                f"net holds no Linear or convolution to gate{self.reasons_of(self.passed_over)}. Gates on "
                "other layers are asked for by name, such as gates={'embed*': 'output'} or {'*attn': 'heads'}"
            )
        return [Place(name, placement, "*") for name in reading if self.takes(name, placement)]

    def matching(self, pattern: str, placement: GatePlacement) -> list[str]:
        """The modules that a glob means."""
        names = fnmatch.filter(self.modules, pattern)
        if not names:
            near = difflib.get_close_matches(pattern, self.modules, 4, 0.4)
            hint = f"; near matches are {near}" if near else f"; the modules are {list(self.modules)[:20]}"
            raise ValueError(f"gates: {pattern!r} matches no module of the network (unknown){hint}")
        fitting = [name for name in names if self.may_have(name, placement)]
        if not fitting:
            if all(self.is_nearly(name, placement) for name in names):
                why = "; ".join(f"{name!r}: {self.reasons[name]}" for name in names)
                raise TypeError(f"gates: none can be placed on {placement!r} of {why}")
            found = sorted({f"{name!r} is a {type(self.modules[name]).__name__}" for name in names})
            wanted = "/".join(kind.name for kind in registered_kinds(placement))
            raise TypeError(
                f"gates: {', '.join(found[:4])}, which cannot be gated on {placement!r}; that takes a "
                f"{wanted}{self.reasons_of(name for name in names if name in self.reasons)}"
            )
        return fitting

    def may_have(self, name: str, placement: GatePlacement) -> bool:
        """Whether such gates can be asked for: what is known of heads of no kind shows in a run."""
        module = self.modules[name]
        if placement == "block" or self.takes(name, placement):
            return True
        if placement != "heads" or name in self.kinds or name in self.reasons:
            return False
        makers = [kind for one in module.children() if (kind := kind_of(one)) is not None]
        return any({"input", "output"} <= kind.placements for kind in makers)

    def reasons_of(self, names: Iterable[str]) -> str:
        parts = "; ".join(f"{name!r}: {self.reasons[name]}" for name in names)
        return f" ({parts})" if parts else ""

    def warn(self) -> None:
        if self.passed_over:
            warn_user(
                "these modules stay as they are, without gates, since they may compute something else than "
                f"their class, or share weights with another module{self.reasons_of(self.passed_over)}"
            )
