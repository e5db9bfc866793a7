"""A small network around one layer, with places where an independent reference multiplies units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.network import LayerKind

__all__ = ["AroundLayer", "GateCase", "gate_cases"]


@dataclass(frozen=True)
class GateCase:
    """Where gates are, and which of them multiply what in the reference.

    Attributes:
        gates: Where gates go.
        before: Site of the gates that multiply what the layer reads.
        after: Site of those that multiply what it makes, behind the nonlinearity.
        features: Site of those that multiply the features that the last layer reads.
        weight: Site of those on the layer's single weights.
        heads: Site of those on the layer's heads.
    """

    gates: Mapping[str, Any]
    before: str | None = None
    after: str | None = None
    features: str | None = None
    weight: str | None = None
    heads: str | None = None


class AroundLayer(nn.Module):
    """A Linear layer that makes the units, the layer, a sigmoid, and a Linear layer that reads them.

    Args:
        layer: The layer, in evaluation mode.
        dim: Dimension of its units.
        x: A batch of what it reads, rows first. Where these are numbers of rows of a table, nothing stands in
            front of the layer.
        call: How the layer is called.
        flat: Whether the last layer reads every position of every unit; otherwise their mean.
    """

    def __init__(
        self, layer: nn.Module, dim: int, x: Tensor, call: Callable[[Any, Tensor], Tensor], flat: bool
    ) -> None:
        super().__init__()
        self.dim, self.flat, self.call = dim, flat, call
        self.front = nn.Linear(x.shape[dim], x.shape[dim]).to(x.dtype) if x.is_floating_point() else None
        self.layer = layer
        with torch.no_grad():
            made = call(layer, x)
        self.back = nn.Linear(made[0].numel() if flat else made.shape[dim], 3).to(made.dtype)

    def forward(
        self,
        x: Tensor,
        before: Tensor | None = None,
        after: Tensor | None = None,
        features: Tensor | None = None,
    ) -> Tensor:
        """Run the network, with units multiplied where that is asked for."""
        if self.front is not None:
            x = self.front(x.movedim(self.dim, -1)).tanh().movedim(-1, self.dim)
        y = self.call(self.layer, x if before is None else self._times(x, before)).sigmoid()
        y = y if after is None else self._times(y, after)
        if self.flat:
            y = y.flatten(1)
        else:
            y = y.movedim(self.dim, -1)
            y = y.mean(tuple(range(1, y.dim() - 1))) if y.dim() > 2 else y
        out: Tensor = self.back(y if features is None else y * features)
        return out

    def _times(self, x: Tensor, values: Tensor) -> Tensor:
        shape = [1] * x.dim()
        shape[self.dim] = -1
        # Units that are tied have one gate.
        return x * values.repeat_interleave(x.shape[self.dim] // len(values)).reshape(shape)


def gate_cases(kind: LayerKind, layer: nn.Module, has_front: bool) -> list[GateCase]:
    """Every placement that a layer allows, alone and beside gates of its neighbours.

    Args:
        kind: Its kind.
        layer: The layer.
        has_front: Whether a layer makes the units that it reads.
    """
    own: dict[str, GateCase] = {
        "input": GateCase({"layer": "input"}, before="layer.gate"),
        "output": GateCase({"layer": "output"}, after="layer.gate"),
        "weight": GateCase({"layer": "weight"}, weight="layer.gate"),
        "heads": GateCase({"layer": "heads"}, heads="layer.gate"),
    }
    cases = [
        case
        for placement, case in own.items()
        if placement in kind.placements and kind.reason_not_gated(layer, placement) is None
    ]
    cases += [
        replace(case, gates={**case.gates, "back": "input"}, features="back.gate")
        for case in cases
        if case.after is None
    ]
    cases.append(GateCase({"back": "input"}, features="back.gate"))
    if has_front and not kind.mixes(layer):
        if kind.hands_on(layer):
            cases.append(GateCase({"front": "output"}, after="front.gate"))
        else:
            cases.append(GateCase({"front": "output"}, before="front.gate"))
            if "output" in kind.placements:
                both = {"front": "output", "layer": "output"}
                cases.append(GateCase(both, before="front.gate", after="layer.gate"))
    return cases
