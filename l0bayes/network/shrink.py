r"""From gates and slabs to a plain small network: units that are shut are taken out."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["LayerWeights", "SelectInputs", "members", "shrink_sequential"]


@dataclass
class LayerWeights:
    """The deployed weights of one Linear layer, at full size.

    Attributes:
        weight: θ with its per-weight gates, of shape ``(out, in)``.
        bias: Bias, of shape ``(out,)``, or ``None``.
        input_gates: Deployed gates of the layer's input units, of shape ``(in,)``; ``None`` if ungated.
    """

    weight: Tensor
    bias: Tensor | None
    input_gates: Tensor | None


class SelectInputs(nn.Module):
    """Keep some columns of the input: what remains of gates on the data's own columns.

    Args:
        index: Columns to keep, of dtype ``torch.long``.
    """

    index: Tensor

    def __init__(self, index: Tensor) -> None:
        super().__init__()
        self.register_buffer("index", index)

    def forward(self, x: Tensor) -> Tensor:
        """``x[:, index]``."""
        return x.index_select(-1, self.index)

    def extra_repr(self) -> str:
        return f"{len(self.index)} columns"


def members(net: nn.Sequential) -> Iterator[tuple[str, nn.Module]]:
    """Names and modules in the order they are applied, a module that stands in several places each time.

    Args:
        net: Any Sequential; ``named_children`` would name a repeated module once.
    """
    for name, module in net._modules.items():
        assert module is not None  # a Sequential calls them all
        yield name, module


def shrink_sequential(
    net: nn.Sequential, layers: Mapping[str, LayerWeights], output_gates: Tensor | None = None
) -> nn.Sequential:
    r"""A plain ``nn.Sequential`` that computes the gated network with its shut units removed.

    A gate :math:`z_j` multiplies an activation before layer l, so that it folds into the layer's
    column, :math:`W_{ij} z_j`; where it is 0 the column, the unit's row and bias in the layer before,
    and with them all trace of the unit are left out. Removing a unit is exact whatever the activation,
    since what it feeds is multiplied by 0. A hidden layer always keeps at least one unit, of weight 0
    where all are shut, so that shapes remain valid.

    Args:
        net: The template: Linear layers and modules without parameters.
        layers: Deployed weights by Linear layer name.
        output_gates: Gates on the network's outputs, of shape ``(out,)``; folded, never removed.

    Returns:
        The small network, with names kept and an extra ``SelectInputs``, ``"select"``, in front where
        input columns are dropped. It shares no module with ``net``.
    """
    names = [name for name, module in members(net) if isinstance(module, nn.Linear)]
    kept: dict[str, Tensor] = {}
    for name in names:
        gates = layers[name].input_gates
        everything = torch.arange(layers[name].weight.shape[1])
        kept[name] = everything if gates is None else torch.nonzero(gates.cpu()).flatten()
        if not len(kept[name]):
            kept[name] = everything[:1]
    small = nn.Sequential()
    for name, module in members(net):
        if not isinstance(module, nn.Linear):
            small.add_module(name, copy.deepcopy(module))
            continue
        if name == names[0] and len(kept[name]) < module.in_features:
            small.add_module(_free_name(net), SelectInputs(kept[name].to(layers[name].weight.device)))
        follows = names[names.index(name) + 1] if name != names[-1] else None
        rows = kept[follows] if follows is not None else torch.arange(module.out_features)
        small.add_module(
            name, _linear(layers[name], rows, kept[name], output_gates if follows is None else None)
        )
    return small


def _free_name(net: nn.Sequential) -> str:
    taken, name = dict(members(net)), "select"
    while name in taken:
        name = f"{name}_"
    return name


def _linear(layer: LayerWeights, rows: Tensor, columns: Tensor, output_gates: Tensor | None) -> nn.Linear:
    weight, bias = layer.weight.detach(), layer.bias
    if layer.input_gates is not None:
        weight = weight * layer.input_gates
    if output_gates is not None:
        weight = weight * output_gates[:, None]
        bias = None if bias is None else bias * output_gates
    new = nn.Linear(len(columns), len(rows), bias=bias is not None, device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        new.weight.copy_(weight[rows][:, columns])
        if bias is not None:
            new.bias.copy_(bias[rows])
    return new
