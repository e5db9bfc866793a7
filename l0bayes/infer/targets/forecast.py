r"""Will it prune? How far gates can move during a run, before it has begun."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.distributions import Gate, GateLaw, L0Penalty
from l0bayes.infer.model_arguments import ModelArguments
from l0bayes.infer.objectives.pair_traces import PairTraces
from l0bayes.infer.objectives.reading_mode import reading_mode
from l0bayes.infer.objectives.score_elbo import elbo_of
from l0bayes.infer.randomness import private_randomness
from l0bayes.infer.schedules import Linear, Schedule, as_schedule
from l0bayes.infer.targets.gate_speed import OptimizerKind, gate_speeds
from l0bayes.infer.targets.gate_travel import Pull, SiteForecast, joined, under_adam, under_sgd
from l0bayes.sites import inner_law
from l0bayes.user_warnings import warn_user

__all__ = [
    "GatesAtStart",
    "PruningForecast",
    "PruningWarning",
    "forecast_of_gates",
    "gates_at_start",
    "pruning_forecast",
]

# Points at which a schedule is read: each step of runs that have no more of them.
_POINTS = 10_000
# Gates that are looked at together, in numbers of double precision.
_PART = 2**18


GatesAtStart = tuple[Tensor, Pull, float]
"""Activity logits at the start, shape ``(n,)``; the pull of the prior; the scale of the site."""


class PruningWarning(UserWarning):
    """No gate of a site can close in the run as it is set up."""


@dataclass(frozen=True)
class PruningForecast:
    """How far the gates can go in a run, by site.

    Attributes:
        sites: Site to its forecast; sites with another prior than ``Gate`` and ``L0Penalty`` are left out.
        optimizer: The kind of optimiser.
        gate_lr: Learning rate of the gates.
        steps: Number of steps.
    """

    sites: dict[str, SiteForecast]
    optimizer: OptimizerKind
    gate_lr: float
    steps: int

    @property
    def stuck(self) -> dict[str, SiteForecast]:
        """The sites where gates start open, are meant to close, and not one can."""
        return {
            name: site
            for name, site in self.sites.items()
            if site.gates and not site.closing and math.isfinite(site.factor)
        }

    def __repr__(self) -> str:
        lines = [f"Pruning forecast: {self.steps} steps of {self.optimizer}, gate_lr {self.gate_lr:g}"]
        for name, site in self.sites.items():
            lines.append(
                f"  {name}: activity logit {site.start:.2f} -> {site.end:.2f} (shut at 0), "
                f"pull {site.pull:.3g} nats; {self._verdict(site)}"
            )
        return "\n".join(lines)

    def _verdict(self, site: SiteForecast) -> str:
        if not site.gates:
            return "no gate starts open"
        if site.closing:
            return f"{site.closing} of {site.gates} gates can close"
        if math.isinf(site.factor):
            return "nothing pulls the gates shut"
        return f"no gate can close before a gate_lr of {self.gate_lr * site.factor:.2g}"

    def warn(self) -> None:
        """Warn where nothing can close, with the remedy."""
        if not self.stuck:
            return
        what = "; ".join(
            f"{name!r}: from activity logit {site.start:.2f} to {site.end:.2f} at most"
            for name, site in self.stuck.items()
        )
        needed = min(site.factor for site in self.stuck.values())
        cure = "or raise the penalty" if self.optimizer == "sgd" else "or take more steps"
        warn_user(
            f"no gate of these sites can close (at 0) in {self.steps} steps with gate_lr {self.gate_lr:g}: "
            f"{what}. Raise gate_lr to about {self.gate_lr * needed:.2g} or more, {cure}",
            PruningWarning,
        )


def pruning_forecast(
    model: Callable[..., Any],
    guide: Any,
    data: tuple[Any, ...] = (),
    *,
    steps: int,
    gate_lr: float,
    lr_schedule: float | Schedule | None = None,
    optimizer: OptimizerKind = "adam",
    momentum: float = 0.0,
    loss_scale: float = 1.0,
    targeted: bool = False,
    kwargs: Mapping[str, Any] | None = None,
) -> PruningForecast:
    r"""How far the gate prior can carry the gates of a guide during a run.

    The likelihood is left out: the forecast is for a gate that the data do not care for. Its activity
    logit a, :math:`P(z \ne 0) = \sigma(a)`, has to fall to 0 for the median gate to close. Under
    stochastic gradient descent the prior moves it by

    .. math:: \frac{da}{d\tau} = -s\,\sigma'(a)\,f(a), \qquad
        \tau = \sum_t \frac{\text{lr}_t}{1 - \text{momentum}}

    with :math:`f = \lambda` for ``L0Penalty(λ)``, :math:`f = a - \operatorname{logit}\pi` for
    ``Gate(π)``, and s the scale of the loss. Adam moves it by about :math:`\sum_t \text{lr}_t`
    whatever the force (somewhat farther, since its steps exceed the rate while the force grows).

    So it is where the gate's parameter is its activity logit up to a constant, as for the concrete, the
    hard concrete and the Bernoulli gate. In other families, and for gates that share their parameters,
    :math:`\tau` and Adam's distance are multiplied by the speed at which a moves with its parameters
    :math:`p_k`: :math:`\sum_k n_k (\partial a/\partial p_k)^2` for SGD, with :math:`n_k` gates to a
    parameter, and :math:`\sum_k \lvert\partial a/\partial p_k\rvert` for Adam; the mean of it at the
    start and about where the gate closes.

    Args:
        model: A Pyro model.
        guide: Its guide, at its start.
        data: The model's arguments; a small batch will do.
        steps: Number of steps.
        gate_lr: Learning rate of the gates.
        lr_schedule: Factor on it over progress; default as in :func:`l0bayes.fit`: 1 for the first half,
            then linearly to 0.01.
        optimizer: ``"sgd"``, or ``"adam"`` for any optimiser that scales its steps.
        momentum: Momentum of SGD, Nesterov's or Polyak's, in [0, 1).
        loss_scale: What the loss in nats is multiplied by; 1/N for the mean over N observations. It does
            not concern Adam.
        targeted: Whether a target pushes the gates shut, whatever their prior; for Adam only.
        kwargs: The model's keyword arguments.

    Returns:
        The forecast, to be printed.

    Raises:
        ValueError: If an argument is outside its range.
    """
    validate.one_of(get_args(OptimizerKind), optimizer=optimizer)
    validate.at_least(1, steps=steps)
    validate.positive(gate_lr=gate_lr, loss_scale=loss_scale)
    validate.inside("[0, 1)", momentum=momentum)
    arguments = ModelArguments.of(data, kwargs)
    with private_randomness(), torch.no_grad(), reading_mode(model, guide, whole=False):
        traces = elbo_of(guide).traces(model, guide, *arguments.args, **arguments.kwargs)
    schedule = Linear(1.0, 0.01, begin=0.5) if lr_schedule is None else as_schedule(lr_schedule)
    return forecast_of_gates(
        guide,
        gates_at_start(traces, targeted),
        steps=steps,
        gate_lr=gate_lr,
        lr_schedule=schedule,
        optimizer=optimizer,
        momentum=momentum,
        loss_scale=loss_scale,
    )


def forecast_of_gates(
    guide: Any,
    gates: Mapping[str, GatesAtStart],
    *,
    steps: int,
    gate_lr: float,
    lr_schedule: Schedule,
    optimizer: OptimizerKind,
    momentum: float = 0.0,
    loss_scale: float = 1.0,
) -> PruningForecast:
    """The forecast of :func:`pruning_forecast` from the gates of one run of guide and model.

    Args:
        guide: The guide, at its start.
        gates: The gates, from :func:`gates_at_start`.
        steps: Number of steps.
        gate_lr: Learning rate of the gates.
        lr_schedule: Factor on it over progress.
        optimizer: The kind of optimiser.
        momentum: Momentum of SGD.
        loss_scale: What the loss in nats is multiplied by.
    """
    # A run of a billion steps is not walked through before its first one.
    points = min(steps, _POINTS)
    travelled = gate_lr * steps * sum(lr_schedule(point / points) for point in range(points)) / points
    sites = {}
    speeds = gate_speeds(guide, {name: start for name, (start, _, _) in gates.items()}, optimizer)
    for name, (start, pull, scale) in gates.items():
        parts = []
        for begin in range(0, max(1, len(start)), _PART):
            one = slice(begin, begin + _PART)
            of_part = start[one].double(), Pull(pull.constant[one].double(), pull.slope)
            way = travelled * speeds[name][one].double()
            if optimizer == "sgd":
                parts.append(under_sgd(*of_part, way * loss_scale * scale / (1.0 - momentum)))
            else:
                parts.append(under_adam(*of_part, way))
        sites[name] = joined(parts)
    return PruningForecast(sites, optimizer, gate_lr, steps)


def gates_at_start(traces: PairTraces, targeted: bool) -> dict[str, GatesAtStart]:
    """Start, pull and scale of every gate site with a ``Gate`` or ``L0Penalty`` prior.

    Args:
        traces: One run of guide and model.
        targeted: Whether a target pushes the gates shut, whatever their prior.
    """
    found = {}
    for name, site in traces.guide.nodes.items():
        if site["type"] != "sample" or name not in traces.model.nodes:
            continue
        law, prior = inner_law(site["fn"]), inner_law(traces.model.nodes[name]["fn"])
        if not isinstance(law, GateLaw):
            continue
        start = law.activity_logits.detach().cpu().flatten()
        if targeted:
            found[name] = (start, Pull(torch.ones(()).expand(start.shape), 0.0), 1.0)
            continue
        if not isinstance(prior, Gate | L0Penalty):
            continue
        penalty = isinstance(prior, L0Penalty)
        constant = prior.penalty if penalty else -prior.inclusion_logits
        constant = constant.detach().cpu()
        if constant.numel() > 1:
            constant = constant.expand(law.activity_logits.shape).flatten()
        pull = Pull(constant.reshape(-1).expand(start.shape), 0.0 if penalty else 1.0)
        found[name] = (start, pull, float(torch.as_tensor(site["scale"]).max()))
    return found
