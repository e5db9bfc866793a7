r"""An ELBO with a price on relative size, for the search that comes before a cut."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from l0bayes.infer.guide_abilities import DirectGuide
from l0bayes.infer.model_abilities import ModelAbilities, ShrinkableModel
from l0bayes.infer.objectives.elbo import MeanFieldELBO
from l0bayes.infer.shrink.direct_elbo import DirectELBO
from l0bayes.infer.targets.costs import activities, costs_of, deployed, deployed_share_of
from l0bayes.infer.targets.target import Target

__all__ = ["SearchELBO"]

# By how much the price of a search rises, all in all, for a cost that is e times too large throughout.
_GAIN = 12.0
# Gates answer late, since they have to travel: the price answers to the cost that there will be if it goes on
# as it is falling until gates can have travelled so many logits, for no more than this part of the search.
# Without that all of them have long been on their way when the price stops to rise, and the network falls far
# below what is asked for, dear gates first. With more, the price is let go at every unit that shuts, and the
# network stays far above it.
_LOGITS, _LOOK, _SMOOTHING = 2.0, 0.1, 0.3
# Gates on what a network is given feel less of the price in short searches: what a unit did is learned again
# by those that stay, but not what an input told, and that is not known before weights have been trained.
# From so many steps on they feel all of it, and no less than this part.
_KNOWN_AFTER, _LEAST_PULL = 300, 0.25
# How many times faster the price falls where the cost is small enough than it rises where it is too large.
_RELEASE = 4.0


class SearchELBO(DirectELBO):
    r"""An ELBO with a price on the logarithm of the expected cost, which rises until the network is small.

    .. math:: \text{loss} = -\mathrm{ELBO} + N \mu_t \log E[c(z)], \qquad
        \mu_{t+1} = \max\Bigl(0,\; \mu_t + \tfrac{12}{S}\, r_t e_t\Bigr), \qquad
        e_t = \log E[c(z)] + h v_t - \log c_t

    with c the cost as a share of the dense network's, :math:`c_t` the share that is asked for at step t of
    the S steps of the search, and N the number of observations. In logarithms every halving of the cost is
    worth the same, so that the pull on a gate does not fade as the network becomes small. The price looks
    ahead: :math:`v_t` is the change of :math:`\log E[c(z)]` a step, smoothed over a few steps, and
    :math:`h = \min(2/\eta, S/10)` the steps in which a gate travels two logits at its rate η. It is let go
    faster than it rises, :math:`r_t = 4` where :math:`e_t < 0` and 1 elsewhere.

    Gates on what the network is given, ``data_sites``, feel the part
    :math:`\kappa = \min(1, \max(S/300, 1/4))` of the price's gradient: what an input told is lost for good,
    and a short search does not know yet what that is; what a unit did, others learn.

    The gradient of the expected cost takes longer than that of a small network: its logarithm is taken to be
    linear in the probabilities for a few steps, until :meth:`renew` is called. The multiplier is a buffer and
    follows inside the forward pass while the module is in training mode.

    Args:
        model: The model.
        guide: Its guide.
        elbo: The objective.
        sites: Names of all gates and slabs.
        target: The target.
        steps: Number of steps of the search, S.
        observations: N.
        gate_rate: Learning rate of the gates in logits, η.
        data_sites: Sites of gates on what the network is given.
        keywords: Keyword arguments of model and guide.
    """

    asked: Tensor
    multiplier: Tensor
    start: Tensor
    level: Tensor
    last: Tensor
    speed: Tensor

    def __init__(
        self,
        model: ShrinkableModel,
        guide: DirectGuide,
        elbo: MeanFieldELBO,
        sites: list[str],
        *,
        target: Target,
        steps: int,
        observations: float,
        gate_rate: float,
        data_sites: Collection[str] = (),
        keywords: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(model, guide, elbo, sites, keywords)
        self.target, self.steps, self.observations = target, steps, observations
        self.pull = min(1.0, max(_LEAST_PULL, steps / _KNOWN_AFTER))
        self.data_sites = sorted(data_sites) if self.pull < 1.0 else []
        self.look = min(_LOGITS / gate_rate, _LOOK * steps)
        # The methods alone: the model is in this module already, and would be in its state twice.
        costs = costs_of(model, guide)
        self._cost_share, self._deployed_share = costs.cost_share, deployed_share_of(costs)
        self.cost_state = ModelAbilities(costs).cost_state  # in checkpoints, and seen by captured graphs
        like = next(iter(activities(guide).values()))
        for name in (
            "asked",
            "multiplier",
            "start",
            "level",
            "last",
            "speed",
        ):  # logarithms, but for the price
            self.register_buffer(name, like.new_zeros(()))
        self._slopes = {site: f"slope {site.replace('.', '/')}" for site in guide.gates()}
        for site, law in guide.gates().items():
            self.register_buffer(self._slopes[site], torch.zeros_like(law.prob_active.detach()))
        self.begin()

    @torch.no_grad()
    def begin(self) -> None:
        """Put the price to its start, for the gates as they are now."""
        self.start.fill_(math.log(self.shares()[0]))
        self.last.copy_(self.start)
        self.multiplier.zero_()
        self.speed.zero_()
        self.renew()
        self.ask(0.0)

    def ask(self, way: float) -> None:
        """Move on to the share that is asked for.

        Args:
            way: How far it has fallen from the share at the start to the target, in logarithms; 0 to 1.
        """
        self.asked.copy_(self.start + way * (math.log(self.target.share) - self.start).clamp(max=0.0))

    def renew(self) -> None:
        """Take the logarithm of the expected cost to be linear about where the gates are now."""
        with torch.enable_grad():
            active = {site: p.detach().requires_grad_() for site, p in activities(self.guide).items()}
            level = self._cost_share(self.target.kind, active).log()
            # No cost depends on the one unit that a layer keeps in any case, such as a lone input channel.
            found = torch.autograd.grad(level, [*active.values()], allow_unused=True)
        for (site, value), given in zip(active.items(), found, strict=True):
            slope = torch.zeros_like(value) if given is None else given
            self._slope(site).copy_(slope)
            level = level - (slope * value).sum()
        self.level.copy_(level.detach())

    def _slope(self, site: str) -> Tensor:
        found = self._buffers[self._slopes[site]]
        assert found is not None
        return found

    @torch.no_grad()
    def shares(self) -> tuple[float, float]:
        """Expected and deployed cost as shares of the dense network's."""
        active, kind = activities(self.guide), self.target.kind
        return float(self._cost_share(kind, active)), float(self._deployed_share(kind, deployed(active)))

    def with_terms(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, Tensor]:
        gates = self.guide.gates()
        loss, likelihood, kl = self.terms_for(gates, args)
        parts = {site: (self._slope(site) * law.prob_active).sum() for site, law in gates.items()}
        share = felt = sum(parts.values(), start=self.level)
        for site in self.data_sites:  # of the same value, with a part of the gradient
            felt = felt - (1.0 - self.pull) * (parts[site] - parts[site].detach())
        price = self.observations * self.multiplier.clone()
        if self.training:
            self._control(share.detach())
        return loss + price * felt, likelihood, kl

    @torch.no_grad()
    def _control(self, share: Tensor) -> None:
        self.speed.lerp_(share - self.last, _SMOOTHING)
        self.last.copy_(share)
        excess = share + self.look * self.speed - self.asked
        change = torch.where(excess > 0.0, excess, _RELEASE * excess)
        self.multiplier.add_(change, alpha=_GAIN / self.steps).clamp_(min=0.0)
