r"""Modules that share a parameter with another one."""

from __future__ import annotations

from torch import nn

__all__ = ["reasons_shared"]


def reasons_shared(net: nn.Module) -> dict[nn.Module, str]:
    """Modules that hold a parameter which another module holds too, and what they share.

    Gates on one of them would change what the other computes. Parameters that are shared among the parts of
    one module are that module's own affair: it is not among the result, its parts are.

    Args:
        net: Any module.
    """
    holders: dict[int, dict[nn.Module, str]] = {}
    for prefix, module in net.named_modules():
        for key, value in module._parameters.items():
            if value is not None:
                holders.setdefault(id(value), {})[module] = f"{prefix}.{key}" if prefix else key
    several = [held for held in holders.values() if len(held) > 1]
    reasons: dict[nn.Module, str] = {}
    for module in net.modules() if several else ():
        parts = set(module.modules())
        for held in several:
            inside = [name for one, name in held.items() if one in parts]
            outside = [name for one, name in held.items() if one not in parts]
            if inside and outside:
                reasons[module] = f"its {inside[0].rpartition('.')[2]} is shared with {outside[0]!r}"
    return reasons
