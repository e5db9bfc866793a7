"""A model as training left it, which later training of the same module does not change."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from l0bayes.user_warnings import warn_user

__all__ = ["kept_model"]


def kept_model(model: Any) -> Any:
    """A copy of a model with the values that it holds now of all that training changes.

    What is not trained (frozen parameters, such as the weights of a network whose slabs are the guide's, and
    tensors that are plain attributes, such as data) is shared with the model.

    Args:
        model: A Pyro model. What is no module, or holds nothing that is trained, is given back
            as it is.

    Warns:
        UserWarning: If the module cannot be copied.
    """
    if not isinstance(model, nn.Module) or not _changes(model):
        return model
    shared: list[Tensor] = [one for one in model.parameters() if not one.requires_grad]
    for module in model.modules():
        shared += [value for value in vars(module).values() if isinstance(value, Tensor)]
    try:
        return copy.deepcopy(model, {id(one): one for one in shared})
    except (TypeError, RuntimeError, ValueError, AttributeError, NotImplementedError) as error:
        warn_user(
            f"{type(model).__name__} cannot be copied ({error}): the fit holds the model itself, and what is "
            "read of the fit changes where the model's parameters are trained on"
        )
        return model


def _changes(model: nn.Module) -> bool:
    return any(one.requires_grad for one in model.parameters()) or any(True for _ in model.buffers())
