r"""A network's architecture as JSON: the class and the sizes of each of its modules, and no code."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from l0bayes.network.kinds import LayerKind, Selective, nearest_kind
from l0bayes.network.saved.plain_values import NotPlainError, decoded, encoded
from l0bayes.network.saved.saved_classes import BuiltClass, class_name, known_classes, made_of_parts

__all__ = ["INTERNAL", "build_leaf", "needs_code", "record_network"]

INTERNAL = frozenset(vars(nn.Module()))
"""Attributes that every module has, and no file may set."""

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_state_dict_hooks", "_load_state_dict_pre_hooks")


def record_network(net: nn.Module) -> dict[str, Any]:
    """The architecture of a network.

    A module of a class that files may name is written by what its constructor takes; a container of such a
    class by its parts. Of any other module ``"needs"`` says why it cannot be built from a file, and its
    class and parts are there to be compared with those of a network that the reader gives.

    Args:
        net: The network.

    Returns:
        Nested records, for JSON.
    """
    return _Recorder().record(net, "")


def needs_code(record: dict[str, Any], name: str = "") -> dict[str, str]:
    """Modules that cannot be built from a file, by name, and why.

    Args:
        record: From :func:`record_network`.
        name: What the module itself is called.
    """
    found = {name: f"{record['class']}: {record['needs']}"} if "needs" in record else {}
    for key, child in record.get("children", {}).items():
        if child is not None:
            found |= needs_code(child, f"{name}.{key}" if name else key)
    return found


def build_leaf(known: BuiltClass, record: dict[str, Any]) -> nn.Module:
    """A layer by its record, without storage.

    Args:
        known: Its class.
        record: The record.
    """
    with torch.device("meta"):
        form = {str(key): decoded(value) for key, value in record["form"].items()}
        module = known.build(form)
        if "selects" in record:
            assert known.kind is not None
            module = known.kind.selecting(module, torch.empty(int(record["selects"]), dtype=torch.long))
    return module


class _Recorder:
    def __init__(self) -> None:
        self.seen: dict[int, str] = {}
        self.known = known_classes()
        layers = {known.cls for known in self.known.values() if known.kind is not None}
        self.parts = layers.union(made_of_parts().values())

    def record(self, module: nn.Module, name: str) -> dict[str, Any]:
        if id(module) in self.seen:
            return {"same_as": self.seen[id(module)]}
        self.seen[id(module)] = name
        try:
            _refuse_hooks(module)
            leaf = self.leaf(module)
            if leaf is not None:
                return leaf
            if type(module) not in self.parts:
                raise NotPlainError("its class is not among those that a file may name")
            attributes = {key: _plain(key, value) for key, value in _own(module).items()}
            record: dict[str, Any] = {"class": class_name(type(module)), "attributes": attributes}
        except (NotPlainError, TypeError) as error:
            record = {"class": class_name(type(module)), "needs": str(error)}
            # Numbers of heads, for one, are fewer than those of the network that a reader makes.
            if numbers := {key: value for key, value in _own(module).items() if type(value) is int}:
                record["numbers"] = numbers
        for word, own in (("parameters", module._parameters), ("buffers", module._buffers)):
            if own:
                record[word] = {key: value is not None for key, value in own.items()}
        record["children"] = {
            key: None if child is None else self.record(child, f"{name}.{key}" if name else key)
            for key, child in module._modules.items()
        }
        return record

    def leaf(self, module: nn.Module) -> dict[str, Any] | None:
        """The record of a layer that its constructor can build again; ``None`` where none can."""
        inside, select = module, None
        if isinstance(module, Selective):
            inside, select = module.reading, len(module.index)
            _refuse_hooks(inside)
        cls = _class_of_layer(inside) if isinstance(module, Selective) else type(module)
        known = self.known.get(class_name(cls))
        if known is None or known.cls is not cls:
            return None
        try:
            form = {key: _plain(key, value) for key, value in known.form(inside).items()}
        except TypeError:
            return None  # it does not keep what its constructor takes: it is built of its parts
        record: dict[str, Any] = {"class": class_name(cls), "form": form}
        if select is not None:
            record["selects"] = select
        built = build_leaf(known, record)
        if type(built) is not type(module) or list(built.state_dict()) != list(module.state_dict()):
            raise NotPlainError(
                "its kind builds another layer of what it writes; it must define form() and build()"
            )
        if attributes := _differences(module, built):
            record["attributes"] = attributes
        return record


def _class_of_layer(layer: nn.Module) -> type[nn.Module]:
    """The class of the kind that a layer is of, or was before it selected its input."""
    kind: LayerKind | None = nearest_kind(layer)
    if kind is None:
        raise NotPlainError("it selects the input of a layer of no kind")
    return next(cls for cls in type(layer).__mro__ if cls in kind.types)


def _refuse_hooks(module: nn.Module) -> None:
    if any(getattr(module, key) for key in _HOOKS):
        raise NotPlainError("it has hooks, which are code")


def _own(module: nn.Module) -> dict[str, Any]:
    """Attributes that are no modules, parameters or buffers."""
    return {key: value for key, value in vars(module).items() if key not in INTERNAL}


def _plain(key: str, value: Any) -> Any:
    try:
        return encoded(value)
    except NotPlainError as error:
        raise NotPlainError(f"its attribute {key!r} is {error}") from None


def _differences(module: nn.Module, built: nn.Module) -> dict[str, Any]:
    """Plain attributes that a constructor does not give: somebody set them."""
    found, theirs = {}, _own(built)
    for key, value in _own(module).items():
        try:
            plain = encoded(value)
        except NotPlainError as error:
            if key in theirs and type(theirs[key]) is type(value):
                continue  # made by the constructor, such as lists of weights
            raise NotPlainError(f"its attribute {key!r} is {error}") from None
        if key not in theirs or encoded(theirs[key]) != plain:
            found[key] = plain
    return found
