r"""What estimators of generalised linear models share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from l0bayes.estimators.estimator_base import SpikeSlabEstimator
from l0bayes.estimators.input_tables import Array
from l0bayes.estimators.scaling import Scaling
from l0bayes.infer.randomness import private_randomness
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_registry import likelihood_by_name, names, supports
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
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

    def _stand_in(self, count: int) -> Array:
        likelihood = self._own_likelihood()
        with private_randomness(0):
            latents = likelihood.latents(torch.ones((), dtype=torch.float64))
            drawn = likelihood.law(torch.zeros(count, dtype=torch.float64), latents).sample()
        response: Array = drawn.double().numpy()
        return response

    def _scaling(self, x: Tensor, y: Tensor, weights: Tensor, blocks: Sequence[LevelBlock]) -> Scaling:
        return Scaling.of(x, weights, centered=self.fit_intercept, blocks=blocks)

    def _problem(
        self, common: dict[str, Any], scaling: Scaling, blocks: Sequence[LevelBlock]
    ) -> SelectionProblem:
        return GeneralisedProblem(likelihood=self._own_likelihood(), **common)

    def _likelihood_checks(
        self, y: Tensor, eta: Tensor, weights: Tensor, degrees: float, row_name: Callable[[int], str]
    ) -> list[LikelihoodCheck | None]:
        return [dispersion_check(self._own_likelihood(), y, eta, weights, degrees)]

    def _response_law(self) -> Likelihood:
        return self._own_likelihood()


def likelihood_for_selection(given: str | Likelihood) -> Likelihood:
    """The likelihood of an argument; the engines can integrate coefficients out under it.

    Args:
        given: Its name, or the likelihood.

    Raises:
        ValueError: If the name is unknown, or the engines do not support the likelihood.
    """
    likelihood = given if isinstance(given, Likelihood) else _by_name(given)
    reason = supports(likelihood, "selection") or supports(likelihood, "derivatives")
    if reason is not None:
        raise ValueError(f"likelihood {likelihood!r} is not for this estimator: {reason}")
    return likelihood


def _by_name(name: Any) -> Likelihood:
    found = names("selection")
    usable = [one for one in found if supports(likelihood_by_name(one), "derivatives") is None]
    if name in found and name not in usable:
        reason = supports(likelihood_by_name(name), "derivatives")
        raise ValueError(f"likelihood {name!r} by its name alone is not for this estimator: {reason}")
    if name in names():
        return likelihood_by_name(name, "selection")
    raise ValueError(
        f"likelihood must be one of {', '.join(usable)}, or an object such as "
        "l0bayes.likelihoods.NegativeBinomial(dispersion=0.5), whose options a name cannot give; "
        f"got {name!r}"
    )
