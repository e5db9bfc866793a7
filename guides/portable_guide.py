"""A guide that is copied and pickled without its model."""

from __future__ import annotations

import copy
from typing import Any, Self

from pyro.infer.autoguide import AutoGuide

__all__ = ["PortableGuide"]


class PortableGuide(AutoGuide):
    """Pyro's base class of guides, with copies and pickles that work and leave the original as it was.

    Pyro's own pickling clears the model on the original, which breaks the guide after a copy or a save. Only
    the constructor needs the model, which is often a closure and cannot be pickled: a pickle leaves it out,
    and a copy shares it.
    """

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state["_model"] = (None,)
        state["master"] = None
        state["plates"] = {}
        return state

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        state = self.__getstate__()
        vars(new).update({key: copy.deepcopy(value, memo) for key, value in state.items()})
        vars(new)["_model"] = self._model
        return new
