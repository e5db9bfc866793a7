r"""Where a deployed network comes from: kept while it lives, so that it can be compared when saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

__all__ = ["DeploymentOrigin", "origin_of", "remember_origin"]


@dataclass(frozen=True)
class DeploymentOrigin:
    """What a deployed network was made of.

    Attributes:
        example: Arguments of the network, a row or two.
        dense: Makes the dense network.
        gated: Runs the network with its gates as they were decided; ``None`` where it was trained on since.
        drawn: Runs it with gates drawn from their laws, likewise.
        statistics: Buffers of the deployed network from before statistics were computed anew, by name.
        num_gates: Number of gates.
        undecided: Number of gates with P(z != 0) well inside (0, 1).
    """

    example: tuple[Any, ...]
    dense: Callable[[], nn.Module]
    gated: Callable[[tuple[Any, ...]], Any | None]
    drawn: Callable[[tuple[Any, ...]], Any | None]
    statistics: dict[str, Tensor]
    num_gates: int
    undecided: int


_ORIGINS: WeakKeyDictionary[nn.Module, DeploymentOrigin] = WeakKeyDictionary()


def remember_origin(net: nn.Module, origin: DeploymentOrigin) -> None:
    """Keep where a network comes from, as long as it lives.

    Args:
        net: The deployed network.
        origin: Where it comes from.
    """
    _ORIGINS[net] = origin


def origin_of(net: nn.Module) -> DeploymentOrigin | None:
    """Where a network comes from; ``None`` for one that was not deployed in this process, or was copied.

    Args:
        net: Any network.
    """
    return _ORIGINS.get(net)
