r"""What estimators of generalised linear models share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from l0bayes.estimators.estimator_base import SpikeSlabEstimator
from l0bayes.estimators.input_tables import Array
from l0bayes.estimators.original_scale import Draws
from l0bayes.estimators.row_terms import RowTerms, row_offset
from l0bayes.estimators.scaling import Scaling
from l0bayes.infer.randomness import private_randomness
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_registry import likelihood_by_name, names, registered, supports
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
from l0bayes.selection.problem.learned_problem import LearnedProblem, problem_of
from l0bayes.selection.problem.level_block import LevelBlock
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.trust.likelihood_fit import LikelihoodCheck, dispersion_check

__all__ = ["GeneralisedEstimator", "likelihood_for_selection"]


class GeneralisedEstimator(SpikeSlabEstimator):
    """Base of the estimators whose likelihood has derivatives; not used by itself.

    Columns are standardised on demand, the response never is.
    """

    @abstractmethod
    def _own_likelihood(self) -> Likelihood:
        """The law of the response."""

    def _check_own(self) -> None:
        self._own_likelihood()

    def _stand_in(self, count: int, terms: RowTerms) -> Array:
        likelihood = self._problem_likelihood(terms)
        reason = likelihood.supports_draws()
        if reason is not None:
            raise ValueError(f"responses of the {likelihood.name} likelihood cannot be drawn: {reason}")
        with private_randomness(0):
            latents = likelihood.latents(torch.ones((), dtype=torch.float64))
            drawn = likelihood.law(torch.zeros(count, dtype=torch.float64), latents).sample()
        response: Array = drawn.double().numpy()
        return response

    def _scaling(self, x: Tensor, y: Tensor, weights: Tensor, blocks: Sequence[LevelBlock]) -> Scaling:
        return Scaling.of(x, weights, centered=self.fit_intercept, blocks=blocks)

    def fit(
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any = None,
        *,
        offset: Any = None,
        exposure: Any = None,
    ) -> Self:
        """Find the posterior.

        Args:
            X: Columns, shape ``(n, p)``: an array of numbers, or a data frame, in which columns of text and
                categories are factors.
            y: Response, shape ``(n,)``.
            sample_weight: A weight for each row, shape ``(n,)``: a row of weight w counts as w rows like
                it, and one of weight 0 not at all.
            offset: What is added to the linear predictor of each row, shape ``(n,)``.
            exposure: Of counts: what the mean of each row is in proportion to, such as time or population,
                positive, shape ``(n,)``; the same as ``offset=log(exposure)``.

        Returns:
            The estimator.

        Raises:
            ValueError: If an argument, a column or the response is not what it must be, by name.
        """
        return self._fit_table(X, y, sample_weight, lambda count: self._terms(count, offset, exposure))

    def _terms(self, count: int, offset: Any, exposure: Any) -> RowTerms:
        return RowTerms(offset=row_offset(self._own_likelihood(), count, offset, exposure))

    def _problem(
        self, common: dict[str, Any], scaling: Scaling, blocks: Sequence[LevelBlock], terms: RowTerms
    ) -> SelectionProblem:
        return problem_of(self._problem_likelihood(terms), **common)

    def _problem_likelihood(self, terms: RowTerms) -> Likelihood:
        """The law of the response in the rows of the fit."""
        return self._own_likelihood()

    def _likelihood_checks(
        self, y: Tensor, eta: Tensor, weights: Tensor, degrees: float, row_name: Callable[[int], str]
    ) -> list[LikelihoodCheck | None]:
        return [dispersion_check(self._typical_likelihood(), y, eta, weights, degrees)]

    def _response_law(self) -> Likelihood:
        return self._own_likelihood()

    def _latents(self, draws: Draws) -> dict[str, Tensor]:
        problem = self.posterior_.problem
        if not isinstance(problem, LearnedProblem):
            return {}
        # Those of a part of the columns have nodes of their own.
        assert draws.scalars is not None
        return {one.name: draws.scalars[:, index] for index, one in enumerate(problem.scalars)}

    def _typical_likelihood(self) -> Likelihood:
        """The law of the rows of the fit, with the posterior medians of what is learned."""
        problem = self.posterior_.problem
        if isinstance(problem, LearnedProblem):
            assert self.posterior_.draws.scalars is not None
            return problem.at(self.posterior_.draws.scalars.median(0).values.log()).likelihood
        assert isinstance(problem, GeneralisedProblem)
        return problem.likelihood


def likelihood_for_selection(given: str | Likelihood) -> Likelihood:
    """The likelihood of an argument; the engines can integrate coefficients out under it.

    Args:
        given: Its name, or the likelihood.

    Raises:
        ValueError: If the name is unknown, or the engines do not support the likelihood.
    """
    likelihood = given if isinstance(given, Likelihood) else _by_name(given)
    reason = supports(likelihood, "selection") or likelihood.supports_expansion()
    if reason is not None:
        raise ValueError(f"likelihood {likelihood!r} is not for this estimator: {reason}")
    return likelihood


def _by_name(name: Any) -> Likelihood:
    found = names("selection")
    expanded = [one for one in found if likelihood_by_name(one).supports_expansion() is None]
    usable = [one for one in expanded if not registered(one).response_shape]
    if name in found and name not in expanded:
        reason = likelihood_by_name(name).supports_expansion()
        raise ValueError(f"likelihood {name!r} by its name alone is not for this estimator: {reason}")
    if name in names():
        return likelihood_by_name(name, "selection")
    raise ValueError(
        f"likelihood must be one of {', '.join(usable)}, or an object such as "
        "l0bayes.likelihoods.NegativeBinomial(dispersion=0.5), whose options a name cannot give; "
        f"got {name!r}"
    )
