r"""A generalised linear model whose likelihood has numbers that are learned."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from l0bayes.likelihoods.learned_scalar import LearnedScalar
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["LearnedProblem", "problem_of"]


@dataclass(frozen=True, eq=False)
class LearnedProblem(SelectionProblem):
    r"""A :class:`~l0bayes.selection.problem.generalised_problem.GeneralisedProblem` given a few numbers s.

    .. math:: \log p(y \mid \eta, s) = \sum_i w_i \log p(y_i \mid \eta_i, s), \qquad s \sim p(s)

    Such as the dispersion of negative binomial counts, or the scale and the degrees of freedom of Student-t
    noise. Engines integrate over them in every model, by the trapezoidal rule over :math:`t = \log s`:

    .. math:: p(y \mid \gamma) = \int p(y \mid \gamma, e^t)\, p(e^t)\, e^t\, dt

    Args:
        x, y, prior, slab_scale, groups: As there.
        unpenalised, unpenalised_scale, offset, weights: As there.
        likelihood: Law of the response given η, with numbers that it learns; by keyword.

    Raises:
        TypeError: If the likelihood is not one of those.
        ValueError: If shapes do not fit, a number is out of range or not finite, the response is
            impossible, or offsets are further apart than numbers hold.
    """

    is_gaussian: ClassVar[bool] = False

    likelihood: Likelihood = field(kw_only=True)

    def __post_init__(self) -> None:
        reason = self.likelihood.supports_expansion()
        if reason is None and not self.likelihood.unknowns:
            reason = "it has no number that is learned; take a GeneralisedProblem"
        if reason is not None:
            raise TypeError(f"the likelihood {self.likelihood!r} has no refinement: {reason}")
        super().__post_init__()
        self.likelihood.check(self.y)
        self.likelihood.check_offset(self.offset)

    @property
    def scalars(self) -> tuple[LearnedScalar, ...]:
        """The q numbers that are learned."""
        return self.likelihood.learned_scalars()

    @property
    def start(self) -> Tensor:
        """Logarithms of numbers to start a search from, shape ``(q,)``."""
        return torch.tensor([one.start for one in self.scalars], dtype=torch.float64).log()

    def at(self, logs: Tensor) -> GeneralisedProblem:
        """The problem at given numbers.

        Args:
            logs: Their logarithms, shape ``(q,)``.
        """
        values = {one.name: float(log.exp()) for one, log in zip(self.scalars, logs, strict=True)}
        return self.kept(_at_start).replace(likelihood=self.likelihood.given(values))

    def log_density(self, logs: Tensor) -> Tensor:
        """Log prior density of the numbers' logarithms, shape ``(...)``.

        Args:
            logs: Shape ``(..., q)``.
        """
        parts = [one.log_density(logs[..., index]) for index, one in enumerate(self.scalars)]
        return torch.stack(parts).sum(0)


def _at_start(problem: LearnedProblem) -> GeneralisedProblem:
    values = {one.name: one.start for one in problem.scalars}
    return GeneralisedProblem(
        **problem.parts(),
        likelihood=problem.likelihood.given(values),
    )


def problem_of(likelihood: Likelihood, **parts: Tensor) -> GeneralisedProblem | LearnedProblem:
    """The problem of a likelihood, of the kind that it takes.

    Args:
        likelihood: The law of the response.
        **parts: What all problems have.
    """
    kind: type[GeneralisedProblem | LearnedProblem] = (
        LearnedProblem if likelihood.unknowns else GeneralisedProblem
    )
    built: GeneralisedProblem | LearnedProblem = kind(likelihood=likelihood, **parts)  # type: ignore[arg-type]
    return built
