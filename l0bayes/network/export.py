r"""From decided gates to a plain small network: what is shut is taken out."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.network.attention import HeadAttention
from l0bayes.network.plan import GatePlan
from l0bayes.network.select import SelectiveLinear, resized
from l0bayes.network.units import TracedLayer, is_depthwise, put_module, rows_of

__all__ = ["Scaled", "Skip", "count_macs", "count_nonzero", "shrink"]


class Skip(nn.Module):
    """What remains of a shut block.

    Args:
        adds: Whether the block's output was added to something by its caller: it is 0 then, and the
            block's input where the residual connection was inside.
    """

    def __init__(self, adds: bool) -> None:
        super().__init__()
        self.adds = adds

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The input, or 0."""
        return x.new_zeros(()) if self.adds else x

    def extra_repr(self) -> str:
        return "0" if self.adds else "identity"


class Scaled(nn.Module):
    """A block whose gate is neither 0 nor 1.

    Args:
        block: The block.
        gate: The gate's value.
        adds: As for :class:`Skip`.
    """

    def __init__(self, block: nn.Module, gate: float, adds: bool) -> None:
        super().__init__()
        self.block, self.gate, self.adds = block, gate, adds

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The block's output times its gate, beside the input where the residual connection is inside."""
        y: Tensor = self.block(x, *args, **kwargs)
        return self.gate * y if self.adds else torch.lerp(x, y, self.gate)

    def extra_repr(self) -> str:
        return f"gate={self.gate:.4g}"


@torch.no_grad()
def shrink(
    net: nn.Module,
    plan: GatePlan,
    parameters: Mapping[str, Tensor],
    gates: Mapping[str, Tensor],
    remove: bool = True,
) -> nn.Module:
    r"""A plain network that computes what the gated one does, with all that is shut removed.

    Gates fold into the columns of the layers that read what they multiply. A unit that nobody reads any
    more (its columns are zero in every layer, by its gate, by gates on single weights or because the weights
    themselves are 0) is taken out, its row, bias and normalisation with it, whatever the nonlinearity; and
    so on until nothing changes. A layer always keeps one unit, of weight 0 where all are shut, so that
    shapes stay valid. Layers that read part of what comes select it.

    Args:
        net: The network, attention of the kind that can be gated.
        plan: Its gates.
        parameters: Values of parameters by name, gates on single weights multiplied in.
        gates: Deployed gate values by site.
        remove: Whether to take anything out; otherwise weights are zeroed at full size.

    Returns:
        A network of the same class that shares nothing with ``net``.
    """
    small = copy.deepcopy(net)
    own = dict(small.named_parameters())
    for name, value in parameters.items():
        own[name].copy_(value)
    shrinker = _Shrinker(small, plan, gates)
    shrinker.fold()
    if remove:
        shrinker.remove()
    shrinker.finish()
    return small.requires_grad_(True)


class _Shrinker:
    def __init__(self, small: nn.Module, plan: GatePlan, gates: Mapping[str, Tensor]) -> None:
        self.small, self.plan, self.gates, self.trace = small, plan, gates, plan.trace
        self.shut_blocks = [name for name, site in plan.blocks.items() if not bool(gates[site].any())]
        self.layers = {
            name: layer for name, layer in self.trace.layers.items() if not self.in_shut_block(name)
        }
        self.reading = {
            name: layer
            for name, layer in self.layers.items()
            if isinstance(layer.module, nn.Linear | nn.Conv1d | nn.Conv2d) and name in plan.inputs
        }

    def in_shut_block(self, name: str) -> bool:
        return any(name == block or name.startswith(f"{block}.") for block in self.shut_blocks)

    def module(self, name: str) -> Any:
        return self.small.get_submodule(name)

    def fold(self) -> None:
        """Multiply input gates into columns, and gates on the network's outputs into the last rows."""
        for name in self.reading:
            for factor in self.plan.inputs[name]:
                weight = self.module(name).weight
                values = factor.of(self.gates).to(weight)
                if weight.shape[1] == len(values):
                    weight.mul_(values.reshape(1, -1, *[1] * (weight.dim() - 2)))
                else:  # a grouped convolution: row o reads the features of its group
                    groups = len(values) // weight.shape[1]
                    rows = values.reshape(groups, -1).repeat_interleave(len(weight) // groups, 0)
                    weight.mul_(rows.reshape(*rows.shape, *[1] * (weight.dim() - 2)))
        if self.plan.output:
            assert self.trace.output_layer is not None  # refused when the gates were placed
            last = self.module(self.trace.output_layer)
            for factor in self.plan.output:
                values = factor.of(self.gates).to(last.weight)
                last.weight.mul_(values.reshape(-1, *[1] * (last.weight.dim() - 1)))
                if last.bias is not None:
                    last.bias.mul_(values)

    def used(self, name: str, layer: TracedLayer, present: Tensor) -> Tensor:
        """Which input features a layer reads: those with a weight that is not 0 into a unit that is there."""
        weight: Tensor = self.module(name).weight.detach().cpu()
        if getattr(layer.module, "groups", 1) > 1:
            return torch.ones(len(layer.inputs), dtype=torch.bool)
        return (
            (weight[present[layer.outputs]] != 0).flatten(2).any(-1).any(0)
            if weight.dim() > 2
            else (weight[present[layer.outputs]] != 0).any(0)
        )

    def units_left(self) -> Tensor:
        """Whether each unit stays; the last entry, for features that are no units, is always true."""
        trace = self.trace
        present = torch.ones(trace.size + 1, dtype=torch.bool)
        kept = torch.zeros(trace.size + 1, dtype=torch.bool)
        ends = [] if trace.outputs is None else trace.outputs.tolist()
        kept[torch.tensor([-1, *trace.fixed, *trace.mixed, *ends])] = True
        while True:
            read = kept.clone()
            for name, layer in self.reading.items():
                read[layer.inputs[self.used(name, layer, present)]] = True
            for layer in self.layers.values():  # shapes stay valid: somebody has to stay
                left = layer.outputs[present[layer.outputs]]
                if not bool(read[left].any()):
                    read[left[0]] = True
            left = read & present
            if bool((left == present).all()):
                return present
            present = left

    def remove(self) -> None:
        present = self.units_left()
        for name, layer in self.layers.items():
            module = self.module(name)
            rows = torch.nonzero(present[layer.outputs]).flatten()
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                _slice_norm(module, rows)
            elif is_depthwise(layer.module):
                module.weight, module.bias = _cut(module.weight, rows), _cut(module.bias, rows)
                module.groups = module.in_channels = module.out_channels = len(rows)
            elif isinstance(module, nn.Embedding):
                module.embedding_dim = len(rows)
                module.weight = nn.Parameter(module.weight.index_select(1, rows.to(module.weight.device)))
            elif name in self.reading and getattr(module, "groups", 1) == 1:
                comes = torch.nonzero(present[layer.inputs]).flatten()
                wanted = self.used(name, layer, present) & present[layer.inputs]
                columns = torch.nonzero(wanted).flatten()
                if not len(columns):
                    columns = comes[:1]
                where = None if len(columns) == len(comes) else torch.searchsorted(comes, columns)
                device = module.weight.device
                where = None if where is None else where.to(device)
                put_module(self.small, name, resized(module, rows.to(device), columns.to(device), where))

    def finish(self) -> None:
        """Heads, blocks, and attention that lost nothing."""
        for name, site in self.plan.heads.items():
            if not self.in_shut_block(name):
                self.module(name).keep_heads(self.gates[site].to(self.module(name).in_proj_weight))
        for name, module in list(self.small.named_modules()):
            if not isinstance(module, HeadAttention) or self.beside_selection(name):
                continue
            if module.num_heads * module.head_dim == module.embed_dim:
                put_module(self.small, name, _plain(module))
        for name, site in reversed(self.plan.blocks.items()):
            gate, adds = float(self.gates[site]), self.plan.is_added(name)
            if gate == 0.0:
                put_module(self.small, name, Skip(adds))
            elif gate != 1.0:
                put_module(self.small, name, Scaled(self.module(name), gate, adds))

    def beside_selection(self, name: str) -> bool:
        """Whether torch's fused encoder layer, which plain attention allows, would miss a selection."""
        owner = self.small.get_submodule(name.rpartition(".")[0])
        return any(isinstance(module, SelectiveLinear) for module in owner.children())


def _cut(parameter: nn.Parameter | None, rows: Tensor) -> nn.Parameter | None:
    return None if parameter is None else nn.Parameter(parameter[rows.to(parameter.device)])


def _slice_norm(norm: Any, rows: Tensor) -> None:
    norm.num_features = len(rows)
    norm.weight, norm.bias = _cut(norm.weight, rows), _cut(norm.bias, rows)
    for name in ("running_mean", "running_var"):
        value = getattr(norm, name)
        if value is not None:
            setattr(norm, name, value.index_select(0, rows.to(value.device)))


def _plain(attention: HeadAttention) -> nn.MultiheadAttention:
    """The same attention as torch's own module."""
    plain = nn.MultiheadAttention(
        attention.embed_dim,
        attention.num_heads,
        attention.dropout,
        bias=attention.in_proj_bias is not None,
        batch_first=attention.batch_first,
    ).to(attention.in_proj_weight)
    plain.load_state_dict(attention.state_dict())
    return plain.train(attention.training)


def count_nonzero(net: nn.Module) -> int:
    """Parameters of a plain network that are not 0, biases and normalisation included.

    What gates leave open may be 0 all the same: a weight that was pruned before, or one that underflowed.
    This is the count that needs no gates.

    Args:
        net: Any network; parameters that layers share count once.
    """
    return sum(int(torch.count_nonzero(parameter)) for parameter in net.parameters())


def count_macs(net: nn.Module, example: tuple[Any, ...]) -> float:
    """Multiply-accumulates an example of a plain network, counted on its layers as they run.

    Args:
        net: Any network.
        example: Its arguments, one row or more.
    """
    total, handles, rows = 0.0, [], rows_of(example)

    def count(module: Any, args: Any, kwargs: Any, out: Any) -> None:
        nonlocal total
        if isinstance(module, nn.Linear):
            total += out.numel() * module.in_features / rows
        elif isinstance(module, nn.Conv1d | nn.Conv2d):
            total += out.numel() * math.prod(module.weight.shape[1:]) / rows
        else:
            heads = module.num_heads
            width = module.head_dim * heads
            key = args[1] if len(args) > 1 else kwargs["key"]
            queries, keys = out[0].numel() / module.embed_dim / rows, key.numel() / module.embed_dim / rows
            length = key.shape[-2 if module.batch_first or key.dim() == 2 else 0]
            total += width * (2 * module.embed_dim * (queries + keys) + 2 * queries * length)

    inside = {m.out_proj for m in net.modules() if isinstance(m, HeadAttention | nn.MultiheadAttention)}
    for module in net.modules():
        kinds = nn.Linear | nn.Conv1d | nn.Conv2d | HeadAttention | nn.MultiheadAttention
        if isinstance(module, kinds) and module not in inside:
            handles.append(module.register_forward_hook(count, with_kwargs=True))
    try:
        with torch.no_grad(), evaluating(net):
            net(*example)
    finally:
        for handle in handles:
            handle.remove()
    return total
