r"""Guides of several parts, such as Pyro's ``AutoGuideList``: what they can do, their parts do.

Pyro's own guides can be run and trained, and that is all that is asked of a part without gates.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from pyro.infer.autoguide import AutoGuide, AutoGuideList
from pyro.nn.module import PyroModule
from torch import nn

from l0bayes.infer.flow_caches import forget_flow_caches

__all__ = ["copied_guide", "harden_parts", "perturb_parts"]

# Restarts of several parts do not share their noise.
_STRIDE = 7919


def copied_guide(guide: Any) -> Any:
    """A deep copy of a guide that leaves the guide whole, as Pyro's own ``__getstate__`` does not.

    The copy shares what describes the model, which is not trained.

    Args:
        guide: Any guide that is a module.
    """
    forget_flow_caches(guide)
    parts = _auto_guides(guide)
    kept = [(part._model, part.master) for part in parts]
    memo: dict[int, Any] = {}
    for part in parts:
        for shared in (part._model, part.prototype_trace, part.__dict__.get("plates")):
            if shared is not None:
                memo[id(shared)] = shared
    try:
        new = copy.deepcopy(guide, memo)
    finally:
        for part, (model, master) in zip(parts, kept, strict=True):
            part._model, part.master = model, master
    for part, (model, _) in zip(_auto_guides(new), kept, strict=True):
        part._model = model
    return new


def _auto_guides(guide: Any) -> list[Any]:
    found = guide.modules() if isinstance(guide, nn.Module) else ()
    return [part for part in found if isinstance(part, AutoGuide)]


def harden_parts(guide: Any, parts: Sequence[Any]) -> Callable[[], Any] | None:
    """What gives a copy of a combination with the gates of its parts made binary, if there is a way.

    Args:
        guide: The guide.
        parts: Its parts that hold gates, each with a method ``harden``.
    """
    if not isinstance(guide, AutoGuideList) or not parts:
        return None
    places = [name for name, part in guide.named_children() if any(part is one for one in parts)]
    if len(places) < len(parts):  # a part of a part
        return None

    def harden() -> Any:
        new = copied_guide(guide)
        for place in places:
            _put(new, place, getattr(new, place).harden())
        return new

    return harden


def _put(guide: Any, place: str, part: Any) -> None:
    """Put a part in the place of another of the same names; Pyro takes only parts that were never run."""
    guide._modules[place] = part
    for module in part.modules():
        if isinstance(module, PyroModule):
            module._pyro_context = guide._pyro_context
    part._update_master(weakref.ref(guide))


def perturb_parts(guide: Any, parts: Sequence[Any]) -> Callable[[int], Any] | None:
    """What moves the parts of a combination that hold gates; the others start again from where they started.

    Args:
        guide: The guide.
        parts: Its parts that hold gates, each with a method ``perturb``.
    """
    if not parts:
        return None

    def perturb(seed: int) -> Any:
        for index, part in enumerate(parts):
            part.perturb(seed + _STRIDE * index)
        return guide

    return perturb
