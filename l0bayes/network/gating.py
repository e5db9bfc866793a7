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
from l0bayes.network.live import LiveLayer
from l0bayes.network.plan import Factor, GatePlan
from l0bayes.network.select import SelectiveConv1d, SelectiveConv2d, SelectiveLinear
from l0bayes.network.units import layers_of, put_module
from l0bayes.sites import SampledGate

__all__ = ["ParameterLink", "gated", "link_parameters", "prepare", "recalibrate_norms"]

# Batch size from which multiplying a layer's weights by gates is taken to be cheaper than its inputs.
_TYPICAL_BATCH = 64


def prepare(net: nn.Module) -> nn.Module:
    """A copy of a network whose attention can be gated.

    Args:
        net: Any module.

    Raises:
        TypeError: If it is what deploying another one left.
    """
    for name, module in net.named_modules():
        if isinstance(module, SelectiveLinear | SelectiveConv1d | SelectiveConv2d):
            raise TypeError(
                f"{name!r} is a {type(module).__name__}, which reads part of its input: this network was "
                "deployed before. Gate the network that it was deployed from"
            )
    new = copy.deepcopy(net)
    if isinstance(new, nn.MultiheadAttention):
        return HeadAttention(new)
    for name, module in list(new.named_modules()):
        if isinstance(module, nn.MultiheadAttention):
            put_module(new, name, HeadAttention(module))
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
    live: Mapping[str, LiveLayer] | None = None,
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
        live: Layers of which a part is computed, since gates of the rest are shut; see
            :func:`~l0bayes.network.live_layers`.

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
    live = live or {}
    norms = _slice_parameters(net, values, live)
    with ExitStack() as stack:
        for name, read in plan.inputs.items():
            part, layer = live.get(name), plan.trace.layers[name]
            if part is not None and part.select is not None:
                hook = _select(part.select, getattr(layer.module, "kernel_size", ()))
                stack.callback(net.get_submodule(name).register_forward_pre_hook(hook).remove)
            if not read:
                continue
            multiplier = math.prod((factor.of(gates) for factor in read[1:]), start=read[0].of(gates))
            if part is not None and part.columns is not None:
                multiplier = multiplier.index_select(-1, part.columns.to(multiplier.device))
            if _folds(layer) and multiplier.dim() == 1:
                weight = values[f"{name}.weight"]
                values[f"{name}.weight"] = weight * multiplier.reshape(-1, *[1] * (weight.dim() - 2))
            else:
                hook = _multiply(multiplier, name, layer.batch_dim)
                stack.callback(net.get_submodule(name).register_forward_pre_hook(hook).remove)
        for name, site in plan.blocks.items():
            before, after = _through(gates[site], name, plan)
            # First of all, for what a shut block hands on is its input without the gates of its readers.
            handle = net.get_submodule(name).register_forward_pre_hook(before, prepend=True)
            stack.callback(handle.remove)
            stack.callback(net.get_submodule(name).register_forward_hook(after).remove)
        for name, site in plan.heads.items():
            attention = net.get_submodule(name)
            stack.callback(setattr, attention, "head_gates", None)
            attention.head_gates = gates[site]
        output = functional_call(net, values, inputs)
    for name, rows in norms:
        attrgetter(name)(net).index_copy_(0, rows, values[name])
    for factor in plan.output:
        output = output * _beside(factor.of(gates), output, plan.trace.output_dim, 0, "the network's output")
    return output


def _slice_parameters(
    net: nn.Module, values: dict[str, Tensor], live: Mapping[str, LiveLayer]
) -> list[tuple[str, Tensor]]:
    """Cut parameters to what is computed, in place; returns the running statistics to be put back."""
    running = []
    for name, part in live.items():
        norm = isinstance(net.get_submodule(name), nn.modules.batchnorm._BatchNorm)
        for key in ("weight", "bias", *(("running_mean", "running_var") if norm else ())):
            full = values.get(f"{name}.{key}")
            full = attrgetter(f"{name}.{key}")(net) if full is None else full
            if full is None:
                continue
            if part.rows is not None:
                rows = part.rows.to(full.device)
                full = full.index_select(0, rows)
                if key.startswith("running"):
                    running.append((f"{name}.{key}", rows))
            if part.columns is not None and key == "weight":
                full = full.index_select(1, part.columns.to(full.device))
            values[f"{name}.{key}"] = full
    return running


def _select(index: Tensor, kernel: tuple[int, ...]) -> Callable[..., Any]:
    def hook(_: nn.Module, args: Any) -> Any:
        x, *rest = args
        return (x.index_select(-1 - len(kernel), index.to(x.device)), *rest)

    return hook


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


def _beside(gates: Tensor, x: Tensor, dim: int, batch_dim: int, name: str) -> Tensor:
    """Gates of features, perhaps of each example's, as they multiply a tensor with features along ``dim``."""
    shape = [1] * x.dim()
    shape[dim] = gates.shape[-1]
    if gates.dim() > 1:
        _check_batch(len(gates), x, batch_dim, name)
        shape[batch_dim] = len(gates)
    return gates.reshape(shape)


def _check_batch(count: int, x: Tensor, batch_dim: int, name: str) -> None:
    if batch_dim < 0 or x.shape[batch_dim] != count:
        raise ValueError(
            f"gates for each of {count} examples cannot be used at {name!r}, where activations of "
            f"shape {tuple(x.shape)} do not count examples; draw gates once a minibatch"
        )


def _multiply(gates: Tensor, name: str, batch_dim: int) -> Callable[..., Any]:
    def hook(module: nn.Module, args: Any) -> Any:
        x, *rest = args
        space = {nn.Conv1d: 1, nn.Conv2d: 2}
        after = next((count for kind, count in space.items() if isinstance(module, kind)), 0)
        return (x * _beside(gates, x, -1 - after, batch_dim, name), *rest)

    return hook


def _through(gate: Tensor, name: str, plan: GatePlan) -> tuple[Callable[..., None], Callable[..., Tensor]]:
    adds, batch_dim = plan.is_added(name), plan.trace.blocks[name].batch_dim
    held: list[Tensor] = []

    def before(_: nn.Module, args: Any) -> None:
        held.append(args[0])

    def after(_: nn.Module, args: Any, output: Tensor) -> Tensor:
        x = held.pop()
        each = gate
        if gate.dim() > 1:
            _check_batch(len(gate), output, batch_dim, name)
            each = gate.reshape([-1 if dim == batch_dim else 1 for dim in range(output.dim())])
        return each * output if adds else x + each * (output - x)

    return before, after


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
