r"""What is put to the test: gate families with the pathwise gradient, and estimators on binary gates."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from l0bayes.distributions import BernoulliGate, GateLaw, StraightThroughGate
from l0bayes.gradients.gate_problem import GateProblem
from l0bayes.gradients.gradient_draws import BinaryDraws, GradientDraws, PathwiseDraws, Piece
from l0bayes.guides import FAMILIES, AutoGateGuide
from l0bayes.infer.objectives.gate_gradients import RLOO, DisARM, GateGradient
from l0bayes.infer.randomness import private_randomness
from l0bayes.sites import gate

__all__ = ["Candidate", "all_candidates", "draws_of"]

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
            return PathwiseDraws(problem, [Piece(logits, StraightThroughGate)])
        estimator = candidate.estimator or "disarm"
        return BinaryDraws(problem, _NAMED[estimator] if isinstance(estimator, str) else estimator)
    law = _family_law(candidate, logits)
    first = _solve_activity(_family_law(candidate, logits.double()), logits.double(), candidate.family)
    return PathwiseDraws(problem, [Piece(first.to(logits), law)])


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


def _piece(guide: AutoGateGuide, values: dict[str, Tensor]) -> Piece:
    """Gates of a guide's family, by their first parameter with the others held."""
    (opening, first), *others = values.items()

    def law(parameter: Tensor) -> GateLaw:
        held = {name: value.expand(parameter.shape) for name, value in others}
        return guide.relaxed_law(**{opening: parameter}, **held)

    return Piece(first, law)


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
        for _ in range(40):
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
