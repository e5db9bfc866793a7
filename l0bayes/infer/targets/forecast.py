r"""Will it prune? How far gates can move during a run, before it has begun."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pyro
import torch
from pyro import poutine
from torch import Tensor
from torch.distributions import Independent
from torch.optim import Optimizer

from l0bayes import validate
from l0bayes.distributions import Gate, GateLaw, L0Penalty
from l0bayes.infer.objectives.gate_parts import gate_guide_of, gate_parameters
from l0bayes.infer.objectives.score_elbo import elbo_of
from l0bayes.infer.randomness import private_randomness
from l0bayes.infer.schedules import Linear, Schedule, as_schedule

__all__ = [
    "OptimizerKind",
    "PruningForecast",
    "PruningWarning",
    "SiteForecast",
    "forecast_of_optimizer",
    "pruning_forecast",
]

OptimizerKind = Literal["adam", "sgd"]

_NODES, _WEIGHTS = (torch.tensor(a) for a in np.polynomial.legendre.leggauss(48))


class PruningWarning(UserWarning):
    """No gate of a site can close in the run as it is set up."""


@dataclass(frozen=True)
class SiteForecast:
    r"""How far the gates of one site can go.

    Attributes:
        gates: Number of gates that start open.
        pull: Force of the prior on a gate at :math:`P(z \ne 0) = \tfrac12`, per unit of
            :math:`\sigma'`, in nats: the penalty λ of ``L0Penalty``, :math:`-\operatorname{logit}\pi`
            of ``Gate``. The mean over the gates.
        start: Activity logit of the gate that is nearest to closing.
        end: Where it can be at the end of the run, 0 where it closes.
        closing: Number of gates that can close, those that start closed left out.
        factor: How many times larger the gates' learning rate would have to be for the first gate to
            close; at most 1 where one closes, infinite where nothing pulls.
    """

    gates: int
    pull: float
    start: float
    end: float
    closing: int
    factor: float


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
        warnings.warn(
            f"no gate of these sites can close (at 0) in {self.steps} steps with gate_lr {self.gate_lr:g}: "
            f"{what}. Raise gate_lr to about {self.gate_lr * needed:.2g} or more, {cure}",
            PruningWarning,
            stacklevel=3,
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

    Returns:
        The forecast, to be printed.

    Raises:
        ValueError: If an argument is outside its range.
    """
    validate.one_of(get_args(OptimizerKind), optimizer=optimizer)
    validate.at_least(1, steps=steps)
    validate.positive(gate_lr=gate_lr, loss_scale=loss_scale)
    validate.inside("[0, 1)", momentum=momentum)
    schedule = Linear(1.0, 0.01, begin=0.5) if lr_schedule is None else as_schedule(lr_schedule)
    travelled = gate_lr * sum(schedule(step / steps) for step in range(steps))
    sites = {}
    for name, (start, pull, scale) in _gates(model, guide, data, targeted).items():
        way = travelled * _speed(guide, name, optimizer, start)
        if optimizer == "sgd":
            sites[name] = _under_sgd(start, pull, way * loss_scale * scale / (1.0 - momentum))
        else:
            sites[name] = _under_adam(start, pull, way)
    return PruningForecast(sites, optimizer, gate_lr, steps)


@dataclass(frozen=True)
class _Pull:
    """The force f(a) of a prior: ``constant + slope * a``, elementwise."""

    constant: Tensor
    slope: float

    def __call__(self, logits: Tensor) -> Tensor:
        return self.constant + self.slope * logits

    def __getitem__(self, index: Tensor) -> _Pull:
        return _Pull(self.constant[index], self.slope)


def forecast_of_optimizer(
    model: Any,
    guide: Any,
    data: tuple[Any, ...],
    optimizer: Optimizer,
    *,
    steps: int,
    gate_lr: float,
    lr_schedule: Schedule,
    targeted: bool,
) -> PruningForecast | None:
    """The forecast for an optimiser, or ``None`` where there is none.

    Args:
        model: A Pyro model.
        guide: Its guide, at its start.
        data: The model's arguments.
        optimizer: Any optimiser; SGD and those of Adam's family are known.
        steps: Number of steps.
        gate_lr: Learning rate of the gates.
        lr_schedule: Factor on it over progress.
        targeted: Whether a target pushes the gates shut; there is no forecast for it with SGD.
    """
    settings: dict[str, Any] = {"steps": steps, "gate_lr": gate_lr, "lr_schedule": lr_schedule}
    if isinstance(optimizer, torch.optim.SGD):
        momentum = max(float(group.get("momentum", 0.0)) for group in optimizer.param_groups)
        if targeted or not momentum < 1.0:
            return None
        return pruning_forecast(model, guide, data, optimizer="sgd", momentum=momentum, **settings)
    if "adam" not in type(optimizer).__name__.lower():
        return None
    return pruning_forecast(model, guide, data, optimizer="adam", targeted=targeted, **settings)


def _gates(
    model: Any, guide: Any, data: tuple[Any, ...], targeted: bool
) -> dict[str, tuple[Tensor, _Pull, float]]:
    """Start, pull and scale of every gate site with a prior whose force is known."""
    with private_randomness(), torch.no_grad(), pyro.get_param_store().scope(), poutine.block():
        model_trace, guide_trace = elbo_of(guide)._get_trace(model, guide, data, {})
    found = {}
    for name, site in guide_trace.nodes.items():
        if site["type"] != "sample" or name not in model_trace.nodes:
            continue
        law, prior = _base(site["fn"]), _base(model_trace.nodes[name]["fn"])
        if not isinstance(law, GateLaw):
            continue
        start = law.activity_logits.detach().double().cpu()
        if targeted:
            found[name] = (start.flatten(), _Pull(torch.ones_like(start).flatten(), 0.0), 1.0)
            continue
        if not isinstance(prior, Gate | L0Penalty):
            continue
        penalty = isinstance(prior, L0Penalty)
        constant = prior.penalty if penalty else -prior.inclusion_logits
        constant = constant.detach().double().cpu().expand(start.shape).flatten()
        pull = _Pull(constant, 0.0 if penalty else 1.0)
        found[name] = (start.flatten(), pull, float(torch.as_tensor(site["scale"]).max()))
    return found


def _speed(guide: Any, site: str, optimizer: OptimizerKind, start: Tensor) -> Tensor:
    """How fast activity logits move with the parameters of their gates; 1 where they are their parameters.

    Where the gates in ``start`` are some of the site's, as in a subsample, it is the mean over the site.
    """
    try:
        part = copy.deepcopy(gate_guide_of(guide, site))
    except ValueError:  # a guide of one's own, of whose parameters nothing is known
        return torch.ones_like(start)
    parameters = gate_parameters(part)
    speeds = []
    for _ in range(2):  # at the start, and after a move that would close the gates at the speed there
        slopes = _slopes(part, site, parameters)
        if not slopes:
            return torch.ones_like(start)
        adam = torch.stack([slope.abs() for _, slope in slopes]).sum(0)
        shared = [slope.square() * (slope.numel() / p.numel()) for p, slope in slopes]
        speeds.append(adam if optimizer == "adam" else torch.stack(shared).sum(0))
        with torch.no_grad():
            way = part.gates()[site].activity_logits.clamp(min=0.0) / adam.clamp(min=1e-6)
            for parameter, slope in slopes:
                shift = way * slope.sign()
                parameter.sub_(shift if parameter.shape == shift.shape else shift.mean())
    speed = (0.5 * (speeds[0] + speeds[1])).double().cpu().flatten()
    return speed if speed.shape == start.shape else speed.mean().expand(start.shape)


def _slopes(part: Any, site: str, parameters: list[torch.nn.Parameter]) -> list[tuple[Tensor, Tensor]]:
    """Parameters of a site with the derivative of each gate's activity logit in its own."""
    with torch.enable_grad(), pyro.get_param_store().scope():
        logits = part.gates()[site].activity_logits
        if not (parameters and logits.requires_grad):
            return []
        found = torch.autograd.grad(logits.sum(), parameters, allow_unused=True)
    return [  # that of a parameter that gates share is the sum of theirs
        (parameter, (total * (total.numel() / logits.numel())).expand(logits.shape))
        for parameter, total in zip(parameters, found, strict=True)
        if total is not None
    ]


def _base(fn: Any) -> Any:
    return fn.base_dist if isinstance(fn, Independent) else fn


def _under_sgd(start: Tensor, pull: _Pull, time: Tensor) -> SiteForecast:
    is_open = start > 0
    if not is_open.any():
        return _none_open(start, pull)
    start, pull, time = start[is_open], pull[is_open], time[is_open]
    needed = _time(start, torch.zeros_like(start), pull)
    first = (needed / time).argmin()
    low, high = torch.zeros(()).double(), start[first]
    for _ in range(60):  # where the first gate gets to: the travel time grows as the end falls
        middle = (low + high) / 2
        if _time(start[first], middle, pull[first]) > time[first]:
            low = middle
        else:
            high = middle
    return SiteForecast(
        gates=len(start),
        pull=float(pull.constant.mean()),
        start=float(start[first]),
        end=0.0 if needed[first] <= time[first] else float(high),
        closing=int((needed <= time).sum()),
        factor=float(needed[first] / time[first]),
    )


def _time(start: Tensor, end: Tensor, pull: _Pull) -> Tensor:
    r""":math:`\int da / (\sigma'(a) f(a))` from end to start; infinite where the prior does not pull down."""
    middle, half = (start + end) / 2, (start - end) / 2
    total = torch.zeros_like(start)
    for node, weight in zip(_NODES.tolist(), _WEIGHTS.tolist(), strict=True):
        logits = middle + half * node
        total = total + weight * half * (2.0 + 2.0 * torch.cosh(logits)) / pull(logits)
    return torch.where(pull(end) > 0, total, torch.inf)


def _under_adam(start: Tensor, pull: _Pull, distance: Tensor) -> SiteForecast:
    is_open = start > 0
    if not is_open.any():
        return _none_open(start, pull)
    start, pull, distance = start[is_open], pull[is_open], distance[is_open]
    needed = torch.where(pull(torch.zeros_like(start)) > 0, start, torch.inf)
    first = (needed / distance).argmin()
    end = (
        float((start[first] - distance[first]).clamp(min=0.0))
        if needed[first] < torch.inf
        else float(start[first])
    )
    return SiteForecast(
        gates=len(start),
        pull=float(pull.constant.mean()),
        start=float(start[first]),
        end=end,
        closing=int((needed <= distance).sum()),
        factor=float(needed[first] / distance[first]),
    )


def _none_open(start: Tensor, pull: _Pull) -> SiteForecast:
    nearest = float(start.max()) if len(start) else 0.0
    return SiteForecast(0, float(pull.constant.mean()) if len(start) else 0.0, nearest, nearest, 0, 0.0)
