r"""The kinds of layers there are, and which module is of which."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import isclass

from torch import nn

from l0bayes.network.kinds.declared import check_declared
from l0bayes.network.kinds.layer_kind import LayerKind
from l0bayes.network.kinds.recognition import GatePlacement
from l0bayes.network.kinds.sharing import reasons_shared

__all__ = [
    "kind_of",
    "layers_of",
    "left_alone",
    "nearest_kind",
    "no_layers",
    "register_kind",
    "registered_kinds",
]

_KINDS: dict[type[nn.Module], LayerKind] = {}


def register_kind(kind: LayerKind) -> LayerKind:
    """Make a kind known, so that networks are gated, counted and cut by it. Works from any file.

    Args:
        kind: The kind.

    Returns:
        The kind itself.

    Raises:
        TypeError: If it is no :class:`LayerKind`, or ``types``, ``name`` or ``placements`` are of another
            type than they must be; the last three are checked when the kind is made, too.
        ValueError: If one of its classes belongs to another kind, it has none, or placements are unknown.
    """
    if not isinstance(kind, LayerKind):
        hint = f"; register {kind.__name__}()" if isclass(kind) and issubclass(kind, LayerKind) else ""
        raise TypeError(f"kind must be an instance of a LayerKind, got {kind!r}{hint}")
    check_declared(type(kind))
    if "_forwards" not in vars(kind):
        raise TypeError(f"__init__ of {type(kind).__name__} must call super().__init__()")
    for cls in kind.types:
        other = _KINDS.get(cls)
        if other is not None and type(other) is not type(kind):
            raise ValueError(f"kind: {cls.__name__} is of the kind {other.name} already; register a subclass")
    _KINDS.update(dict.fromkeys(kind.types, kind))
    return kind


def registered_kinds(placement: GatePlacement | None = None) -> list[LayerKind]:
    """All kinds, or those that can have gates on a placement, in the order of their registration.

    Args:
        placement: The placement.
    """
    kinds = dict.fromkeys(_KINDS.values())
    return [kind for kind in kinds if placement is None or placement in kind.placements]


def kind_of(module: nn.Module) -> LayerKind | None:
    """The kind of a module; ``None`` where it is of none.

    Args:
        module: Any module.
    """
    kind = _KINDS.get(type(module))
    return kind if kind is not None and kind.reason_not(module) is None else None


def nearest_kind(module: nn.Module) -> LayerKind | None:
    """The kind that a module's class belongs to or descends from, whether it is of that kind or not.

    Args:
        module: Any module.
    """
    return next((_KINDS[cls] for cls in type(module).__mro__ if cls in _KINDS), None)


def layers_of(net: nn.Module) -> dict[str, LayerKind]:
    """The kind of every module that is of one, by name. Modules inside of such a module are part of it.

    Args:
        net: Any module. What it holds under several names has the first of them.
    """
    return {name: kind for name, kind, _ in _walk(net) if kind is not None}


def left_alone(net: nn.Module) -> dict[str, str]:
    """Modules that are nearly of a kind and not quite, by name, and why they are not.

    A module that shares a parameter with another one is among them.

    Args:
        net: Any module.
    """
    return {name: reason for name, _, reason in _walk(net) if reason}


def no_layers(net: nn.Module) -> list[str]:
    """Names of all modules that are of no kind; what is inside of one that is nearly of a kind is part of it.

    Args:
        net: Any module.
    """
    inside = tuple(f"{name}." for name in left_alone(net) if name)
    return [name for name, kind, _ in _walk(net) if kind is None and not name.startswith(inside)]


def _walk(net: nn.Module) -> Iterator[tuple[str, LayerKind | None, str | None]]:
    """Name and kind of every module that is part of no other layer, and why it is only nearly of a kind."""
    whole: list[str] = []
    part: list[str] = []
    shared = reasons_shared(net)
    for name, module in net.named_modules():
        if name.startswith(tuple(whole)):
            continue
        kind, near = kind_of(module), nearest_kind(module)
        if kind is not None and not kind.is_layer(module):
            kind = near = None
        if kind is not None and module in shared:
            kind = None
        nearly = kind is None and near is not None and not name.startswith(tuple(part))
        if name and (kind is not None or nearly):
            (part if nearly else whole).append(f"{name}.")
        reason = near.reason_not(module) or shared.get(module) if nearly and near is not None else None
        yield name, kind, reason
