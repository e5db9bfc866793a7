r"""A network run with its gates: what multiplies what, and where."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from l0bayes.network.attention import HeadAttention
from l0bayes.network.plan import Factor, GatePlan
from l0bayes.network.units import layers_of
from l0bayes.sites import SampledGate

__all__ = ["ParameterLink", "gated", "link_parameters", "prepare", "recalibrate_norms"]

# Batch size from which multiplying a layer's weights by gates is taken to be cheaper than its inputs.
_TYPICAL_BATCH = 64


def prepare(net: nn.Module) -> nn.Module:
    """A copy of a network whose attention can be gated.

    Args:
        net: Any module.
    """
    new = copy.deepcopy(net)
    if isinstance(new, nn.MultiheadAttention):
        return HeadAttention(new)
    for name, module in list(new.named_modules()):
        if isinstance(module, nn.MultiheadAttention):
            owner, _, key = name.rpartition(".")
            new.get_submodule(owner)._modules[key] = HeadAttention(module)
    return new


# ---- which gates a parameter is tied to ----------------------------------------------------------


@dataclass(frozen=True)
class ParameterLink:
    """One gate site of a parameter.

    Attributes:
        site: The site.
        shape: How its gates lie beside the parameter, where they lie in order.
        index: Gate of each entry, broadcastable to the parameter; ``None`` where ``shape`` says it.
        partial: Whether the index leaves entries out, as -1.
    """

    site: str
    shape: tuple[int, ...] | None = None
    index: Tensor | None = None
    partial: bool = False

    def of(self, sampled: Mapping[str, SampledGate]) -> SampledGate:
        """The sampled gate, laid out beside the parameter."""
        one = sampled[self.site]
        if self.index is not None:
            return one.at(self.index, self.partial)
        return one if self.shape is None else one.view(*self.shape)


def link_parameters(net: nn.Module, plan: GatePlan) -> dict[str, list[ParameterLink]]:
    """The parameters that are slabs, by name, and the gates that each is tied to.

    Args:
        net: The prepared network.
        plan: Its gates.
    """
    links: dict[str, list[ParameterLink]] = {}
    for name, module in layers_of(net).items():
        if name not in plan.trace.layers or isinstance(
            module, nn.LayerNorm | nn.modules.batchnorm._BatchNorm
        ):
            continue
        dims: dict[str, int] = {key: value.dim() for key, value in module.named_parameters()}
        for key, dim in dims.items():
            blocks = [ParameterLink(site, shape=(1,) * dim) for site in plan.blocks_around(name)]
            own = (
                _attention_links(module, key, name, plan)
                if isinstance(module, HeadAttention)
                else _layer_links(module, key, name, plan)
            )
            groups = [
                ParameterLink(f.site, index=f.index, partial=f.partial)
                for f in plan.groups.get(f"{name}.{key}", ())
            ]
            links[f"{name}.{key}"] = [*own, *groups, *blocks]
    return links


def _attention_links(module: HeadAttention, key: str, name: str, plan: GatePlan) -> list[ParameterLink]:
    site = plan.heads.get(name)
    if site is None or key == "out_proj.bias":
        return []
    heads = torch.arange(module.num_heads).repeat_interleave(module.head_dim)
    if key == "out_proj.weight":
        return [ParameterLink(site, index=heads)]
    index = heads.repeat(3)
    return [ParameterLink(site, index=index if key == "in_proj_bias" else index[:, None])]


def _layer_links(module: Any, key: str, name: str, plan: GatePlan) -> list[ParameterLink]:
    made, read = plan.outputs.get(name, []), plan.inputs.get(name, [])
    if key == "bias":
        return [_along(plan, factor, 0, 1) for factor in made]
    if isinstance(module, nn.Embedding):
        links = [_along(plan, factor, 1, 2) for factor in made]
    else:
        dim, groups = module.weight.dim(), getattr(module, "groups", 1)
        links = [_along(plan, factor, 0, dim) for factor in made]
        if groups == 1:
            links += [_along(plan, factor, 1, dim) for factor in read]
        else:
            rows = len(module.weight) // groups
            for factor in read:
                index = factor.index.reshape(groups, -1).repeat_interleave(rows, 0)
                index = index.reshape(*index.shape, *[1] * (dim - 2))
                links.append(ParameterLink(factor.site, index=index, partial=factor.partial))
    if name in plan.weight:
        links.append(ParameterLink(plan.weight[name]))
    return links


def _along(plan: GatePlan, factor: Factor, axis: int, dim: int) -> ParameterLink:
    (count,) = plan.specs[factor.site].shape
    shape = [1] * dim
    shape[axis] = len(factor.index)
    if factor.in_order and count == len(factor.index):
        return ParameterLink(factor.site, shape=tuple(shape))
    return ParameterLink(factor.site, index=factor.index.reshape(shape), partial=factor.partial)


# ---- the gated run -------------------------------------------------------------------------------


def gated(
    net: nn.Module,
    plan: GatePlan,
    parameters: Mapping[str, Tensor],
    gates: Mapping[str, Tensor],
    inputs: tuple[Any, ...],
) -> Any:
    r"""Run a network with given parameters and gates.

    Gates on features multiply the input of the layers that read them, or, where that is cheaper and the
    same, the layers' weights. Blocks with their residual connection inside become
    :math:`x + z\,(f(x) - x)`, others :math:`z f(x)`.

    Args:
        net: The prepared network; untouched but for running statistics in training mode.
        plan: Its gates.
        parameters: Values of parameters by name; others are the network's own.
        gates: Values by site, of the site's shape, or with one leading dimension of examples for gates
            that are drawn for each example (not on weights or groups).
        inputs: Arguments of the network.

    Returns:
        What the network returns.

    Raises:
        ValueError: If gates have more leading dimensions, or one where that is not possible.
    """
    each = {site: gates[site].dim() - len(spec.shape) for site, spec in plan.specs.items()}
    _check_leading(plan, each)
    values = dict(parameters)
    for parameter, factors in plan.groups.items():
        base = values.get(parameter)
        base = attrgetter(parameter)(net) if base is None else base
        for factor in factors:
            base = base * factor.of(gates)
        values[parameter] = base
    for name, site in plan.weight.items():
        values[f"{name}.weight"] = values[f"{name}.weight"] * gates[site]
    with ExitStack() as stack:
        for name, read in plan.inputs.items():
            if not read:
                continue
            multiplier = math.prod((factor.of(gates) for factor in read[1:]), start=read[0].of(gates))
            layer = plan.trace.layers[name]
            if _folds(layer) and multiplier.dim() == 1:
                weight = values[f"{name}.weight"]
                values[f"{name}.weight"] = weight * multiplier.reshape(-1, *[1] * (weight.dim() - 2))
            else:
                stack.callback(
                    net.get_submodule(name).register_forward_pre_hook(_multiply(multiplier)).remove
                )
        for name, site in plan.blocks.items():
            hook = _through(gates[site], plan.is_added(name))
            stack.callback(net.get_submodule(name).register_forward_hook(hook).remove)
        for name, site in plan.heads.items():
            attention = net.get_submodule(name)
            stack.callback(setattr, attention, "head_gates", None)
            attention.head_gates = gates[site]
        output = functional_call(net, values, inputs)
    for factor in plan.output:
        value, after = factor.of(gates), -plan.trace.output_dim - 1
        between = output.dim() - after - value.dim() if value.dim() > 1 else 0
        shape = (*value.shape[:-1], *[1] * between, value.shape[-1], *[1] * after)
        output = output * value.reshape(shape)
    return output


def _check_leading(plan: GatePlan, each: Mapping[str, int]) -> None:
    for site, leading in each.items():
        placement = plan.specs[site].placement
        if leading > 1 or (leading == 1 and placement in ("weight", "group")):
            what = "each example" if leading == 1 else "several draws at once"
            raise ValueError(
                f"gate site {site!r} has values for {what}, which gates on {placement!r} of a network do not "
                "take; draw them once a minibatch, and several particles one after the other"
            )


def _folds(layer: Any) -> bool:
    """Whether gates are multiplied into the weights rather than into what the layer reads."""
    module = layer.module
    if getattr(module, "groups", 1) > 1:
        return False
    if layer.reads_data:  # else data would need gradients, a matrix product more
        return True
    kernel = math.prod(module.weight.shape[2:]) if isinstance(module, nn.Conv1d | nn.Conv2d) else 1
    return bool(kernel * len(layer.outputs) < _TYPICAL_BATCH * layer.positions)


def _multiply(multiplier: Tensor) -> Callable[..., Any]:
    def hook(module: nn.Module, args: Any) -> Any:
        x, *rest = args
        space = {nn.Conv1d: 1, nn.Conv2d: 2}
        after = next((count for kind, count in space.items() if isinstance(module, kind)), 0)
        between = x.dim() - after - multiplier.dim() if multiplier.dim() > 1 else 0
        shape = (*multiplier.shape[:-1], *[1] * between, multiplier.shape[-1], *[1] * after)
        return (x * multiplier.reshape(shape), *rest)

    return hook


def _through(gate: Tensor, adds: bool) -> Callable[..., Any]:
    def hook(_: nn.Module, args: Any, output: Tensor) -> Tensor:
        value = gate if gate.dim() == 1 else gate.reshape(-1, *[1] * (output.dim() - 1))
        return value * output if adds else args[0] + value * (output - args[0])

    return hook


@torch.no_grad()
def recalibrate_norms(net: nn.Module, x: Tensor, batch_size: int = 500) -> None:
    """Compute the running statistics of batch normalisation anew, in place.

    Args:
        net: A plain network.
        x: Inputs, as many as make a good average.
        batch_size: Examples at a time.
    """
    norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    kept = [norm.momentum for norm in norms]
    net.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average
        norm.train()
    for rows in x.split(batch_size):
        net(rows)
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
        norm.eval()
