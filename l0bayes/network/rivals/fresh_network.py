r"""A network of the same architecture with weights as before training."""

from __future__ import annotations

import math
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from l0bayes.infer.randomness import private_randomness
from l0bayes.network.kinds import nearest_kind
from l0bayes.network.preparation import copy_network

__all__ = ["Restartable", "fresh_network"]


@runtime_checkable
class Restartable(Protocol):
    """A module that can start anew, as torch's own layers can."""

    def reset_parameters(self) -> None:
        """Draw its own parameters anew and reset its statistics."""
        ...


def fresh_network(net: nn.Module, seed: int = 0, like: nn.Module | None = None) -> nn.Module:
    """A copy of a network that starts anew: the rival of the one that was found by pruning.

    Every layer draws its parameters by its own ``reset_parameters`` and normalisation forgets its statistics;
    then a module that holds layers and has a ``reset_parameters`` of its own, such as
    :class:`~l0bayes.models.LeNet5Caffe`, is asked for its. Sizes, selections and frozen parameters stay.

    Args:
        net: The network, such as one that was deployed.
        seed: Seed of the draws.
        like: An untrained network with the same names, such as the dense one: parameters that no module draws
            anew take its values, or Normal ones of its mean and spread where sizes differ.

    Raises:
        ValueError: If no module draws a parameter anew and ``like`` has none of that name; names it.

    Example::

        rival = fresh_network(model.deploy(guide), seed=1)
    """
    new = copy_network(net)
    before = {name: parameter._version for name, parameter in new.named_parameters()}
    frozen = {n: p.detach().clone() for n, p in new.named_parameters() if not p.requires_grad}
    with private_randomness(seed), torch.no_grad():
        for module in reversed(list(new.modules())):  # parts before what holds them
            kind = nearest_kind(module)
            if kind is not None:
                kind.restart(module)
            elif isinstance(module, Restartable):
                module.reset_parameters()
        theirs = {} if like is None else dict(like.named_parameters())
        for name, parameter in new.named_parameters():
            if name in frozen:
                parameter.copy_(frozen[name])
            elif parameter._version == before[name]:
                if name not in theirs:
                    raise ValueError(
                        f"no module draws {name!r} anew: give its module a method reset_parameters, or like, "
                        "an untrained network that has it"
                    )
                parameter.copy_(_drawn(parameter, theirs[name]))
    return new.train()


def _drawn(parameter: Tensor, start: Any) -> Tensor:
    """Values like those of an untrained network."""
    values: Tensor = start.detach().to(parameter)
    if values.shape == parameter.shape:
        return values
    spread = values.std() if values.numel() > 1 else values.new_tensor(0.0)
    drawn = values.mean() + spread * torch.randn(math.prod(parameter.shape), dtype=torch.float64).to(values)
    return drawn.reshape(parameter.shape)
