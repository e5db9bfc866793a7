r"""The part of a network that is worth computing while it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.network.plan import GatePlan

__all__ = ["LiveLayer", "live_layers"]


@dataclass(frozen=True)
class LiveLayer:
    """The part of a layer that is computed.

    Attributes:
        rows: Output features, ``torch.long``; ``None`` for all.
        columns: Input features that are read; ``None`` for all.
        select: Where these stand in the input that comes, where that holds more.
    """

    rows: Tensor | None
    columns: Tensor | None
    select: Tensor | None


def live_layers(plan: GatePlan, awake: Mapping[str, Tensor]) -> dict[str, LiveLayer]:
    """Rows and columns of each layer that matter when some gates are shut for good.

    A unit whose gate is shut, or that only shut gates read, is not computed, where it can be taken out of
    the tensor that holds it; see :class:`~l0bayes.network.UnitTrace`. A layer keeps one output and one
    input where all are shut. Heads and blocks are computed whole.

    Args:
        plan: The network's gates.
        awake: Whether each gate may be open, by site, ``torch.bool`` of the site's shape.

    Returns:
        Layers that are computed in part, by name.
    """
    gates = {site: value.float().cpu() for site, value in awake.items()}
    present = _present(plan, gates)
    live: dict[str, LiveLayer] = {}
    for name, layer in plan.trace.layers.items():
        rows = torch.nonzero(present[layer.outputs]).flatten()
        made = None if len(rows) == len(layer.outputs) else rows
        if not layer.kind.can_sleep(layer.module):
            continue
        if layer.kind.reads(layer.module):
            comes = torch.nonzero(present[layer.inputs]).flatten()
            read = present[layer.inputs].clone()
            for factor in plan.inputs.get(name, ()):
                read &= factor.of(gates) > 0
            columns = torch.nonzero(read).flatten() if bool(read.any()) else comes[:1]
            select = None if len(columns) == len(comes) else torch.searchsorted(comes, columns)
            part = LiveLayer(made, None if len(columns) == len(layer.inputs) else columns, select)
        else:
            part = LiveLayer(made, None, None)
        if part.rows is not None or part.columns is not None:
            live[name] = part
    return live


def _present(plan: GatePlan, gates: Mapping[str, Tensor]) -> Tensor:
    """Whether each unit is computed; the last entry, for features that are no units, is true."""
    trace = plan.trace
    present = torch.ones(trace.size + 1, dtype=torch.bool)
    for name, layer in trace.layers.items():
        for factor in plan.outputs.get(name, ()):
            present[layer.outputs] &= factor.of(gates) > 0
    for unit, readers in plan.closable.items():
        present[unit] &= any(bool(gates[site][position] > 0) for site, position in readers)
    ends = [] if trace.outputs is None else trace.outputs.tolist()
    heads = [unit for one in trace.heads.values() for unit in one.units.tolist()]
    stays = [-1, *trace.fixed, *trace.mixed, *ends, *heads]
    for layer in trace.layers.values():
        if not layer.kind.can_sleep(layer.module):
            stays += [*layer.inputs.tolist(), *layer.outputs.tolist()]
    present[torch.tensor(stays)] = True
    for layer in trace.layers.values():
        if not bool(present[layer.outputs].any()):
            present[layer.outputs[0]] = True
    return present
