r"""From decided gates to a plain small network: what is shut is taken out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.network.block_stand_ins import Scaled, Skip
from l0bayes.network.head_numbers import write_numbers
from l0bayes.network.identity import put_module
from l0bayes.network.kinds import UnitAxes, layers_of
from l0bayes.network.plan import GatePlan
from l0bayes.network.preparation import copy_network
from l0bayes.network.units import TracedLayer

__all__ = ["shrink"]


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
    small = copy_network(net)
    own = dict(small.named_parameters())
    for name, parameter in own.items():  # layers that are cut keep it
        parameter.requires_grad_(name not in plan.frozen)
    for name, value in parameters.items():
        own[name].copy_(value)
    shrinker = _Shrinker(small, plan, gates)
    shrinker.fold()
    if remove:
        shrinker.remove()
    shrinker.finish()
    return small


class _Shrinker:
    def __init__(self, small: nn.Module, plan: GatePlan, gates: Mapping[str, Tensor]) -> None:
        self.small, self.plan, self.gates, self.trace = small, plan, gates, plan.trace
        self.shut_blocks = [name for name, site in plan.blocks.items() if not bool(gates[site].any())]
        self.layers = {
            name: layer
            for name, layer in self.trace.layers.items()
            if not layer.blocks.intersection(self.shut_blocks)
        }
        self.reading = {
            name: layer
            for name, layer in self.layers.items()
            if name in plan.inputs and layer.kind.reads(layer.module)
        }

        self.found: dict[str, tuple[Tensor, Tensor]] = {}

    def module(self, name: str) -> Any:
        return self.small.get_submodule(name)

    def fold(self) -> None:
        """Multiply input gates into columns, and gates on the network's outputs into the last rows."""
        for name, layer in self.reading.items():
            for factor in self.plan.inputs[name]:
                for parameter, axes in self.parameters(name, layer):
                    if axes.into is not None:
                        values = factor.of(self.gates).to(parameter)
                        parameter.mul_(axes.beside(values, parameter.shape))
        if self.plan.output:
            last = self.trace.output_layer
            assert last is not None  # refused when the gates were placed
            for factor in self.plan.output:
                for parameter, axes in self.parameters(last, self.trace.layers[last]):
                    if axes.out is not None:
                        values = factor.of(self.gates).to(parameter)
                        parameter.mul_(axes.along_out(values, parameter.dim()))

    def parameters(self, name: str, layer: TracedLayer) -> list[tuple[Tensor, UnitAxes]]:
        """Parameters of a layer and their axes."""
        module = self.module(name)
        axes = layer.kind.axes(module)
        return [(p, axes[key]) for key, p in module.named_parameters(recurse=False) if key in axes]

    def used(self, name: str, layer: TracedLayer, present: Tensor) -> Tensor:
        """Which input features a layer reads: those with a weight that is not 0 into a unit that is there."""
        made = present[layer.outputs]
        before = self.found.get(name)
        if before is None or not torch.equal(before[0], made):
            before = self.found[name] = made, layer.kind.used(self.module(name), made)
        return before[1]

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
            kind, module = layer.kind, self.module(name)
            if not kind.resizable(module):
                continue
            rows, where = torch.nonzero(present[layer.outputs]).flatten(), None
            columns = comes = torch.nonzero(present[layer.inputs]).flatten()
            if name in self.reading:
                wanted = self.used(name, layer, present) & present[layer.inputs]
                columns = torch.nonzero(wanted).flatten()
                if not len(columns):
                    columns = comes[:1]
                if len(columns) < len(comes):
                    where = torch.searchsorted(comes, columns).to(next(module.parameters()).device)
            cut = kind.cut(module, rows, columns, where)
            if cut is not module:
                put_module(self.small, name, cut)
        heads = [one for one in self.trace.heads.values() if not present[one.units].all()]
        write_numbers(self.small, heads, present)

    def finish(self) -> None:
        """Heads, blocks, and attention that lost nothing."""
        for name, site in self.plan.heads.items():
            if name in self.layers:
                self.layers[name].kind.keep_heads(self.module(name), self.gates[site])
        for name, kind in layers_of(self.small).items():
            owner = self.small.get_submodule(name.rpartition(".")[0])
            plain = kind.plain(self.module(name), owner.children())
            if plain is not self.module(name):
                put_module(self.small, name, plain)
        for name, site in reversed(self.plan.blocks.items()):
            gate, adds = float(self.gates[site]), self.plan.is_added(name)
            if gate == 0.0:
                put_module(self.small, name, Skip(adds))
            elif gate != 1.0:
                put_module(self.small, name, Scaled(self.module(name), gate, adds))
