r"""Units of a network and the layers that make and read them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from l0bayes.network.attention import HeadAttention

__all__ = [
    "LAYERS",
    "NONE",
    "TracedBlock",
    "TracedLayer",
    "UnitTrace",
    "is_depthwise",
    "layers_of",
    "put_module",
    "rows_of",
]

LAYERS = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.modules.batchnorm._BatchNorm,
    nn.LayerNorm,
    nn.Embedding,
    HeadAttention,
)
"""Modules that are followed as a whole."""

NONE = -1
"""Label of an entry that is no unit: data, constants, what an operation has mixed."""


@dataclass
class TracedLayer:
    """A layer as the example went through it.

    Attributes:
        name: Its name in the network.
        module: The layer.
        inputs: Unit of each input feature, of shape ``(in,)``; -1 where it is none.
        outputs: Unit of each output feature, of shape ``(out,)``.
        positions: Output positions an example, summed over calls: pixels, tokens, 1 for vectors.
        keys: For attention, positions of keys an example, summed over calls.
        lengths: For attention, pairs of query and key an example, summed over calls.
        reads_data: Whether its input does not depend on any other layer.
        shape: Shape of the example where it came in.
        batch_dim: Dimension of it that counts examples, -1 where none does.
    """

    name: str
    module: nn.Module
    inputs: Tensor
    outputs: Tensor
    positions: int = 0
    keys: int = 0
    lengths: int = 0
    reads_data: bool = False
    shape: tuple[int, ...] = ()
    batch_dim: int = 0


@dataclass
class TracedBlock:
    """A module that was asked about as a whole.

    Attributes:
        keeps_shape: Whether its output has its first input's shape.
        holds_skip: Whether its output is its input plus something: the residual connection is inside.
        is_added: Whether its output is added to something right behind it.
        shape: Shape of the example where it came in.
        batch_dim: Dimension of it that counts examples, -1 where none does.
    """

    keeps_shape: bool = False
    holds_skip: bool = False
    is_added: bool = False
    shape: tuple[int, ...] = ()
    batch_dim: int = 0


@dataclass
class UnitTrace:
    """What one run told about a network's units.

    Attributes:
        layers: Layers by name, in the order of their first call.
        blocks: The modules asked about.
        fixed: Units that cannot be taken out of the tensor that holds them, although each may be left
            unread: constants of full size are added to them, or a normalisation makes them.
        mixed: Unit to the operation that makes other values depend on it in ways that are not followed.
        outputs: Unit of each feature of the network's output (its last dimension, or its second where
            that is where units vary), or ``None`` where units vary otherwise.
        output_dim: That dimension, counted from the right.
        output_layer: The layer whose result is the network's output as it is, if any.
        size: Number of labels.
    """

    layers: dict[str, TracedLayer] = field(default_factory=dict)
    blocks: dict[str, TracedBlock] = field(default_factory=dict)
    fixed: set[int] = field(default_factory=set)
    mixed: dict[int, str] = field(default_factory=dict)
    outputs: Tensor | None = None
    output_dim: int = -1
    output_layer: str | None = None
    size: int = 0


def layers_of(net: nn.Module) -> dict[str, nn.Module]:
    """The layers that are followed as a whole, by name; the projections inside attention are part of it.

    Args:
        net: Any module.
    """
    found: dict[str, nn.Module] = {}
    for name, module in net.named_modules():
        owner = name.rpartition(".")[0]
        if isinstance(module, LAYERS) and not isinstance(found.get(owner), HeadAttention):
            found[name] = module
    return found


def rows_of(example: tuple[Any, ...]) -> int:
    """Number of examples in a network's arguments: the first dimension of the first tensor.

    Args:
        example: The arguments.
    """
    return next((len(x) for x in example if isinstance(x, Tensor) and x.dim()), 1)


def put_module(net: nn.Module, name: str, module: nn.Module) -> None:
    """Put a module in the place of another.

    Args:
        net: The network.
        name: Name of the place.
        module: What comes there.
    """
    owner, _, key = name.rpartition(".")
    net.get_submodule(owner)._modules[key] = module


def is_depthwise(module: nn.Module) -> bool:
    """Whether every output map of a convolution reads the one input map of its number.

    Args:
        module: Any module.
    """
    if not isinstance(module, nn.Conv1d | nn.Conv2d):
        return False
    return module.groups == module.in_channels == module.out_channels > 1
