"""Parameters and buffers of a module, looked up again only where its tree has changed."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

__all__ = ["StatePlaces"]


class StatePlaces:
    """Names, parameters and buffers of a module at each step of a training.

    Walking through a tree of modules takes as long as a dozen small operations. Here the places where
    parameters, buffers and children stand are remembered, and compared with what stands there now.

    Args:
        module: The module.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._found: tuple[dict[str, nn.Parameter], dict[str, Tensor]] | None = None
        self._places: list[tuple[dict[str, Any], tuple[Any, ...]]] = []
        self._modules: list[nn.Module] = []

    def current(self) -> tuple[dict[str, nn.Parameter], dict[str, Tensor]]:
        """Parameters and buffers by name, in torch's order, as they stand now; not to be changed."""
        if self._found is None or not self._stands():
            parameters, buffers = self._module.named_parameters(), self._module.named_buffers()
            self._found = dict(parameters), dict(buffers)
            self._modules = [*self._module.modules()]
            self._places = [
                (place, tuple(place.values()))
                for module in self._modules
                for place in (module._parameters, module._buffers, module._modules)
            ]
        return self._found

    @property
    def training(self) -> tuple[bool, ...]:
        """Whether each module was in training mode, in torch's order, when asked; after :meth:`current`."""
        return tuple([module.training for module in self._modules])

    def _stands(self) -> bool:
        for place, values in self._places:
            if len(place) != len(values):
                return False
            for now, before in zip(place.values(), values, strict=True):
                if now is not before:
                    return False
        return True
