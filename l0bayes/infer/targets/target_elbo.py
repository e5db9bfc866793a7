r"""An ELBO with a price on size, which a controller finds while the network is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from l0bayes.infer.model_abilities import ModelAbilities
from l0bayes.infer.objectives.elbo import BoundELBO, MeanFieldELBO
from l0bayes.infer.objectives.gate_parts import gate_laws
from l0bayes.infer.targets.costs import activities, costs_of, deployed, deployed_share_of
from l0bayes.infer.targets.target import Target

__all__ = ["TargetELBO"]

# By how much log(1 + price) rises, all in all, for an excess that saturates for as long as it takes until the
# target itself is asked for; and at most for as long as gates take to travel, since they answer late.
_GAIN, _GAIN_A_TRAVEL = 12.0, 2.5
# The relative excess at which the answer saturates: only the direction is sure, not the price's scale.
_WIDTH = 0.1
# Gates that close as fast as they can show that the price is felt. It takes them time to arrive, in which it
# would rise to where it closes all of them alike: it rises the slower the more of them are closing, and not
# any more once it is this share.
_CLOSING = 0.5
# How many times faster it falls where the constraint is satisfied, so that a price that has built up on the
# way does not squeeze a network that is small enough. Less and less so over the second half: a gate that
# comes back late has no time left to close again.
_RELEASE = 4.0
# A network this much smaller than asked for, relatively, is drawn up again by a price of the opposite sign.
# It stays small: enough for gates that nothing moves, and no match for a prior that shuts them.
_FLOOR, _LIFT = 0.9, 0.02
# Gates answer late, since they have to travel: where they will be is judged by their velocity, smoothed over
# a fifth of the steps that it takes to travel so many logits.
_LOOK_LOGITS = 3.0
_LAGS, _SLOWEST, _FASTEST = 5.0, 0.05, 0.5
# How the default schedule falls: fast first, and slower the smaller the network is.
_EASE = 1.5
# From where on, and from where on alone, the deployed share steers instead of the expected one.
_HANDOVER = (0.35, 0.5)


class TargetELBO(BoundELBO):
    r"""An ELBO under a constraint on the expected cost, with the price that holds it.

    .. math:: \text{loss} = -\mathrm{ELBO} + N (\mu_t - \nu_t) \log\frac{E[c(z)]}{c_t}

    with c the cost as a share of the dense network's, :math:`c_t` the share asked for at step t, and N
    the number of observations, so that :math:`\mu` is in nats an observation for a cost that is e times as
    large. In logarithms every halving of the cost is worth the same, so that the pull on a gate does not fade
    as the network becomes small. The price follows a controller,

    .. math:: \mu_t = e^{I_t} - 1, \qquad
        I_t = \max\Bigl(0,\; I_{t-1} + \tfrac{12}{\rho T}\, r_t e_t\Bigr), \qquad
        e_t = \operatorname{clip}\bigl(10 \log(\hat c_t / c_t), -1, 1\bigr)

    over the T steps of the run, of which the target takes the share :math:`\rho`, its ``ramp``, to be asked
    for (in short runs more slowly, by 2.5 while gates travel three logits). The price may lie anywhere over
    many decades, hence the exponential; it is never negative, and falls to nothing where the constraint is
    satisfied. :math:`\hat c_t` looks ahead, to where the gates' logits will be if they keep their velocity,
    for a gate that is on its way needs no further push. Nor do more gates than are on their way already:
    where the cost is too large, :math:`r_t = \max(0, 1 - 2 s_t)` with :math:`s_t` the mean velocity at which
    open gates close, as a share of their learning rate. A price that rose until they have arrived would close
    all of them alike, without any choice. Where the constraint is satisfied :math:`r_t` is 4, and less over
    the second half, so that the price is soon let go.

    The gradient is of the expected cost; the price answers to the expected cost first and, from the middle of
    the run on, to that of the deployed network alone, which is not differentiable and decides in the end.
    Gates that have shut get no gradient, so a network that fell far below its target would stay there: a
    second price :math:`\nu_t \le 0.02` draws it back to nine tenths of that. It is small, so that a prior
    that shuts more gates than that has its way.

    All of it is kept in buffers and updated inside the forward pass while the module is in training mode,
    as batch normalisation does, so that a captured step holds it too.

    Args:
        model: A Pyro model.
        guide: A guide with gates.
        elbo: The objective.
        target: The target.
        steps: Number of steps of the run, T.
        gate_lr: Learning rate of the gates, which limits how fast they can move.
        observations: N, the number of observations; see :func:`num_observations`.
        keywords: Keyword arguments of model and guide that are the same in every call.
    """

    asked: Tensor
    handover: Tensor
    lookahead: Tensor
    release: Tensor
    integral: Tensor
    multiplier: Tensor
    lift: Tensor
    start_share: Tensor

    def __init__(
        self,
        model: Any,
        guide: Any,
        elbo: MeanFieldELBO,
        target: Target,
        *,
        steps: int,
        gate_lr: float,
        observations: float,
        keywords: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(model, guide, elbo, keywords)
        self.target = target
        # The methods alone: the model is in this module already, and would be in its state twice.
        costs = costs_of(model, guide)
        self._cost_share, self._deployed_share = costs.cost_share, deployed_share_of(costs)
        self.cost_state = ModelAbilities(costs).cost_state  # in checkpoints, and seen by captured graphs
        self.steps, self.gate_lr = steps, gate_lr
        self.observations = observations
        self.travel = _LOOK_LOGITS / gate_lr
        self.gain = min(_GAIN / (target.ramp * steps), _GAIN_A_TRAVEL / self.travel)
        self.smoothing = min(_FASTEST, max(_SLOWEST, _LAGS / self.travel))
        logits = {name: law.activity_logits.detach() for name, law in gate_laws(guide).items()}
        some = next(iter(logits.values()))
        control = ("integral", "multiplier", "lift", "start_share")
        for name in ("asked", "handover", "lookahead", "release", *control):
            self.register_buffer(name, some.new_zeros(()))
        self._keys = {name: name.replace(".", "/") for name in logits}
        for name, value in logits.items():
            self.register_buffer(f"place {self._keys[name]}", value.clone())
            self.register_buffer(f"velocity {self._keys[name]}", torch.zeros_like(value))
        self.begin()

    @torch.no_grad()
    def begin(self) -> None:
        """Put the controller to its start, for the gates as they are now."""
        for name, law in gate_laws(self.guide).items():
            place, velocity = self._motion(name)
            place.copy_(law.activity_logits)
            velocity.zero_()
        self.start_share.fill_(self.shares()[0])
        for value in (self.integral, self.multiplier, self.lift):
            value.zero_()
        self.set_progress(0.0)

    def set_progress(self, progress: float) -> None:
        """Move on to the share that is asked for at a point of training.

        Args:
            progress: Steps done over steps planned.
        """
        first, last = _HANDOVER
        if self.target.schedule is not None:
            self.asked.fill_(max(self.target.share, self.target.schedule(progress)))
        else:  # geometrically, in tensors: reading the start back would wait for the device
            way = 1.0 - (1.0 - min(1.0, progress / self.target.ramp)) ** _EASE
            start = self.start_share.clamp(min=self.target.share)
            self.asked.copy_(start ** (1.0 - way) * self.target.share**way)
        self.handover.fill_(min(1.0, max(0.0, (progress - first) / (last - first))))
        self.release.fill_(_RELEASE * min(1.0, 2.0 * (1.0 - progress)))
        # A rate that falls to nothing at the end carries gates half as far as one that stays.
        self.lookahead.fill_(min(self.travel, 0.5 * (1.0 - progress) * self.steps))

    @torch.no_grad()
    def shares(self) -> tuple[float, float]:
        """Expected and deployed cost as shares of the dense network's."""
        active = activities(self.guide)
        return float(self._cost(active)), float(self._deployed(active))

    def with_terms(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, Tensor]:
        loss, likelihood, kl = super().with_terms(*args, **kwargs)
        logits = {name: law.activity_logits for name, law in gate_laws(self.guide).items()}
        share = self._cost({name: torch.sigmoid(value) for name, value in logits.items()})
        if self.training:
            self._control({name: value.detach() for name, value in logits.items()})
        price = self.observations * (self.multiplier - self.lift)
        return loss + price * (share / self.asked).log(), likelihood, kl

    @torch.no_grad()
    def _control(self, logits: dict[str, Tensor]) -> None:
        ahead: dict[str, Tensor] = {}
        closing, opened = torch.zeros_like(self.integral), torch.zeros_like(self.integral)
        for name, value in logits.items():
            place, velocity = self._motion(name)
            velocity.lerp_(value - place, self.smoothing)
            place.copy_(value)
            ahead[name] = torch.sigmoid(value + self.lookahead * velocity)
            active = torch.sigmoid(value)
            opened += active.sum()
            closing -= (velocity.clamp(max=0.0) * active).sum()
        share = closing / (opened * self.gate_lr)
        excess = self._excess(ahead)
        step = (excess / _WIDTH).clamp(-1.0, 1.0)
        rise = (1.0 - share / _CLOSING).clamp(min=0.0)
        change = rise * step.clamp(min=0.0) + self.release * step.clamp(max=0.0)
        self.integral.add_(change * self.gain).clamp_(min=0.0)
        self.multiplier.copy_(self.integral.expm1())
        self.lift.copy_(_LIFT * ((math.log(_FLOOR) - excess) / -math.log(_FLOOR)).clamp(0.0, 1.0))

    def _excess(self, active: dict[str, Tensor]) -> Tensor:
        expected, strict = self._cost(active), self._deployed(active)
        share = expected + self.handover * (strict - expected)
        return (share / self.asked).clamp(min=1e-6).log()

    def _cost(self, active: dict[str, Tensor]) -> Tensor:
        return self._cost_share(self.target.kind, active)

    def _deployed(self, active: dict[str, Tensor]) -> Tensor:
        return self._deployed_share(self.target.kind, deployed(active))

    def _motion(self, site: str) -> tuple[Tensor, Tensor]:
        return self._buffer(f"place {self._keys[site]}"), self._buffer(f"velocity {self._keys[site]}")

    def _buffer(self, name: str) -> Tensor:
        value = self._buffers[name]
        assert value is not None
        return value
