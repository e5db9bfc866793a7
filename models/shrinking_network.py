r"""A network whose terms are known without running Pyro, and that can be cut while it is trained."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from operator import attrgetter
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from l0bayes.distributions import Gate
from l0bayes.infer.shrink.origin import ModelCut
from l0bayes.models.measured_network import MeasuredNetwork
from l0bayes.models.network_cut import cut_network, reason_not_cut
from l0bayes.models.network_precision import full_precision
from l0bayes.network import Gates, ParameterSlots, gated, rows_of
from l0bayes.sites import Inclusion

__all__ = ["ShrinkingNetwork", "scale_key"]


class ShrinkingNetwork(MeasuredNetwork):
    """A network with targets, gates and slabs.

    Args:
        net: The dense network.
        gates: Where gates go.
        example: Inputs of one or two examples.

    Attributes:
        priors: Prior of every gate site.
        slab_priors: Prior of every slab by name of its parameter; ``None`` for a Normal of learned scale.
        learned_scales: Logarithms of these scales.
        held: In a network that was cut: whether an entry of a parameter is there, for parameters some of
            whose entries shut gates hold at 0.
    """

    priors: dict[str, Inclusion]
    slab_priors: Mapping[str, Any]
    learned_scales: nn.ParameterDict

    def __init__(self, net: nn.Module, gates: Gates | None, example: Any) -> None:
        super().__init__(net, gates, example)
        self.held: dict[str, Tensor] = {}
        self._slots: ParameterSlots | None = None

    def slab_prior(self, name: str) -> Any:
        """The prior of a slab, elementwise.

        Args:
            name: Name of its parameter.
        """
        prior: Any = self.slab_priors[name]
        if prior is None:
            prior = dist.Normal(0.0, self.learned_scales[scale_key(name)].exp())
        return prior.expand(attrgetter(name)(self.net).shape)

    def is_there(self, name: str) -> Tensor:
        """1 for entries of a parameter that are there, and 0 for those that are held at 0.

        Args:
            name: The parameter, one of ``held``.
        """
        return self.held[name].to(full_precision(attrgetter(name)(self.net)))

    def where_there(self, name: str, value: Tensor) -> Tensor:
        """The value of a parameter, with 0 for entries that are held.

        Args:
            name: The parameter.
            value: Its value.
        """
        return value * self.is_there(name) if name in self.held else value

    def reason_not_cut(self) -> str | None:
        """Why units cannot be taken out for good while it is trained; ``None`` where they can."""
        return reason_not_cut(self)

    def prior_laws(self, sites: Collection[str]) -> dict[str, Any]:
        """The priors of gates and slabs, elementwise.

        Args:
            sites: The sites.
        """
        gates = {one: _elementwise(self.priors[one], self.plan.specs[one].shape) for one in self.priors}
        return {one: gates[one] if one in gates else self.slab_prior(one[: -len(".slab")]) for one in sites}

    def log_likelihood(self, values: Mapping[str, Tensor], *args: Any) -> Tensor:
        """Log likelihood of the whole data set in nats, as estimated on a batch.

        Args:
            values: Values of all gates and slabs, by site; gates perhaps for each example.
            *args: The model's arguments, with targets.
        """
        inputs, y = self.split(args)
        slabs = {name: self.where_there(name, values[f"{name}.slab"]) for name in self.links}
        gates = {name: values[name] for name in self.plan.specs}
        if self._slots is None or self._slots.net is not self.net:
            self._slots = ParameterSlots(self.net)
        output = gated(self.net, self.plan, slabs, gates, inputs, self.awake.live, self._slots)
        law, rows = self.observation(self.observation.predictor(output), y), rows_of(inputs)
        total: Tensor = law.log_prob(y).sum()
        return total * ((self.num_data or rows) / rows)

    def cut(
        self, slabs: Mapping[str, Tensor], opened: Mapping[str, Tensor], decided: bool = True
    ) -> ModelCut:
        """What is left of the model once gates are shut for good.

        Args:
            slabs: Values of all slabs by site.
            opened: Zeros and ones by gate site.
            decided: Whether the ones are open for good.
        """
        return cut_network(self, {name: slabs[f"{name}.slab"] for name in self.links}, opened, decided)


def scale_key(name: str) -> str:
    """Key of the learned scale of a parameter.

    Args:
        name: Its name.
    """
    return name.replace(".", "/")


def _elementwise(prior: Any, shape: Any) -> Any:
    return (Gate(prior) if isinstance(prior, float | int | Tensor) else prior).expand(torch.Size(shape))
