r"""A network laid out for gates: where they are, what they cost, which of them sleep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from l0bayes.infer.randomness import private_randomness
from l0bayes.models.network_deployment import cost_summary, cost_table
from l0bayes.models.network_example import network_example, refuse_unready
from l0bayes.models.sleeping_units import SleepingUnits
from l0bayes.network import (
    GatePlan,
    Gates,
    chosen_places,
    link_parameters,
    nearest_kind,
    plan_gates,
    prepare,
    round_widths,
    tensors_in,
    trace_units,
    tried_plan,
)
from l0bayes.user_warnings import warn_user

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GatedNetwork", "HasDefaultGates"]


@runtime_checkable
class HasDefaultGates(Protocol):
    """A network with a recommended placement of its gates.

    Attributes:
        default_gates: The placement.
    """

    default_gates: ClassVar[Any]


class GatedNetwork(nn.Module):
    """A copy of a network, its gates and their cost, without priors.

    Args:
        net: The dense network.
        gates: Where gates go; ``None`` for the network's own ``default_gates``, or ``"input"``.
        example: Inputs of one or two examples; ``None`` where a vector of the first layer's size will do.

    Raises:
        TypeError: If ``net`` is no module, or one layer alone.
        ValueError: If an example is needed, gates cannot be placed, or the network that would be deployed is
            not the gated one.
    """

    def __init__(self, net: nn.Module, gates: Gates | None, example: Any) -> None:
        super().__init__()
        if not isinstance(net, nn.Module):
            raise TypeError(f"net must be an nn.Module, got {type(net).__name__}")
        if not list(net.children()) or nearest_kind(net) is not None:
            raise TypeError(
                f"net is a single {type(net).__name__}, whose parts have no names; give nn.Sequential(net)"
            )
        refuse_unready(net)
        if gates is None:
            gates = net.default_gates if isinstance(net, HasDefaultGates) else "input"
        self.net = prepare(net)
        assert gates is not None
        places, groups = chosen_places(self.net, gates)
        self.example = network_example(self.net, example)
        blocks = tuple(place.name for place in places if place.placement == "block")
        trace = trace_units(self.net, self.example, blocks)
        self.plan, self.cost = tried_plan(
            self.net, lambda: plan_gates(self.net, trace, places, groups), self.example
        )
        self._warn_uncounted()
        self.links = link_parameters(self.net, self.plan)
        for name, parameter in self.net.named_parameters():
            parameter.requires_grad_(name not in self.links and name not in self.plan.frozen)
        self.awake = SleepingUnits(self.plan, self.cost)

    def planned_network(self) -> tuple[nn.Module, GatePlan, tuple[Any, ...]]:
        """The network, its gates, and arguments to run it with: what a cost of one's own starts from."""
        return self.net, self.plan, self.example

    def _warn_uncounted(self) -> None:
        unknown = [other for other in self.plan.trace.others.values() if other.uncounted]
        if unknown:
            names = (f"{o.name!r} ({type(o.module).__name__}: {', '.join(o.uncounted)})" for o in unknown)
            warn_user(
                f"multiply-accumulates of {'; '.join(names)} are unknown and no part of the network's cost"
            )

    def warn_held(self) -> None:
        """Say which layers will not get smaller, before anything is trained."""
        if held := self.plan.held:
            warn_user(
                f"gates of {', '.join(map(repr, held))} leave these units at full size, and are counted so: "
                f"smaller layers do not fit the network's forward ({next(iter(held.values()))})"
            )

    @property
    def example_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the inputs of a few examples, in the order of ``forward``."""
        return tuple(tuple(one.shape) for one in tensors_in(self.example))

    @property
    def bottlenecks(self) -> frozenset[str]:
        """Sites whose one gate is on the only unit that a layer reads or gives: nothing passes without it."""
        specs = self.plan.specs.items()
        lone = {name for name, spec in specs if spec.placement in ("input", "output") and spec.shape == (1,)}
        return frozenset(lone)

    @property
    def data_sites(self) -> frozenset[str]:
        """Sites of gates on what the network is given: what one of them shuts out cannot be learned again."""
        layers = self.plan.trace.layers
        return frozenset(
            name
            for name, spec in self.plan.specs.items()
            if spec.placement == "input" and spec.owner in layers and layers[spec.owner].reads_data
        )

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """Names of the gates' dimensions in ArviZ data."""
        return {
            name: tuple(f"{name}_dim_{axis}" for axis in range(len(spec.shape)))
            for name, spec in self.plan.specs.items()
        }

    # ---- sleeping units --------------------------------------------------------------------------

    def sleep(self, active: Mapping[str, Tensor], threshold: float = 1e-3, gain: float = 0.1) -> bool:
        r"""Leave out of every following run what gates that are all but shut would multiply by 0.

        A gate with :math:`P(z \ne 0)` below the threshold is taken to be shut, and units that hang on it
        are not computed: draws differ once in ``1 / threshold``, for a fraction of the work. Its
        parameters stay where they are, and it wakes when its probability has risen again.

        Args:
            active: P(z != 0) by gate site.
            threshold: Probability below which a gate sleeps.
            gain: Least change of the work, as a share of it, for which anything is changed.

        Returns:
            Whether anything changed, so that graphs captured of this model are out of date.
        """
        return self.awake.sleep(active, threshold, gain)

    def settle(self) -> bool:
        """Compute only the units of the ``awake`` buffers, after they were loaded or changed.

        Returns:
            Whether anything sleeps.
        """
        return self.awake.settle()

    def wake(self) -> None:
        """Compute everything again."""
        self.awake.wake()

    def round_widths(
        self,
        opened: Mapping[str, Tensor],
        scores: Mapping[str, Tensor],
        to: int,
        fits: Callable[[Mapping[str, Tensor]], bool] | None = None,
    ) -> dict[str, Tensor]:
        """Gates opened or shut until numbers of units are multiples of one.

        Args:
            opened: Zeros and ones by site.
            scores: What gates are opened and shut by, the largest first; by site.
            to: The number.
            fits: Whether a network with such gates is small enough.
        """
        return round_widths(self.plan, opened, scores, to, fits)

    # ---- cost ------------------------------------------------------------------------------------

    @property
    def cost_kinds(self) -> tuple[str, ...]:
        """What cost can be counted in."""
        return self.cost.kinds

    def cost_share(self, kind: str, active: Mapping[str, Tensor]) -> Tensor:
        """Expected cost over that of the dense network; see :class:`~l0bayes.network.NetworkCost`.

        Args:
            kind: ``"params"``, ``"macs"`` or ``"units"`` (gates).
            active: P(z != 0) by gate site; or zeros and ones, for a decided network.
        """
        return self.cost.share(kind, active)

    def deployed_share(self, kind: str, opened: Mapping[str, Tensor]) -> Tensor:
        """Exact cost of a decided network over that of the dense one, with units that stay for their shape.

        Args:
            kind: As for :meth:`cost_share`.
            opened: Zeros and ones by gate site.
        """
        return self.cost.share(kind, opened, decided=True)

    def smallest_share(self, kind: str) -> float:
        """The least share of the dense cost that leaves one gate open in every site.

        Args:
            kind: As for :meth:`cost_share`.
        """
        return self.cost.smallest(kind)

    @torch.no_grad()
    def cost_table(self, guide: Any) -> pd.DataFrame:
        """Cost of the dense, the expected and the deployed network under each deployment rule.

        Args:
            guide: The guide.

        Returns:
            A DataFrame with a row for ``dense``, ``expected``, ``sd`` (of the cost when gates are drawn)
            and each deployment rule, and columns ``params``, ``macs`` and ``units``. A network that would
            be deployed at full size, since its ``forward`` does not fit smaller layers, counts so, with a
            warning.
        """
        with private_randomness():  # one of the rules draws
            return cost_table(self.cost, guide.gates(), partial(self.misfit, guide))

    def misfit(self, guide: Any, gates: Mapping[str, Tensor] | None = None) -> str:
        """Why the network would be deployed at full size; empty where it would not be.

        Args:
            guide: The guide.
            gates: Deployed gate values by site; by default those of the rule ``"median"``.
        """
        return ""

    def cost_summary(self, guide: Any) -> dict[str, float]:
        """Dense, expected (with standard deviation) and deployed (median gates) cost as flat numbers.

        Args:
            guide: The guide.
        """
        return cost_summary(self.cost_table(guide))
