r"""How a layer is written down and built again: by what its constructor takes, never by its code."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

__all__ = ["WrittenForm", "constructor_form"]

# What says where and in which precision; the tensors themselves say so.
_LEFT_OUT = {"self", "device", "dtype"}
_ABSENT = object()


def constructor_form(module: nn.Module, cls: type[nn.Module]) -> dict[str, Any]:
    """What a constructor took, read from the attributes of the same names, as torch's own layers keep it.

    Args:
        module: The module.
        cls: Its class, or the one that it was made of.

    Raises:
        TypeError: If the constructor needs something that the module does not keep.
    """
    form: dict[str, Any] = {}
    for name, parameter in inspect.signature(cls.__init__).parameters.items():
        if name in _LEFT_OUT or name.startswith("_"):
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        value = getattr(module, name, _ABSENT)
        if name in module._parameters:  # a bias: there or not
            value = value is not None
        if parameter.kind is parameter.KEYWORD_ONLY and value == parameter.default:
            continue  # newer than what older versions of torch take
        if value is not _ABSENT:
            form[name] = value
        elif parameter.default is parameter.empty:
            raise TypeError(
                f"{cls.__name__} keeps no attribute {name!r}, which its constructor takes; a kind of its own "
                "must define form() and build()"
            )
    return form


class WrittenForm:
    """The part of a layer kind that files are written and read by."""

    def form(self, module: Any, cls: type[nn.Module]) -> dict[str, Any]:
        """Plain values from which :meth:`build` makes a layer of the same sizes.

        Args:
            module: The layer.
            cls: The class among ``types`` that it is of.
        """
        return constructor_form(module, cls)

    def build(self, cls: type[nn.Module], form: Mapping[str, Any]) -> nn.Module:
        """A layer by what :meth:`form` returned; its values come later, from a file.

        Args:
            cls: One of ``types``.
            form: What :meth:`form` returned.
        """
        return cls(**form)

    def arguments(self, module: Any, x: Any) -> tuple[Any, ...]:
        """What a layer is called with to run by itself.

        Args:
            module: The layer.
            x: An input of the shape that it was traced with.
        """
        return (x,)

    def restart(self, module: Any) -> None:
        """Draw the parameters of a layer anew and reset its statistics, in place, as its class starts.

        Args:
            module: The layer, or one of a class derived from it.
        """
        if module._parameters or module._buffers:
            module.reset_parameters()
