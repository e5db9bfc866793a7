r"""Where the parameters of a network stand, found once, so that a run with others costs next to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from l0bayes.infer.objectives.functional_state import places_of

__all__ = ["ParameterSlots"]

_Slot = tuple[dict[str, Any], str]


class ParameterSlots:
    """The places of a network's parameters and buffers; modules must stay where they are.

    Args:
        net: The network.
    """

    def __init__(self, net: nn.Module) -> None:
        self.net = net
        self._slots: dict[str, list[_Slot]] = {}
        modules = dict(net.named_modules())
        for names in places_of(net).values():
            slots = [self._slot(modules, name) for name in names]
            for name in names:
                self._slots[name] = slots

    @staticmethod
    def _slot(modules: Mapping[str, nn.Module], name: str) -> _Slot:
        owner, _, key = name.rpartition(".")
        module: Any = modules[owner]
        return (module._parameters if key in module._parameters else module._buffers), key

    def call(self, values: Mapping[str, Tensor], args: Any, named: Any) -> Any:
        """Run the network with other parameters and buffers, which stand there for the while.

        Args:
            values: Values by name, in any precision; a tensor that stands in several places changes in all.
            args: Positional arguments.
            named: Arguments by name.
        """
        swapped = []
        try:
            for name, value in values.items():
                for kept, key in self._slots[name]:
                    own = kept[key]
                    swapped.append((kept, key, own))
                    kept[key] = value if value.dtype == own.dtype else value.to(own.dtype)
            return self.net(*args, **named)
        finally:
            for kept, key, own in reversed(swapped):
                kept[key] = own
