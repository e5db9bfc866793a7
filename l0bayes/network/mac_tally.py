r"""Multiply-accumulates of one run, by the module that runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.network.fused_macs import fused_macs
from l0bayes.network.kinds import LayerKind
from l0bayes.network.operation_macs import operation_macs

__all__ = ["MacTally"]

_Formula = Callable[[Any, Any], float]


class MacTally:
    """Counts what runs: layers by their kind, some modules by formula, and the rest operation by operation.

    Attributes:
        macs: Multiply-accumulates by the name of the module that ran them.
        uncounted: Operations whose number is not known, likewise.
    """

    def __init__(self) -> None:
        self.macs: dict[str, float] = {}
        self.uncounted: dict[str, set[str]] = {}
        self._owners = [""]
        self._whole = 0

    @property
    def owner(self) -> str:
        """The module that runs now, of those that are counted one by one."""
        return self._owners[-1]

    def operation(self, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        """Count one operation.

        Args:
            func: The operation, as a dispatch mode gets it.
            args: Its arguments.
            kwargs: Its arguments by name.
            out: Its result.
        """
        if self._whole:
            return
        count = operation_macs(func, args, kwargs, out)
        if count is None:
            self.uncounted.setdefault(self._owners[-1], set()).add(func._schema.name)
        elif count:
            self._add(self._owners[-1], count)

    def watch(
        self, stack: ExitStack, net: nn.Module, names: Iterable[str], kinds: Mapping[str, LayerKind]
    ) -> None:
        """Note which module runs, until the stack is left.

        Args:
            stack: Where hooks are taken off.
            net: The network.
            names: Modules that are counted one by one; others are counted with their owner.
            kinds: Kinds of those that are layers, which are counted as a whole.
        """
        for name in names:
            module = net.get_submodule(name)
            if isinstance(module, torch.jit.ScriptModule):  # takes no hooks
                continue
            formula = _by_kind(kinds[name], module) if name in kinds else fused_macs(module)
            before, after = self._around(name, formula)
            stack.callback(module.register_forward_pre_hook(before).remove)
            stack.callback(module.register_forward_hook(after, with_kwargs=True).remove)

    def _around(self, name: str, formula: _Formula | None) -> tuple[Callable[..., None], Callable[..., None]]:
        def before(_: nn.Module, args: Any) -> None:
            self._owners.append(name)
            self._whole += formula is not None

        def after(_: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
            self._owners.pop()
            if formula is not None:
                self._whole -= 1
                if not self._whole:
                    self._add(name, formula([*args, *kwargs.values()], out))

        return before, after

    def _add(self, name: str, count: float) -> None:
        self.macs[name] = self.macs.get(name, 0.0) + count


def _by_kind(kind: LayerKind, module: nn.Module) -> _Formula:
    def formula(inputs: Any, out: Any) -> float:
        shapes = [tuple(x.shape) for x in inputs if isinstance(x, Tensor)]
        return kind.macs(module, shapes, tuple((out[0] if isinstance(out, tuple) else out).shape))

    return formula
