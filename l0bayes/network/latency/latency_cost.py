r"""The time of a run as the cost of a gated network: measured, interpolated, measured again near the end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from l0bayes.infer.randomness import private_randomness
from l0bayes.infer.targets.cost_registry import register_cost
from l0bayes.network.export import shrink
from l0bayes.network.latency.layer_times import LayerTimes, Stopwatch, measured_layers
from l0bayes.network.latency.stopwatch import pair_times, threads_for
from l0bayes.network.layer_form import LayerForm
from l0bayes.network.plan import GatePlan
from l0bayes.network.rivals.thin_network import thin_gates
from l0bayes.network.saved.fresh_rows import fresh_rows

__all__ = ["LatencyCost", "LatencyState", "PlannedNetwork"]

# Shares of all widths at which the whole network is measured.
_SHARES = (1.0, 1 / 2, 1 / 4, 1 / 8)
# What counts as a network that is still whole, for which the correction says nothing, and how far it may go.
_WHOLE = 0.95
_BENT = (0.3, 3.0)
# Relative error of a told time below which it need not be told otherwise.
_CLOSE = 0.03


@runtime_checkable
class PlannedNetwork(Protocol):
    """A model that holds a network laid out for gates, such as :class:`~l0bayes.models.SparseNetwork`."""

    # A method: parts of a module are no attributes that a check of a protocol finds from Python 3.12 on.
    def planned_network(self) -> tuple[nn.Module, GatePlan, tuple[Any, ...]]:
        """The network, its gates, and arguments to run it with."""
        ...


class LatencyState(nn.Module):
    """What was measured.

    Args:
        times: Times of layers.
        rest: Seconds of the whole network beside those of its layers, by the share of features that are made.
        dense: Seconds that are told of the dense network.
    """

    places: Tensor
    rest: Tensor
    dense: Tensor
    bend: Tensor

    def __init__(self, times: LayerTimes, rest: Mapping[float, float], dense: float) -> None:
        super().__init__()
        self.times = times
        points = sorted(rest.items())
        self.register_buffer("places", torch.tensor([place for place, _ in points], dtype=torch.float64))
        self.register_buffer("rest", torch.tensor([value for _, value in points], dtype=torch.float64))
        self.register_buffer("dense", torch.tensor(dense, dtype=torch.float64))
        self.register_buffer("bend", torch.ones((), dtype=torch.float64))


class LatencyCost:
    r"""Time of a run of a network, as a share of the dense network's, by the probabilities of its gates.

    .. math:: T = \sum_l p_l\, t_l(E[M_l], E[R_l]) + \rho(x), \qquad c = (T / T_{\text{dense}})^{\kappa}

    :math:`t_l` is a table of layer l by numbers of units that it makes and reads, measured at several
    widths and interpolated; p the probability that its blocks are there. What runs beside layers
    (activations, pooling, selections, Python) is :math:`\rho`, by the share x of features that are made:
    what whole networks of several widths take more than their layers. With zeros and ones it tells the
    time of the network that is left. That network is then built and measured, by :meth:`settle_cost`, and
    :math:`\kappa`, 1 at first, is set so that both agree.

    Times are the processor's for one thread, unless another number is asked for.

    Args:
        kind: Name of the cost.
        net: The network.
        plan: Its gates.
        example: Its arguments.
        rows: Batch size.
        threads: Number of threads.
        stopwatch: Tells the times; by default they are measured.

    Raises:
        ValueError: If the network does not run so many rows.
    """

    def __init__(
        self,
        kind: str,
        net: nn.Module,
        plan: GatePlan,
        example: tuple[Any, ...],
        rows: int = 1,
        threads: int = 1,
        stopwatch: Stopwatch = pair_times,
    ) -> None:
        self.cost_kinds = (kind,)
        self.net, self.plan, self.threads, self.stopwatch = net, plan, threads, stopwatch
        self._inputs = fresh_rows(example, rows)
        self._shapes = {site: spec.shape for site, spec in plan.specs.items()}
        with threads_for(threads), private_randomness(0):
            names, times = measured_layers(plan.trace.layers, rows, stopwatch)
            self._forms = {name: LayerForm(layer, plan) for name, layer in plan.trace.layers.items()}
            self._timed = [list(self._forms).index(name) for name in names]
            self._positions = [float(layer.positions or 1) for layer in plan.trace.layers.values()]
            self._features = sum(
                count * len(layer.outputs)
                for count, layer in zip(self._positions, plan.trace.layers.values(), strict=True)
            )
            rest: dict[float, float] = {}
            dense = 0.0
            for share in _SHARES:
                opened = thin_gates(plan, share)
                (whole,) = stopwatch([(self._left(opened), self._inputs)])
                if whole is None:
                    if share == 1.0:
                        raise ValueError(f"target {kind}: the network does not run a batch of {rows} rows")
                    continue
                layers, features = self._parts(times, opened, True)
                rest.setdefault(float(features), whole - float(layers))
                dense = dense or whole
        self.cost_state = LatencyState(times, rest, dense).to(next(net.parameters()).device)

    def cost_share(self, kind: str, active: Mapping[str, Tensor]) -> Tensor:
        """Expected time over that of the dense network.

        Args:
            kind: The cost's kind.
            active: P(z != 0) by site.
        """
        return self._share(active, False) ** self.cost_state.bend.to(_like(active))

    def deployed_share(self, kind: str, active: Mapping[str, Tensor]) -> Tensor:
        """The time of a decided network over that of the dense one.

        Args:
            kind: The cost's kind.
            active: Zeros and ones by site.
        """
        return self._share(active, True) ** self.cost_state.bend.to(_like(active))

    def smallest_share(self, kind: str) -> float:
        """The share with one gate open in every site, and blocks closed.

        Args:
            kind: The cost's kind.
        """
        return float(self._share(self._smallest(), True))

    def settle_cost(self, kind: str, opened: Mapping[str, Tensor]) -> bool:
        """Build the network that is left, measure it beside the dense one, and tell times accordingly.

        Args:
            kind: The cost's kind.
            opened: Zeros and ones by site.

        Returns:
            Whether the time was told wrongly.
        """
        told = float(self._share(opened, True))
        if not 0.0 < told < _WHOLE:
            return False
        found = self.measured_share(opened)
        if not 0.0 < found < 1.0:
            return False
        before = float(self.cost_state.bend)
        bend = min(max(math.log(found) / math.log(told), _BENT[0]), _BENT[1])
        self.cost_state.bend.fill_(bend)
        return abs(math.log(found) - before * math.log(told)) > _CLOSE

    def measured_share(self, opened: Mapping[str, Tensor]) -> float:
        """Time of the network that is left over that of the dense one, both measured now.

        Args:
            opened: Zeros and ones by site.
        """
        ones = {site: torch.ones(shape, dtype=torch.float64) for site, shape in self._shapes.items()}
        with threads_for(self.threads), private_randomness(0):
            nets = (self._left(ones), self._left(opened))
            dense, small = self.stopwatch([(net, self._inputs) for net in nets])
        return math.nan if dense is None or small is None else small / dense

    def _left(self, opened: Mapping[str, Tensor]) -> nn.Module:
        gates = {site: value.detach().to("cpu", torch.float64) for site, value in opened.items()}
        return shrink(self.net, self.plan, {}, gates).eval()

    def _share(self, active: Mapping[str, Tensor], decided: bool) -> Tensor:
        layers, features = self._parts(self.cost_state.times, active, decided)
        total = layers + self._beside(features)
        dense = self.cost_state.dense.to(total)
        return (total / dense).clamp(min=1e-4)

    def _parts(self, times: LayerTimes, active: Mapping[str, Tensor], decided: bool) -> tuple[Tensor, Tensor]:
        """Seconds of all layers, and the share of features that are made."""
        one = _like(active)
        made, parts, read, there = [], [], [], []
        for form in self._forms.values():
            presence = form.presence(active, one, decided)
            heads = presence.heads
            made.append(presence.made.sum())
            parts.append(made[-1] if heads is None else heads.sum())
            read.append(presence.read.sum())
            blocks = [active[site].squeeze(-1) for site in form.blocks]
            there.append(math.prod(blocks, start=one))
        if not made:
            return one * 0.0, one
        makes, counts, reads, present = (torch.stack(rows) for rows in (made, parts, read, there))
        seconds = times(counts[self._timed], reads[self._timed])
        positions = makes.new_tensor(self._positions)
        features = (positions * makes * present).sum() / self._features
        return (seconds * present[self._timed]).sum(), features

    def _beside(self, features: Tensor) -> Tensor:
        places, rest = self.cost_state.places.to(features), self.cost_state.rest.to(features)
        if len(places) == 1:
            return rest[0]
        at = torch.searchsorted(places, features.detach().reshape(1), right=True) - 1
        at = at.clamp(0, len(places) - 2)  # of one entry: a captured graph reads no numbers
        low, high = places.index_select(0, at), places.index_select(0, at + 1)
        way = ((features - low) / (high - low)).clamp(0.0, 1.0)
        return torch.lerp(rest.index_select(0, at), rest.index_select(0, at + 1), way)[0]

    def _smallest(self) -> dict[str, Tensor]:
        found = {}
        for site, shape in self._shapes.items():
            gates = torch.zeros(math.prod(shape), dtype=torch.float64)
            if self.plan.specs[site].placement != "block":
                gates[0] = 1.0
            found[site] = gates.reshape(shape)
        return found


def _like(active: Mapping[str, Tensor]) -> Tensor:
    for values in active.values():
        return values.new_ones(())
    return torch.ones((), dtype=torch.float64)


def _reason_not(model: Any) -> str | None:
    if isinstance(model, PlannedNetwork):
        return None
    return f"needs a network laid out for gates, such as SparseNetwork; got {type(model).__name__}"


def _latency(model: PlannedNetwork, guide: Any, kind: str, option: str) -> LatencyCost:
    """The cost of ``target="latency:0.3@100"``: batch size, and perhaps threads behind a slash."""
    rows, _, threads = (option or "1").partition("/")
    numbers = [one.strip() for one in (rows, threads or "1")]
    if not all(one.isdecimal() and int(one) > 0 for one in numbers):
        raise ValueError(
            f"target 'latency:share@batch' takes a batch size of 1 or more, and a number of threads behind a "
            f"slash, such as 'latency:0.3@100' or 'latency:0.3@100/2'; got {option!r}"
        )
    net, plan, example = model.planned_network()
    return LatencyCost(kind, net, plan, example, int(numbers[0]), int(numbers[1]))


register_cost("latency", _latency, _reason_not)
