r"""From the record of an architecture to modules: built without storage, or taken from a given network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.network.block_stand_ins import Scaled, Skip
from l0bayes.network.kinds import SelectedInput, nearest_kind
from l0bayes.network.saved.architecture_records import INTERNAL, build_leaf
from l0bayes.network.saved.plain_values import decoded
from l0bayes.network.saved.saved_classes import BuiltClass, class_name, known_classes, made_of_parts
from l0bayes.network.saved.saved_errors import SavedNetworkError

__all__ = ["rebuilt"]

_DEEPEST, _MOST = 200, 1_000_000
# Ours, which stand around a module that the dense network has in their place.
_AROUND = (Scaled, SelectedInput)


def rebuilt(record: dict[str, Any], given: nn.Module | None, shapes: dict[str, tuple[int, ...]]) -> nn.Module:
    """The network of a record; what is not of the given one is on the device ``"meta"``.

    Args:
        record: From :func:`~l0bayes.network.saved.architecture_records.record_network`.
        given: A dense network, whose modules stand where a record names a class that cannot be built; it is
            changed.
        shapes: Shapes of the tensors that are to be loaded, by name.

    Raises:
        SavedNetworkError: If a class is not known, or the given network is another one; names the module.
    """
    return _Builder(shapes).module(record, given, "", 0)


class _Builder:
    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        self.shapes = shapes
        self.known = known_classes()
        self.layers = {word: known.cls for word, known in self.known.items() if known.kind is not None}
        self.parts = self.layers | made_of_parts()
        self.done: dict[str, tuple[nn.Module, int]] = {}  # with the number of names in it

    def module(self, record: Any, given: nn.Module | None, name: str, depth: int) -> nn.Module:
        if depth > _DEEPEST:
            raise SavedNetworkError(f"modules in modules, more than {_DEEPEST} deep, at {name[:60]!r}")
        if "same_as" in record:
            if record["same_as"] not in self.done:
                raise SavedNetworkError(
                    f"{name!r} is to be {record['same_as']!r}, which comes later or not at all"
                )
            self.done[name] = self.done[record["same_as"]]
            return self.done[name][0]
        word = record["class"]
        if "needs" in record:
            module = self.foreign(record, given, name)
        elif word in self.known and "form" in record:
            module = self.leaf(self.known[word], record, given, name)
        elif word in self.parts:
            module = self.of_parts(self.parts[word], record, given, name)
        else:
            raise SavedNetworkError(
                f"{name or 'the network'!r} is a {word}, which is not known here; import what registers it "
                "(register_kind or register_saved_class) before it is loaded"
            )
        self.children(module, record, given, name, depth)
        inside = (f"{name}.{key}" if name else key for key in module._modules)
        names = 1 + sum(self.done[key][1] for key in inside if key in self.done)
        if names > _MOST:  # few records can stand for many names, where each is there twice
            raise SavedNetworkError(f"{name or 'the network'!r} has more than {_MOST:,} modules by name")
        self.done[name] = module, names
        return module

    def children(
        self, module: nn.Module, record: Any, given: nn.Module | None, name: str, depth: int
    ) -> None:
        theirs = {} if given is None else dict(given._modules)
        for key, child in record.get("children", {}).items():
            where = f"{name}.{key}" if name else key
            if child is None:
                module._modules[key] = None
                continue
            own = given if type(module) in _AROUND else theirs.get(key)
            if given is not None and own is None and type(given) is type(module):
                raise SavedNetworkError(
                    f"the network that was given has no module {where!r}; it is another one"
                )
            module._modules[key] = self.module(child, own, where, depth + 1)
        if "needs" in record:
            for key in theirs.keys() - record.get("children", {}).keys():
                raise SavedNetworkError(
                    f"the network that was given has a module {f'{name}.{key}'.lstrip('.')!r} which the "
                    "saved one has not; it is another one"
                )

    def foreign(self, record: Any, given: nn.Module | None, name: str) -> nn.Module:
        """A module that only the reader's code can make."""
        what = f"{name!r} is" if name else "the network is"
        if given is None:
            raise SavedNetworkError(
                f"{what} a {record['class']}, which cannot be built from a file ({record['needs']}); give "
                "load_deployed(folder, network=...) a dense network that your code makes, or register its "
                "class with l0bayes.network.register_saved_class"
            )
        if class_name(type(given)) != record["class"]:
            raise SavedNetworkError(
                f"{what} a {record['class']}, but in the network that was given a {class_name(type(given))}"
            )
        self.compare_own(given, name, exactly=True)
        for key, value in record.get("numbers", {}).items():
            own = vars(given).get(key)
            if type(own) is int and type(value) is int and 0 < value < own and key not in INTERNAL:
                setattr(given, key, value)  # of heads that were taken out
        return given

    def leaf(self, known: BuiltClass, record: Any, given: nn.Module | None, name: str) -> nn.Module:
        module = build_leaf(known, record)
        if given is not None:
            same = type(given) in (known.cls, type(module))
            if known.kind is not None:
                same = nearest_kind(given) is known.kind or type(given) is type(module)
            if not same:
                raise SavedNetworkError(
                    f"{name!r} is a {class_name(known.cls)}, but in the network that was given a "
                    f"{class_name(type(given))}"
                )
            self.compare_own(given, name, exactly=False)
        self.set_attributes(module, record.get("attributes", {}), name)
        return module

    def of_parts(self, cls: type[nn.Module], record: Any, given: nn.Module | None, name: str) -> nn.Module:
        if given is not None and type(given) is not cls and cls not in (Skip, *_AROUND):
            raise SavedNetworkError(
                f"{name or 'the network'!r} is a {class_name(cls)}, but what was given is a "
                f"{class_name(type(given))}"
            )
        if given is not None and type(given) is cls:
            self.compare_own(given, name, exactly=cls not in self.layers.values())
        module = cls.__new__(cls)
        nn.Module.__init__(module)
        self.set_attributes(module, record["attributes"], name)
        for key, there in record.get("parameters", {}).items():
            module.register_parameter(key, nn.Parameter(self.tensor(name, key)) if there else None)
        for key, there in record.get("buffers", {}).items():
            module.register_buffer(key, self.tensor(name, key) if there else None)
        return module

    def tensor(self, name: str, key: str) -> Tensor:
        where = f"{name}.{key}" if name else key
        if where not in self.shapes:
            raise SavedNetworkError(f"the file holds no tensor {where!r}")
        return torch.empty(self.shapes[where], device="meta")

    def set_attributes(self, module: nn.Module, attributes: Any, name: str) -> None:
        for key, value in attributes.items():
            if key in INTERNAL or not key.isidentifier() or callable(getattr(type(module), key, None)):
                raise SavedNetworkError(f"no file may set {key!r} of {name or 'the network'!r}")
            vars(module)[key] = decoded(value)

    def compare_own(self, given: nn.Module, name: str, exactly: bool) -> None:
        """Refuse a given module with smaller tensors than the saved ones, or any others if ``exactly``."""
        for key, value in given.state_dict(keep_vars=True).items():
            owner = key.rpartition(".")[0]
            where = f"{name}.{key}" if name else key
            if (exactly and owner) or not isinstance(value, Tensor) or where not in self.shapes:
                continue  # parts are compared by themselves, and what is missing is found when it is loaded
            dense, small = tuple(value.shape), self.shapes[where]
            fits = dense == small if exactly else len(dense) == len(small)
            if not fits or any(one < other for one, other in zip(dense, small, strict=False)):
                raise SavedNetworkError(
                    f"{where!r} has shape {small} in the file, {dense} in the network that was given: it was "
                    "made with other sizes"
                )
