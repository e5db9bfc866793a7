r"""A network run with its gates: what multiplies what, and where."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from operator import attrgetter
from typing import Any

from torch import Tensor, nn

from l0bayes.network.kinds import Selective
from l0bayes.network.live import LiveLayer
from l0bayes.network.parameter_slots import ParameterSlots
from l0bayes.network.plan import GatePlan
from l0bayes.network.structure import arguments_of
from l0bayes.network.units import TracedLayer

__all__ = ["gated"]

# Batch size from which multiplying a layer's weights by gates is taken to be cheaper than its inputs.
_TYPICAL_BATCH = 64


def gated(
    net: nn.Module,
    plan: GatePlan,
    parameters: Mapping[str, Tensor],
    gates: Mapping[str, Tensor],
    inputs: tuple[Any, ...],
    live: Mapping[str, LiveLayer] | None = None,
    slots: ParameterSlots | None = None,
) -> Any:
    r"""Run a network with given parameters and gates.

    Gates on features multiply the input of the layers that read them, or, where that is cheaper and the
    same, the layers' weights. Blocks with their residual connection inside become
    :math:`x + z\,(f(x) - x)`, others :math:`z f(x)`.

    Args:
        net: The prepared network. Only running statistics change, in training mode.
        plan: Its gates.
        parameters: Values of parameters by name; others are the network's own.
        gates: Values by site, of the site's shape, or with one leading dimension of examples for gates
            that are drawn for each example (not on weights or groups).
        inputs: Arguments of the network.
        live: Layers that are computed in part, since gates of the rest are shut; see
            :func:`~l0bayes.network.live_layers`.
        slots: Where the network's parameters stand, for whoever runs it often; by default found anew.

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
        base = values.get(f"{name}.weight")
        base = attrgetter(f"{name}.weight")(net) if base is None else base
        values[f"{name}.weight"] = base * gates[site]
    live = live or {}
    running = _slice_parameters(net, plan, values, live)
    with ExitStack() as stack:
        for name, read in plan.inputs.items():
            part, layer = live.get(name), plan.trace.layers[name]
            if part is not None and part.select is not None:
                hook = _select(part.select, layer.kind.unit_dim(layer.module))
                stack.callback(net.get_submodule(name).register_forward_pre_hook(hook).remove)
            if not read:
                continue
            multiplier = math.prod((factor.of(gates) for factor in read[1:]), start=read[0].of(gates))
            if part is not None and part.columns is not None:
                multiplier = multiplier.index_select(-1, part.columns.to(multiplier.device))
            if multiplier.dim() == 1 and _folds(layer):
                _fold(multiplier, net, layer, values)
            else:
                hook = _multiply(multiplier, layer)
                stack.callback(net.get_submodule(name).register_forward_pre_hook(hook).remove)
        for name, site in plan.blocks.items():
            before, after = _through(gates[site], name, plan)
            # First of all, for what a shut block hands on is its input without the gates of its readers.
            handle = net.get_submodule(name).register_forward_pre_hook(before, prepend=True)
            stack.callback(handle.remove)
            stack.callback(net.get_submodule(name).register_forward_hook(after).remove)
        for name, site in plan.heads.items():
            kind = plan.trace.layers[name].kind
            stack.enter_context(kind.heads_gated(net.get_submodule(name), gates[site]))
        for other in plan.trace.others.values():
            # What a hook leaves there holds a graph, or is a stand-in while a graph is captured.
            for key in other.recomputed:
                module = net.get_submodule(other.name)
                stack.callback(setattr, module, key, vars(module)[key])
        args, named = arguments_of(inputs)
        output = (slots or ParameterSlots(net)).call(values, args, named)
    for name, axis, rows in running:
        attrgetter(name)(net).index_copy_(axis, rows, values[name])
    for factor in plan.output:
        values_at = _beside(factor.of(gates), output, plan.trace.output_dim, 0, "the network's output")
        output = output * values_at.to(output.dtype)
    return output


def _slice_parameters(
    net: nn.Module, plan: GatePlan, values: dict[str, Tensor], live: Mapping[str, LiveLayer]
) -> list[tuple[str, int, Tensor]]:
    """Cut parameters and buffers to what is computed; returns the buffers to be put back, and where."""
    running = []
    for name, part in live.items():
        module = net.get_submodule(name)
        buffers = module._buffers
        for key, axes in plan.trace.layers[name].kind.axes(module).items():
            full = values.get(f"{name}.{key}")
            full = getattr(module, key) if full is None else full
            if full is None:
                continue
            if part.rows is not None and axes.out is not None:
                rows = part.rows.to(full.device)
                full = full.index_select(axes.out, rows)
                if key in buffers:
                    running.append((f"{name}.{key}", axes.out, rows))
            if part.columns is not None and axes.into is not None:
                full = full.index_select(axes.into, part.columns.to(full.device))
            values[f"{name}.{key}"] = full
    return running


def _select(index: Tensor, dim: int) -> Callable[..., Any]:
    def hook(_: nn.Module, args: Any) -> Any:
        x, *rest = args
        return (x.index_select(dim, index.to(x.device)), *rest)

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


def _folds(layer: TracedLayer) -> bool:
    """Whether gates are multiplied into the parameters rather than into what the layer reads."""
    if not layer.kind.folds(layer.module):
        return False
    if layer.reads_data:  # else data would need gradients, a matrix product more
        return True
    return layer.numel_reading < _TYPICAL_BATCH * layer.positions * len(layer.inputs)


def _fold(multiplier: Tensor, net: nn.Module, layer: TracedLayer, values: dict[str, Tensor]) -> None:
    for key, axes in layer.kind.axes(layer.module).items():
        if axes.into is not None:
            name = f"{layer.name}.{key}"
            base = values.get(name)
            base = attrgetter(name)(net) if base is None else base
            values[name] = base * axes.beside(multiplier, base.shape)


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


def _multiply(gates: Tensor, layer: TracedLayer) -> Callable[..., Any]:
    dim = layer.kind.unit_dim(layer.module)

    def hook(module: nn.Module, args: Any) -> Any:
        x, *rest = args
        values = gates
        if isinstance(module, Selective):  # it selects what the gates are of
            every = gates.new_ones(*gates.shape[:-1], x.shape[dim])
            values = every.index_copy(-1, module.index, gates)
        return (x * _beside(values, x, dim, layer.batch_dim, layer.name).to(x.dtype), *rest)

    return hook


def _through(gate: Tensor, name: str, plan: GatePlan) -> tuple[Callable[..., None], Callable[..., Tensor]]:
    adds, batch_dim = plan.is_added(name), plan.trace.blocks[name].batch_dim
    held: list[Tensor] = []

    def before(_: nn.Module, args: Any) -> None:
        held.append(args[0])

    def after(_: nn.Module, args: Any, output: Tensor) -> Tensor:
        x = held.pop()
        each = gate.to(output.dtype)
        if gate.dim() > 1:
            _check_batch(len(gate), output, batch_dim, name)
            each = each.reshape([-1 if dim == batch_dim else 1 for dim in range(output.dim())])
        return each * output if adds else x + each * (output - x)

    return before, after
