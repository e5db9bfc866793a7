r"""Whether a module still computes what its class computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch.nn.utils import parametrize

__all__ = ["reason_changed"]


def reason_changed(
    module: nn.Module, forwards: Mapping[type[nn.Module], Callable[..., Any]], name: str
) -> str | None:
    """Why a module may compute something else than its class; ``None`` where it does not.

    Weights that are computed anew before each run (``parametrize``, the older ``weight_norm`` and
    ``spectral_norm``, ``prune``) are no parameters that a gate could multiply. A subclass, another
    ``forward`` or a hook may do anything, and hooks that only look cannot be distinguished from hooks that
    change values.

    Args:
        module: The module.
        forwards: The original ``forward`` of each class that is accepted.
        name: What the accepted classes are called together.
    """
    if parametrize.is_parametrized(module):
        parts: Any = module.parametrizations
        by = {key: [type(step).__name__.strip("_") for step in steps] for key, steps in parts.items()}
        return "; ".join(
            f"its {key} is computed anew in each run, by {', '.join(s)}" for key, s in by.items()
        )
    for hook in (*module._forward_pre_hooks.values(), *module._forward_hooks.values()):
        word = getattr(hook, "__name__", type(hook).__name__)
        return f"it has a forward hook, {word}, which may change what it reads, returns or multiplies by"
    own = type(module)
    if own not in forwards:
        return f"{own.__name__} is a subclass of {name}, which may compute something else"
    if own.forward is not forwards[own]:
        return f"the forward of {own.__name__} has been replaced"
    for key in vars(module):
        if callable(getattr(own, key, None)):
            return f"its {key} has been replaced"
    return None
