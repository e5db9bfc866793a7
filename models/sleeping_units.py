r"""Units that are left out of training runs for as long as their gates are all but shut."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from l0bayes.network import GatePlan, LiveLayer, NetworkCost, live_layers

__all__ = ["SleepingUnits"]


class SleepingUnits(nn.Module):
    """Which gates of a network are awake, as buffers by site, and what therefore has to be computed.

    Args:
        plan: The network's gates.
        cost: Its cost.

    Attributes:
        live: Layers that are computed in part, by name; see :func:`~l0bayes.network.live_layers`.
    """

    def __init__(self, plan: GatePlan, cost: NetworkCost) -> None:
        super().__init__()
        self._plan, self._cost = plan, cost
        self.live: dict[str, LiveLayer] = {}
        for name, spec in plan.specs.items():
            self.register_buffer(_buffer(name), torch.ones(spec.shape, dtype=torch.bool))

    @torch.no_grad()
    def sleep(self, active: Mapping[str, Tensor], threshold: float, gain: float) -> bool:
        """Let gates sleep whose probability is below the threshold, and wake the others.

        Args:
            active: P(z != 0) by gate site.
            threshold: Probability below which a gate sleeps.
            gain: Least change of the work, as a share of it, for which anything is changed.

        Returns:
            Whether anything changed.
        """
        awake = {site: value >= threshold for site, value in active.items()}
        before, after = (
            float(self._cost.share("macs", {site: value.double() for site, value in gates.items()}))
            for gates in (self.gates(), awake)
        )
        if (1.0 - gain) * before < after <= before:
            return False
        for site, value in self.gates().items():
            value.copy_(awake[site])
        self.settle()
        return True

    def settle(self) -> bool:
        """Compute only the units of the buffers, after they were loaded or changed.

        Returns:
            Whether anything sleeps.
        """
        self.live = live_layers(self._plan, self.gates())
        return bool(self.live)

    @torch.no_grad()
    def wake(self) -> None:
        """Compute everything again."""
        for value in self.gates().values():
            value.fill_(True)
        self.live = {}

    def gates(self) -> dict[str, Tensor]:
        """Whether each gate is awake, by site: the buffers themselves."""
        buffers = dict(self.named_buffers())
        return {name: buffers[_buffer(name)] for name in self._plan.specs}


def _buffer(site: str) -> str:
    return site.replace(".", "/")
