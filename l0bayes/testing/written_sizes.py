r"""Whether a layer says of itself the sizes that its parameters have."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor, nn

from l0bayes.network import LayerKind

__all__ = ["wrong_sizes"]


def wrong_sizes(kind: LayerKind, whole: nn.Module, cut: nn.Module) -> list[str]:
    """What a layer from which units were taken out still says of its former size.

    Where the layer can be built anew from its attributes, by the names of its constructor's arguments, one
    built so must have parameters and buffers of the same shapes. Where it cannot, an attribute that was the
    number of outputs or inputs must be their number now.

    Args:
        kind: The kind.
        whole: The layer with all of its units.
        cut: The same with some of them.

    Returns:
        A sentence for everything that is wrong.
    """
    try:
        dense = _built_anew(type(whole), whole)
    except Exception:  # its attributes are not what its constructor takes
        dense = None
    if dense is not None and _shapes(dense) == _shapes(whole):
        try:
            again = _built_anew(type(whole), cut)
        except Exception as error:
            return [f"a {type(whole).__name__} of the sizes that it says cannot be built: {error}"]
        said, found = _shapes(again), _shapes(cut)
        return [
            f"{name!r} has the shape {found[name]}, and by the attributes of the layer {said.get(name)}; "
            "write the new sizes in resize()"
            for name in _shapes(whole)
            if said.get(name) != found[name]
        ]
    before, now = _counts(kind, whole), _counts(kind, cut)
    wrong = []
    for name, value in vars(whole).items():
        units = [what for what, count in before.items() if count == value]
        if type(value) is not int or name.startswith("_") or not units:
            continue
        if getattr(cut, name) not in [now[what] for what in units]:
            wrong.append(
                f"{name!r} is {getattr(cut, name)}, and the layer has {now[units[0]]} {units[0]}; write the "
                "new number in resize(), or choose other sizes in make() if the two were equal by chance"
            )
    return wrong


def _counts(kind: LayerKind, layer: nn.Module) -> dict[str, int]:
    """Numbers of outputs and inputs, by the shapes of parameters."""
    found: dict[str, int] = {}
    for name, axes in kind.axes(layer).items():
        value = getattr(layer, name)
        if value is None:
            continue
        if axes.out is not None:
            found["outputs"] = value.shape[axes.out]
        if axes.into is not None and axes.groups == 1:
            found["inputs"] = value.shape[axes.into]
    return found


def _built_anew(cls: type[nn.Module], layer: nn.Module) -> Any:
    """A layer from what another one says of itself; ``None`` where it does not say all that it takes."""
    values = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        missing = object()
        value = getattr(layer, name, missing)
        if isinstance(parameter.default, bool) and (value is None or isinstance(value, Tensor)):
            value = value is not None  # whether there is a bias
        if value is missing or isinstance(value, Tensor):
            if parameter.default is parameter.empty:
                return None
            continue
        values[name] = value
    return cls(**values)


def _shapes(layer: nn.Module) -> dict[str, tuple[int, ...]]:
    values = [*layer.named_parameters(), *layer.named_buffers()]
    return {name: tuple(value.shape) for name, value in values}
