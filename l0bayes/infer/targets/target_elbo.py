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

# In units of the run, so that short and long runs are steered alike: an excess that saturates for a tenth
# of the run multiplies the penalty by e ** (0.1 * _GAIN).
_GAIN = 30.0
# How many times faster it falls where the constraint is satisfied, so that a penalty that has built up on
# the way does not squeeze a network that is small enough. Less and less so over the second half: a gate that
# comes back late has no time left to close again.
_RELEASE = 4.0
# The immediate answer to an excess, which damps the slow one.
_PROPORTIONAL = 2.0
# The relative excess at which the answer saturates: only the direction is sure, not the penalty's scale.
_WIDTH = 0.1
# A network this much smaller than asked for, relatively, is drawn up again by a multiplier of its own. It
# stays small: enough for gates that nothing moves, and no match for a prior that shuts them.
_FLOOR = 0.9
_LIFT_RANGE = (math.log(1e-3), math.log(0.02))
# log λ at the start and its range, in nats an observation: from far below to far above any
# likelihood.
_START = math.log(0.02)
_RANGE = (math.log(1e-5), math.log(1e4))
# Gates answer late, since they have to travel: where they will be is judged by their smoothed velocity,
# over the steps in which they can move by two logits, but no more than a tenth of the run.
_SMOOTHING = 0.05
_LOOK_LOGITS = 2.0
_LOOK_SHARE = 0.1
# From where on a gate that is about to close is held to it.
_LATE = 0.7
# How the default schedule falls: fast first, and slower the smaller the network is.
_EASE = 1.5
# From where on, and from where on alone, the deployed share steers instead of the expected one.
_HANDOVER = (0.35, 0.5)


class TargetELBO(BoundELBO):
    r"""An ELBO under a constraint on the expected cost, with the multiplier that holds it.

    .. math:: \text{loss} = -\mathrm{ELBO} + N \lambda_t \,\bigl(E[c(z)] / c_t - 1\bigr)

    with c the cost as a share of the dense network's, :math:`c_t` the share asked for at step t, and N
    the number of observations, so that λ is in nats an observation for an excess of 100 %. The
    multiplier follows a controller with a proportional and an integral part,

    .. math:: \log\lambda_t = I_t + K e_t, \qquad I_t = I_{t-1} + \frac{g_t}{T} e_t, \qquad
        e_t = \operatorname{clip}\bigl(10 \log(\hat c_t / c_t), -1, 1\bigr)

    in logarithms, since the penalty that a target takes spans many decades; so it is never negative, and
    falls to nothing where the constraint is satisfied. :math:`\hat c_t` looks ahead, to where the gates'
    logits will be if they keep their velocity, for a gate that is on its way needs no further push. Where
    the constraint is satisfied the gain :math:`g_t` is larger, so that the penalty is soon
    let go. The gradient is of the expected cost; the multiplier answers to the expected cost first and,
    from the middle of the run on, to that of the deployed network alone, which is not differentiable and
    decides in the end. Gates that have shut get no gradient, so a network that fell far below its target
    would stay there: a second multiplier, with the opposite sign and the same control, draws it back to
    nine tenths of that. It is kept small, so that a prior that shuts more gates than that has its way.

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
    late: Tensor
    release: Tensor
    integral: Tensor
    multiplier: Tensor
    lift_integral: Tensor
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
        self.steps = steps
        self.observations = observations
        self.lookahead = min(_LOOK_LOGITS / gate_lr, _LOOK_SHARE * steps)
        logits = {name: law.activity_logits.detach() for name, law in gate_laws(guide).items()}
        some = next(iter(logits.values()))
        control = ("integral", "multiplier", "lift_integral", "lift", "start_share")
        for name in ("asked", "handover", "late", "release", *control):
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
        self.integral.fill_(_START)
        self.multiplier.zero_()
        self.lift_integral.fill_(_LIFT_RANGE[0])
        self.lift.zero_()
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
        self.late.fill_(float(progress >= _LATE))
        self.release.fill_(_RELEASE * min(1.0, 2.0 * (1.0 - progress)))

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
        return loss + price * (share / self.asked - 1.0), likelihood, kl

    @torch.no_grad()
    def _control(self, logits: dict[str, Tensor]) -> None:
        ahead, now = {}, {}
        for name, value in logits.items():
            place, velocity = self._motion(name)
            velocity.lerp_(value - place, _SMOOTHING)
            place.copy_(value)
            now[name] = torch.sigmoid(value)
            ahead[name] = torch.sigmoid(value + self.lookahead * velocity)
        error = self._excess(ahead, self.asked)
        # Late in the run nothing is let go before the gates are where they head: they would turn back.
        satisfied = torch.where(self.late > 0.0, torch.maximum(error, self._excess(now, self.asked)), error)
        change = error.clamp(min=0.0) + self.release * satisfied.clamp(max=0.0)
        self.integral.add_(change * (_GAIN / self.steps)).clamp_(*_RANGE)
        self.multiplier.copy_((self.integral + _PROPORTIONAL * error).clamp(*_RANGE).exp())
        lack = -self._excess(ahead, _FLOOR * self.asked)
        change = lack.clamp(min=0.0) + _RELEASE * lack.clamp(max=0.0)
        self.lift_integral.add_(change * (_GAIN / self.steps)).clamp_(*_LIFT_RANGE)
        lift = (self.lift_integral + _PROPORTIONAL * lack).clamp(*_LIFT_RANGE).exp()
        self.lift.copy_(torch.where(lack > 0.0, lift, torch.zeros_like(lift)))

    def _excess(self, active: dict[str, Tensor], asked: Tensor) -> Tensor:
        expected, strict = self._cost(active), self._deployed(active)
        share = expected + self.handover * (strict - expected)
        return ((share / asked).clamp(min=1e-6).log() / _WIDTH).clamp(-1.0, 1.0)

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
