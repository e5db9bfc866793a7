r"""The candidates of a gradient report: gate laws with pathwise gradients, estimators on binary gates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.distributions import GateLaw, StraightThroughGate
from l0bayes.gate_families import GATE_FAMILIES, GateFamily
from l0bayes.gradients.gate_problem import GateProblem
from l0bayes.gradients.gradient_draws import BinaryDraws, GradientDraws, PathwiseDraws, Piece
from l0bayes.guides import AutoGateGuide
from l0bayes.infer.objectives.gate_gradients import GATE_GRADIENTS, RLOO, GateGradient

__all__ = ["Candidate", "all_candidates", "draws_of"]

_OWN = "guide"


@dataclass(frozen=True)
class Candidate:
    """One way to compute a gradient for gates.

    Args:
        gate_law: Name of a gate law, one of :data:`~l0bayes.gate_families.GATE_FAMILIES`; or ``"guide"``, the
            guide's own with its own parameters and estimator.
        temperature: Temperature, of laws that have one or start at one; ``None`` for the law's default.
        estimator: For binary gates: ``"disarm"`` (the default), ``"rloo"``,
            ``"straight_through"``, or a :class:`~l0bayes.infer.GateGradient` such as ``RLOO(4)``.
        label: Name in the report; by default made of the above.

    Raises:
        ValueError: If the gate law or estimator is unknown, the temperature is not positive, or the gate law
            has no temperature or estimator and one is given.
    """

    gate_law: str
    temperature: float | None = None
    estimator: str | GateGradient | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        validate.one_of((*GATE_FAMILIES, _OWN), gate_law=self.gate_law)
        record = self.record
        if self.temperature is not None:
            if record is None or record.temperature is None:
                raise ValueError(
                    f"temperature must be None for the gate law {self.gate_law!r}, which has none to set; "
                    f"got {self.temperature!r}"
                )
            validate.positive(temperature=self.temperature)
        if self.estimator is not None:
            if record is None or record.is_relaxed:
                binary = ", ".join(repr(name) for name, one in GATE_FAMILIES.items() if not one.is_relaxed)
                raise ValueError(
                    f"estimator must be None for every gate law except {binary}; "
                    f"got {self.estimator!r} with {self.gate_law!r}"
                )
            if not isinstance(self.estimator, GateGradient):
                validate.one_of(record.estimators, ", or a GateGradient", estimator=self.estimator)

    @property
    def record(self) -> GateFamily | None:
        """The record of the family; ``None`` for the guide's own."""
        return GATE_FAMILIES.get(self.gate_law)

    @property
    def gradient(self) -> GateGradient | None:
        """The estimator of the gradient of binary gates; ``None`` for relaxed gates and straight-through."""
        if self.record is None or self.record.is_relaxed:
            return None
        if isinstance(self.estimator, GateGradient):
            return self.estimator
        return GATE_GRADIENTS.get(self.estimator or self.record.estimators[0])

    @property
    def name(self) -> str:
        """The label; by default one made of the other arguments."""
        if self.label is not None:
            return self.label
        if self.gradient is not None:
            return self.gradient.label
        if self.estimator is not None:
            return str(self.estimator)
        return self.gate_law if self.temperature is None else f"{self.gate_law} at {self.temperature:g}"


def all_candidates() -> tuple[Candidate, ...]:
    """The guide's own, every relaxed family at its defaults, and the estimators on binary gates."""
    relaxed = (Candidate(name) for name, record in GATE_FAMILIES.items() if record.is_relaxed)
    binary = next(record for record in GATE_FAMILIES.values() if not record.is_relaxed)
    estimators: list[str | GateGradient] = list(binary.estimators)
    estimators.insert(estimators.index("rloo") + 1, RLOO(4))
    return (Candidate(_OWN), *relaxed, *(Candidate(binary.name, estimator=one) for one in estimators))


def draws_of(candidate: Candidate, problem: GateProblem, guide: Any) -> GradientDraws:
    """The draws of a candidate for a problem.

    Args:
        candidate: The candidate.
        problem: Likelihood and KL.
        guide: The guide of the problem.

    Raises:
        ValueError: If a gate law cannot reach the guide's activity logits.
    """
    record, logits = candidate.record, problem.logits
    if record is None:
        return _own_draws(problem, guide)
    if candidate.gradient is not None:
        return BinaryDraws(problem, candidate.gradient)
    if not record.is_relaxed:
        return PathwiseDraws(problem, [Piece(logits, StraightThroughGate)])
    law = _by_first_parameter(record, candidate.temperature)
    return PathwiseDraws(problem, [Piece(_solve_activity(law, logits.double(), record.name).to(logits), law)])


def _own_draws(problem: GateProblem, guide: AutoGateGuide) -> GradientDraws:
    if not any(law.has_rsample for law in guide.gates().values()):
        return BinaryDraws(problem, guide.gate_gradient)
    pieces = []
    for site, shape in problem.shapes.items():
        # Tied gates share one parameter; its gradient is the sum of the gradients reported for the gates.
        values = {name: value.detach().expand(shape) for name, value in guide.gate_values(site).items()}
        pieces.append(_own_piece(guide, values))
    return PathwiseDraws(problem, pieces)


def _own_piece(guide: AutoGateGuide, values: dict[str, Tensor]) -> Piece:
    """Gates of a guide, by their first parameter with the others held."""
    (opening, first), *others = values.items()

    def law(parameter: Tensor) -> GateLaw:
        held = {name: value.expand(parameter.shape) for name, value in others}
        return guide.relaxed_law(**{opening: parameter}, **held)

    return Piece(first, law)


def _by_first_parameter(record: GateFamily, temperature: float | None) -> Callable[[Tensor], GateLaw]:
    """A family's law as a function of its first parameter, the others where an undecided gate starts."""
    opening, *others = record.start_at(0.0, temperature).items()

    def law(parameter: Tensor) -> GateLaw:
        held = {name: value.to(parameter).expand(parameter.shape) for name, value in others}
        return record.law_of({opening[0]: parameter, **held}, temperature)

    return law


def _solve_activity(law: Callable[[Tensor], GateLaw], logits: Tensor, gate_law: str) -> Tensor:
    """The first parameter at which a law has given activity logits, by bisection; it is increasing."""
    low, high = torch.full_like(logits, -1.0), torch.full_like(logits, 1.0)
    with torch.no_grad():
        for _ in range(40):
            low = torch.where(law(low).activity_logits > logits, 2.0 * low, low)
            high = torch.where(law(high).activity_logits < logits, 2.0 * high, high)
        outside = (law(low).activity_logits > logits) | (law(high).activity_logits < logits)
        if outside.any():
            raise ValueError(
                f"gate law {gate_law!r} does not reach activity logits of "
                f"{float(logits[outside].abs().max()):.3g}; leave it out of the candidates"
            )
        for _ in range(80):
            middle = 0.5 * (low + high)
            above = law(middle).activity_logits > logits
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    return 0.5 * (low + high)
