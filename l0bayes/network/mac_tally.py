r"""Multiply-accumulates of one run, by the module that runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from l0bayes.network.fused_macs import fused_macs
from l0bayes.network.kinds import LayerKind
from l0bayes.network.operation_macs import operation_macs

__all__ = ["MacTally"]

_Formula = Callable[[Any, Any], float]


@dataclass(frozen=True)
class _Call:
    count: float
    comparable: bool = True

    def same_as(self, other: _Call) -> bool:
        return self.comparable and other.comparable and 0 != self.count == other.count


class MacTally:
    """Counts what runs: layers by their kind, some modules by formula, and the rest operation by operation.

    Args:
        rows: Number of examples that run.

    Attributes:
        once: What is done once a run, however many examples there are: by name of the module that runs it,
            in the order of its calls.
        uncounted: Operations whose number is not known, by the name of the module that ran them.
        paused: Whether nothing is counted at the moment.
    """

    def __init__(self, rows: int) -> None:
        self.rows = max(1, rows)
        self.once: Mapping[str, Sequence[bool]] = {}
        self.uncounted: dict[str, set[str]] = {}
        self.paused = False
        self._calls: dict[str, list[_Call]] = {}
        self._owners = [""]
        self._whole = 0

    @property
    def owner(self) -> str:
        """The module that runs now, of those that are counted one by one."""
        return self._owners[-1]

    @property
    def macs(self) -> dict[str, float]:
        """Multiply-accumulates an example by the name of the module that ran them."""
        found = {}
        for name, calls in self._calls.items():
            once = self.once.get(name) or [False] * len(calls)
            whole = sum(call.count for call, alone in zip(calls, once, strict=True) if alone)
            shared = sum(call.count for call, alone in zip(calls, once, strict=True) if not alone)
            found[name] = whole + shared / self.rows
        return found

    def once_beside(self, longer: MacTally) -> dict[str, list[bool]]:
        """What is done once a run: what costs the same in a run of more examples.

        Args:
            longer: The tally of that run. A module that is called more often there does nothing once.
        """
        found = {}
        for name, calls in self._calls.items():
            others = longer._calls.get(name, [])
            if len(others) == len(calls):
                found[name] = [one.same_as(other) for one, other in zip(calls, others, strict=True)]
        return found

    def layer(self, name: str, count: float) -> None:
        """Count a call of a layer whose cost others keep.

        Args:
            name: The layer.
            count: Its multiply-accumulates.
        """
        self._add(name, _Call(count))

    def shared_by(self, name: str) -> list[int]:
        """By how many examples each call of a layer is shared, in their order.

        Args:
            name: The layer.
        """
        calls = self._calls.get(name, [])
        once = self.once.get(name) or [False] * len(calls)
        return [1 if alone else self.rows for alone in once]

    def operation(self, func: Any, args: Any, kwargs: Any, out: Any) -> int | None:
        """Count one operation.

        Args:
            func: The operation, as a dispatch mode gets it.
            args: Its arguments.
            kwargs: Its arguments by name.
            out: Its result.

        Returns:
            Its number among the calls of the module that runs; ``None`` where nothing is counted.
        """
        if self._whole or self.paused:
            return None
        count = operation_macs(func, args, kwargs, out)
        if count is None:
            self.uncounted.setdefault(self._owners[-1], set()).add(func._schema.name)
        elif count:
            self._add(self._owners[-1], _Call(count))
            return len(self._calls[self._owners[-1]]) - 1
        return None

    def macs_of(self, name: str, number: int) -> float:
        """Multiply-accumulates an example of one call.

        Args:
            name: The module that ran it.
            number: Its number among the calls of it.
        """
        return self._calls[name][number].count / self.shared_by(name)[number]

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
                    inputs = [*args, *kwargs.values()]
                    # Packed are examples, whether they were packed in this run or before it.
                    packed = any(isinstance(x, PackedSequence) for x in inputs)
                    self._add(name, _Call(formula(inputs, out), comparable=not packed))

        return before, after

    def _add(self, name: str, call: _Call) -> None:
        if not self.paused:
            self._calls.setdefault(name, []).append(call)


def _by_kind(kind: LayerKind, module: nn.Module) -> _Formula:
    def formula(inputs: Any, out: Any) -> float:
        shapes = [tuple(x.shape) for x in inputs if isinstance(x, Tensor)]
        return kind.macs(module, shapes, tuple((out[0] if isinstance(out, tuple) else out).shape))

    return formula
