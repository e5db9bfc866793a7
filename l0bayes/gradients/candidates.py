r"""What is put to the test: gate families with the pathwise gradient, and estimators on binary gates."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from l0bayes.distributions import BernoulliGate, GateLaw, StraightThroughGate
from l0bayes.gradients.problem import GateProblem
from l0bayes.guides import FAMILIES, AutoGateGuide
from l0bayes.infer.gate_gradients import RLOO, DisARM, GateGradient
from l0bayes.infer.randomness import private_randomness
from l0bayes.sites import gate

__all__ = ["BinaryDraws", "Candidate", "GradientDraws", "PathwiseDraws", "all_candidates", "draws_of"]

_OWN = "guide"
_NAMED: dict[str, GateGradient] = {"disarm": DisARM(), "rloo": RLOO()}
_ESTIMATORS = (*_NAMED, "straight_through")
_TEMPERATURES = ("temperature", "init_temperature")


@dataclass(frozen=True)
class Candidate:
    """A way to a gradient for gates.

    Args:
        family: A gate family by its name in :data:`l0bayes.guides.FAMILIES`; or ``"guide"``, the guide's own
            with its own parameters and estimator.
        temperature: Temperature, of families that have one (a start value for ``"hard_kumaraswamy"``);
            ``None`` for the family's default.
        estimator: For the family ``"bernoulli"``: ``"disarm"`` (the default), ``"rloo"``,
            ``"straight_through"``, or a :class:`~l0bayes.infer.GateGradient` such as ``RLOO(4)``.
        label: Name in the report; by default made of the above.

    Raises:
        ValueError: If the family or estimator is unknown, the temperature is not positive, or an argument is
            given that the family does not have.
    """

    family: str
    temperature: float | None = None
    estimator: str | GateGradient | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        if self.family not in (*FAMILIES, _OWN):
            raise ValueError(f"family must be one of {', '.join((*FAMILIES, _OWN))}; got {self.family!r}")
        if self.temperature is not None:
            if self.family == _OWN or not _temperature_name(self.family):
                raise ValueError(
                    f"temperature must be None for the family {self.family!r}, which has none to set; "
                    f"got {self.temperature!r}"
                )
            if not self.temperature > 0.0:
                raise ValueError(f"temperature must be positive, got {self.temperature!r}")
        if self.estimator is not None:
            if self.family != "bernoulli":
                raise ValueError(
                    f"estimator must be None but for the family 'bernoulli'; "
                    f"got {self.estimator!r} with {self.family!r}"
                )
            if not isinstance(self.estimator, GateGradient) and self.estimator not in _ESTIMATORS:
                raise ValueError(
                    f"estimator must be one of {', '.join(_ESTIMATORS)}, or a GateGradient; "
                    f"got {self.estimator!r}"
                )

    @property
    def name(self) -> str:
        """The label, or what stands for it."""
        if self.label is not None:
            return self.label
        if self.family == "bernoulli":
            estimator = self.estimator or "disarm"
            if not isinstance(estimator, str):
                return _estimator_name(estimator)
            return _estimator_name(_NAMED[estimator]) if estimator in _NAMED else estimator
        return self.family if self.temperature is None else f"{self.family} at {self.temperature:g}"


def all_candidates() -> tuple[Candidate, ...]:
    """The guide's own, every relaxed family at its defaults, and the estimators on binary gates."""
    relaxed = (Candidate(family) for family in FAMILIES if family != "bernoulli")
    estimators: tuple[str | GateGradient, ...] = ("disarm", RLOO(2), RLOO(4), "straight_through")
    binary = (Candidate("bernoulli", estimator=one) for one in estimators)
    return (Candidate(_OWN), *relaxed, *binary)


class GradientDraws(ABC):
    r"""Independent draws of an estimate of :math:`\partial F / \partial \ell`."""

    @property
    @abstractmethod
    def evaluations(self) -> int:
        """Evaluations of the model for one draw."""

    @abstractmethod
    def draw(self, count: int) -> Tensor:
        """Estimates of shape (count, G), from torch's global generator.

        Args:
            count: How many.
        """


class BinaryDraws(GradientDraws):
    r"""An unbiased estimator on binary gates; see :class:`~l0bayes.infer.GateGradient`.

    Args:
        problem: Likelihood and KL.
        estimator: The estimator.
    """

    def __init__(self, problem: GateProblem, estimator: GateGradient) -> None:
        self.problem, self.estimator = problem, estimator

    @property
    def evaluations(self) -> int:
        return self.estimator.num_evaluations

    def draw(self, count: int) -> Tensor:
        logits = self.problem.logits
        first = torch.bernoulli(logits.sigmoid().expand(count, -1))
        gates = [first, *self.estimator.companions(logits, first)]
        values = [self.problem.values(one)[:, None] for one in gates]
        return self.estimator.gradient(logits, gates, values) - self.problem.kl_gradient


@dataclass(frozen=True)
class _Piece:
    """Gates that are drawn together: their first parameter, and their law as a function of it."""

    first: Tensor
    law: Callable[[Tensor], GateLaw]


class PathwiseDraws(GradientDraws):
    r"""The pathwise gradient through a relaxed law, in the coordinate of the activity logit.

    A gate :math:`z = z(u, \varphi)` depends on its own first parameter :math:`\varphi` alone, and so does its
    activity logit :math:`\ell(\varphi)`. With the family's other parameters held,

    .. math::
        \frac{\partial f(z)}{\partial z_j}\;\frac{\partial z_j}{\partial\varphi_j}\;
        \Bigl(\frac{\partial\ell_j}{\partial\varphi_j}\Bigr)^{-1}.

    Args:
        problem: Likelihood and KL.
        pieces: The laws of the gates, in the problem's order.
    """

    evaluations = 1

    def __init__(self, problem: GateProblem, pieces: Sequence[_Piece]) -> None:
        self.problem, self.pieces = problem, tuple(pieces)
        slopes = [_slope(piece.law, piece.first, lambda law: law.activity_logits)[1] for piece in pieces]
        self._activity_slope = torch.cat([slope.reshape(-1) for slope in slopes])

    def draw(self, count: int) -> Tensor:
        gates, slopes = [], []
        for piece in self.pieces:
            first = piece.first.expand(count, *piece.first.shape)
            drawn, slope = _slope(piece.law, first, lambda law: law.rsample())
            gates.append(drawn.reshape(count, -1))
            slopes.append(slope.reshape(count, -1))
        by_parameter = self.problem.slopes(torch.cat(gates, -1)) * torch.cat(slopes, -1)
        return by_parameter / self._activity_slope - self.problem.kl_gradient


def _slope(
    law: Callable[[Tensor], GateLaw], first: Tensor, read: Callable[[GateLaw], Tensor]
) -> tuple[Tensor, Tensor]:
    """Something read off a law, elementwise, and its derivative in the law's first parameter."""
    with torch.enable_grad():
        leaf = first.detach().clone().requires_grad_()
        value = read(law(leaf))
        (slope,) = torch.autograd.grad(value.sum(), leaf)
    return value.detach(), slope


def draws_of(candidate: Candidate, problem: GateProblem, guide: Any) -> GradientDraws:
    """What a candidate draws for a problem.

    Args:
        candidate: The candidate.
        problem: Likelihood and KL.
        guide: The guide of the problem.

    Raises:
        ValueError: If a family cannot reach the guide's activity logits.
    """
    if candidate.family == _OWN:
        return _own_draws(problem, guide)
    logits = problem.logits
    if candidate.family == "bernoulli":
        if candidate.estimator == "straight_through":
            return PathwiseDraws(problem, [_Piece(logits, StraightThroughGate)])
        estimator = candidate.estimator or "disarm"
        return BinaryDraws(problem, _NAMED[estimator] if isinstance(estimator, str) else estimator)
    law = _family_law(candidate, logits)
    first = _solve_activity(_family_law(candidate, logits.double()), logits.double(), candidate.family)
    return PathwiseDraws(problem, [_Piece(first.to(logits), law)])


def _own_draws(problem: GateProblem, guide: AutoGateGuide) -> GradientDraws:
    laws = guide.gates()
    if all(isinstance(law, BernoulliGate) and not law.has_rsample for law in laws.values()):
        return BinaryDraws(problem, guide.gate_gradient)
    pieces = []
    for site, shape in problem.shapes.items():
        # Tied gates have one parameter in common; its gradient is the sum of what is reported of them.
        values = {name: value.expand(shape) for name, value in _gate_values(guide, site).items()}
        pieces.append(_piece(guide, values))
    return PathwiseDraws(problem, pieces)


def _gate_values(guide: AutoGateGuide, site: str) -> dict[str, Tensor]:
    """The gate parameters of a guide at a site."""
    key = site.replace(".", "/")
    return {name: getattr(getattr(guide, name), key).detach() for name in guide.gate_parameter_names}


def _piece(guide: AutoGateGuide, values: dict[str, Tensor]) -> _Piece:
    """Gates of a guide's family, by their first parameter with the others held."""
    (opening, first), *others = values.items()

    def law(parameter: Tensor) -> GateLaw:
        held = {name: value.expand(parameter.shape) for name, value in others}
        return guide.relaxed_law(**{opening: parameter}, **held)

    return _Piece(first, law)


def _family_law(candidate: Candidate, like: Tensor) -> Callable[[Tensor], GateLaw]:
    """A family's law as a function of its first parameter, the others where a fresh guide starts."""

    def one_gate() -> None:
        gate("gate", 0.5)

    options: dict[str, Any] = {}
    if candidate.temperature is not None:
        options[str(_temperature_name(candidate.family))] = candidate.temperature
    with private_randomness(0):
        guide = FAMILIES[candidate.family](one_gate, **options).to(like)
    return _piece(guide, _gate_values(guide, "gate")).law


def _temperature_name(family: str) -> str | None:
    """What the temperature is called in the options of a family's guide."""
    known = inspect.signature(FAMILIES[family].__init__).parameters
    return next((name for name in _TEMPERATURES if name in known), None)


def _solve_activity(law: Callable[[Tensor], GateLaw], logits: Tensor, family: str) -> Tensor:
    """The first parameter at which a law has given activity logits, by bisection; it is increasing."""
    low, high = torch.full_like(logits, -1.0), torch.full_like(logits, 1.0)
    with torch.no_grad():
        for _ in range(12):  # to 4096, beyond which no family has anything left to say
            low = torch.where(law(low).activity_logits > logits, 2.0 * low, low)
            high = torch.where(law(high).activity_logits < logits, 2.0 * high, high)
        outside = (law(low).activity_logits > logits) | (law(high).activity_logits < logits)
        if outside.any():
            raise ValueError(
                f"family {family!r} does not reach activity logits of "
                f"{float(logits[outside].abs().max()):.3g}; leave it out of families"
            )
        for _ in range(80):
            middle = 0.5 * (low + high)
            above = law(middle).activity_logits > logits
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    return 0.5 * (low + high)


def _estimator_name(estimator: GateGradient) -> str:
    if isinstance(estimator, RLOO):
        return f"rloo({estimator.num_evaluations})"
    return type(estimator).__name__.lower()
