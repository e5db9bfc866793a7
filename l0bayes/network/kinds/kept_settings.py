r"""What a user set on a module goes with the module that takes its place."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn

__all__ = ["keep_settings"]

# How torch calls the attributes that hold hooks, and what it knows of them.
_HOOKS = ("_hooks", "_hooks_with_kwargs", "_hooks_always_called", "_is_full_backward_hook")


def keep_settings(source: nn.Module, target: nn.Module, but: Collection[str] = ()) -> None:
    """Hand on hooks, attributes, mode, and which parameters are trained, in place.

    Args:
        source: The module that was there.
        target: The module that takes its place, with parameters of the same names.
        but: Attributes that stay behind.
    """
    own = vars(target)
    for key, value in vars(source).items():
        if key.endswith(_HOOKS) or (key not in own and key not in but):
            own[key] = value
    trained = {name: parameter.requires_grad for name, parameter in source.named_parameters()}
    for name, parameter in target.named_parameters():
        parameter.requires_grad_(trained.get(name, True))
    target.train(source.training)
