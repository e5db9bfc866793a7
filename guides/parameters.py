"""Where a guide keeps its parameters."""

from __future__ import annotations

from typing import Any

import pyro
from pyro.nn.module import PyroModule

__all__ = ["GuideParameters"]


class GuideParameters(PyroModule):
    """Parameters of a guide: the module holds them, and Pyro's global store at most mirrors them.

    A plain ``PyroModule`` takes values from the store where it finds its parameters' names there. Two guides
    of one class on one model have the same names, so running the second would silently replace its
    parameters by those of the first. Here the store is corrected instead, and stock ``SVI`` still finds every
    parameter in it by name.
    """

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__.get("_parameters", {}).get(f"{name}_unconstrained")
        if own is not None and self._pyro_context.active:
            store, full_name = pyro.get_param_store(), self._pyro_get_fullname(name)
            if full_name in store and store._params[full_name] is not own:
                del store[full_name]
        return super().__getattr__(name)
