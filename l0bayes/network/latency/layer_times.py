r"""Measured times of layers by how many units they make and read."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.network.units import TracedLayer

__all__ = ["LayerTimes", "Stopwatch", "measured_layers"]

Stopwatch = Callable[[Sequence[tuple[nn.Module, tuple[Any, ...]]]], Sequence[float | None]]
"""From modules with their arguments to the seconds of a run of each; ``None`` for one that does not run."""

# Shares of its units at which a layer is measured, beside a single one.
_WIDTHS = (1 / 8, 1 / 4, 1 / 2, 1.0)


@dataclass(frozen=True)
class _Grid:
    made: list[int]
    read: list[int]
    seconds: list[list[float]]


class LayerTimes(nn.Module):
    """Times of layers, interpolated between the numbers of units at which they were measured.

    Args:
        grids: For each layer numbers of units made, of units read, and seconds by both.
    """

    made: Tensor
    read: Tensor
    seconds: Tensor

    def __init__(self, grids: Sequence[tuple[list[int], list[int], list[list[float]]]]) -> None:
        super().__init__()
        size = len(_WIDTHS) + 1
        for place, name in enumerate(("made", "read")):
            rows = [_filled(grid[place], size) for grid in grids]
            self.register_buffer(name, torch.tensor(rows, dtype=torch.float64).reshape(-1, size))
        times = [_filled([_filled(row, size) for row in grid[2]], size) for grid in grids]
        self.register_buffer("seconds", torch.tensor(times, dtype=torch.float64).reshape(-1, size, size))

    def forward(self, made: Tensor, read: Tensor) -> Tensor:
        """Seconds of each layer.

        Args:
            made: Numbers of units that they make, of shape ``(layers,)``; may be fractions.
            read: Numbers of units that they read, likewise.
        """
        row, up = _place(self.made.to(made), made)
        column, right = _place(self.read.to(read), read)
        layer = torch.arange(len(made), device=made.device)
        times = self.seconds.to(made)
        low = torch.lerp(times[layer, row, column], times[layer, row, column + 1], right)
        high = torch.lerp(times[layer, row + 1, column], times[layer, row + 1, column + 1], right)
        return torch.lerp(low, high, up)


def _filled(values: list[Any], size: int) -> list[Any]:
    return values + [values[-1]] * (size - len(values))


def _place(levels: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """The interval in which each number lies, and how far into it."""
    found = torch.searchsorted(levels.contiguous(), at.detach()[:, None].contiguous(), right=True)[:, 0] - 1
    last = (levels < levels[:, -1:]).sum(1) - 1  # of levels that are repeated at the end
    found = torch.minimum(found, last.clamp(min=0)).clamp(min=0)
    low = levels.gather(1, found[:, None])[:, 0]
    high = levels.gather(1, found[:, None] + 1)[:, 0]
    return found, ((at - low) / (high - low).clamp(min=1.0)).clamp(0.0, 1.0)


def measured_layers(
    layers: Mapping[str, TracedLayer], rows: int, stopwatch: Stopwatch
) -> tuple[list[str], LayerTimes]:
    """Measure every layer by itself that runs by itself; equal layers once.

    Args:
        layers: The layers of a network.
        rows: Batch size.
        stopwatch: Tells the times.

    Returns:
        Names of the layers that were measured, and their times.
    """
    names, grids, seen = [], [], dict[Any, _Grid | None]()
    for name, layer in layers.items():
        if not _runs_alone(layer):
            continue
        shapes = tuple((key, p.shape) for key, p in layer.module.named_parameters())
        key = (type(layer.module), layer.module.extra_repr(), shapes, layer.shape)
        if key not in seen:
            seen[key] = _grid(layer, rows, stopwatch)
        grid = seen[key]
        if grid is not None:
            names.append(name)
            grids.append((grid.made, grid.read, grid.seconds))
    return names, LayerTimes(grids)


def _runs_alone(layer: TracedLayer) -> bool:
    kind, module = layer.kind, layer.module
    if not layer.shape:
        return False
    units = kind.reads(module) or kind.one_to_one(module)
    return kind.heads(module) > 0 or (units and kind.resizable(module) and not kind.mixes(module))


def _grid(layer: TracedLayer, rows: int, stopwatch: Stopwatch) -> _Grid | None:
    kind, module = layer.kind, layer.module
    made, read = _levels(len(layer.outputs)), _levels(len(layer.inputs))
    same = kind.one_to_one(module) or kind.heads(module) > 0
    if heads := kind.heads(module):
        made = _levels(heads)
        cases = [(_with_heads(layer, one), len(layer.inputs)) for one in made]
    elif same:
        cases = [(_cut(layer, one, one), one) for one in made]
    else:
        cases = [(_cut(layer, m, r), r) for m in made for r in read]
    try:
        pairs = [(one, kind.arguments(one, _input(layer, rows, width))) for one, width in cases]
        found = list(stopwatch(pairs))
    except (RuntimeError, ValueError, IndexError):
        return None
    if any(one is None for one in found):
        return None
    times = [float(one or 0.0) for one in found]
    if same:
        return _Grid(made, made[-1:], [[one] for one in times])
    return _Grid(made, read, [times[at * len(read) : (at + 1) * len(read)] for at in range(len(made))])


def _with_heads(layer: TracedLayer, count: int) -> nn.Module:
    module = copy.deepcopy(layer.module)
    heads = torch.arange(layer.kind.heads(module))
    with torch.no_grad():
        layer.kind.keep_heads(module, (heads < count).double())
    return module.eval()


def _levels(count: int) -> list[int]:
    return sorted({1, *(max(1, round(share * count)) for share in _WIDTHS)})


def _cut(layer: TracedLayer, made: int, read: int) -> nn.Module:
    module = copy.deepcopy(layer.module)
    with torch.no_grad():
        return layer.kind.cut(module, torch.arange(made), torch.arange(read), None).eval()


def _input(layer: TracedLayer, rows: int, read: int) -> Tensor:
    shape = list(layer.shape)
    if layer.batch_dim >= 0:
        shape[layer.batch_dim] = rows
    shape[layer.kind.unit_dim(layer.module)] = read
    like = next((p for p in layer.module.parameters()), None)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return x if like is None else x.to(like)
