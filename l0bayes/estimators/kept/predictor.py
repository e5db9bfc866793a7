r"""Predictions of a posterior: means, standard deviations, intervals and probabilities of classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.estimators.input_tables import Array
from l0bayes.estimators.kept.coefficient_law import CoefficientLaw
from l0bayes.estimators.kept.mixture_quantiles import mixture_quantiles
from l0bayes.likelihoods.likelihood import Likelihood

__all__ = ["ESTIMATORS", "Prediction", "Predictor"]

# What a Normal law has within one standard deviation of its mean.
_WITHIN_ONE = math.erf(math.sqrt(0.5))

ESTIMATORS = ("average", "median", "best")
"""What coefficients are averaged over: all models; the median probability model; the most probable one."""


class Prediction(NamedTuple):
    """Predictions with an interval.

    Attributes:
        mean: Posterior mean of each response, or probability of each class.
        low: Lower end of the interval.
        high: Upper end.
    """

    mean: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Predictor:
    r"""Predictions from laws of the coefficients and the law of the response.

    The interval of a response is that of its posterior predictive law, between the quantiles
    :math:`(1 - q)/2` and :math:`(1 + q)/2` of the mixture over all draws of models, coefficients and noise:
    it is no multiple of a standard deviation. That of a probability is of the probability itself.

    Args:
        law_of: From one of :data:`ESTIMATORS` to the law of the coefficients.
        likelihood: The law of the response.
    """

    law_of: Callable[[str], CoefficientLaw]
    likelihood: Likelihood
    _known: dict[str, CoefficientLaw] = field(default_factory=dict, init=False, repr=False)

    def law(self, estimator: str) -> CoefficientLaw:
        """The law of the coefficients.

        Args:
            estimator: One of :data:`ESTIMATORS`.

        Raises:
            ValueError: If it is none.
        """
        validate.one_of(ESTIMATORS, estimator=estimator)
        if estimator not in self._known:
            self._known[estimator] = self.law_of(estimator)
        return self._known[estimator]

    def response(
        self,
        x: Tensor,
        *,
        estimator: str = "average",
        return_std: bool = False,
        interval: float | None = None,
        offset: Tensor | None = None,
        trials: Tensor | None = None,
    ) -> Any:
        """Posterior means of responses, alone or with their standard deviations or intervals.

        Where all rows together are one observation, as under a partial likelihood, a row has no response of
        its own: these are of its linear predictor.

        Args:
            x: Columns, shape ``(n, p)``.
            estimator: One of :data:`ESTIMATORS`.
            return_std: Whether to give standard deviations of new responses; of a law that may have none,
                half the width of its central 68.3 %.
            interval: Probability of intervals, strictly between 0 and 1; ``None`` for none.
            offset: Added to the predictor, shape ``(n,)``.
            trials: Numbers of trials, of a likelihood that has them, shape ``(n,)``.

        Returns:
            Means of shape ``(n,)``; with ``return_std`` the pair of these and standard deviations; with an
            interval a :class:`Prediction`.

        Raises:
            ValueError: If a word or number is out of range, or both are asked for.
        """
        if interval is not None:
            validate.inside("(0, 1)", interval=interval)
            if return_std:
                raise ValueError("ask for return_std or for an interval, not for both at once")
        if not self.likelihood.by_row:
            return self._of_predictor(x, estimator, return_std, interval, offset)
        self._check_has_mean()
        if return_std and not self.likelihood.has_moments:
            found = self.response(x, estimator=estimator, interval=_WITHIN_ONE, offset=offset, trials=trials)
            return found.mean, 0.5 * (found.high - found.low)
        known, exact = self.law(estimator), self.likelihood.conjugate
        mean, std = torch.zeros(len(x), dtype=torch.float64), torch.zeros(len(x), dtype=torch.float64)
        low, high = torch.zeros_like(mean), torch.zeros_like(mean)
        if exact:
            mean = known.center(x) + (0.0 if offset is None else offset)
        variance = known.variance(x) if exact and return_std else None
        if variance is not None:
            std = (variance + known.moments["noise"]).sqrt()
        if not exact or interval is not None or (return_std and variance is None):
            for rows, eta in known.draws(x):
                eta = eta if offset is None else eta + offset[rows, None]
                of_rows = self._likelihood(None if trials is None else trials[rows, None])
                if not exact:
                    mean[rows] = of_rows.mean(eta).mean(1)
                if return_std and variance is None:
                    std[rows] = self._std(of_rows, eta, known.latents)
                if interval is not None:
                    shares = (0.5 * (1.0 - interval), 0.5 * (1.0 + interval))
                    law = of_rows.law(eta, self._latents(of_rows, known.latents))
                    low[rows], high[rows] = mixture_quantiles(law, shares)
        if interval is not None:
            return Prediction(mean.numpy(), low.numpy(), high.numpy())
        return (mean.numpy(), std.numpy()) if return_std else mean.numpy()

    def probability(
        self,
        x: Tensor,
        *,
        estimator: str = "average",
        interval: float | None = None,
        offset: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Probability of the second class, and an interval of it, each of shape ``(n,)``.

        Args:
            x: Columns, shape ``(n, p)``.
            estimator: One of :data:`ESTIMATORS`.
            interval: Probability of the interval of the class's probability; ``None`` for the mean alone.
            offset: Added to the predictor, shape ``(n,)``.

        Raises:
            ValueError: If a word or number is out of range.
        """
        if interval is not None:
            validate.inside("(0, 1)", interval=interval)
        mean = torch.zeros(len(x), dtype=torch.float64)
        low, high = torch.full_like(mean, torch.nan), torch.full_like(mean, torch.nan)
        for rows, eta in self.law(estimator).draws(x):
            drawn = self.likelihood.inverse_link(eta if offset is None else eta + offset[rows, None])
            mean[rows] = drawn.mean(1)
            if interval is not None:
                low[rows] = torch.quantile(drawn, 0.5 * (1.0 - interval), dim=1)
                high[rows] = torch.quantile(drawn, 0.5 * (1.0 + interval), dim=1)
        return mean, low, high

    def law_of_rows(
        self, eta: Tensor, known: CoefficientLaw, trials: Tensor | None = None
    ) -> tuple[Likelihood, Any]:
        """The likelihood of some rows, and the Pyro law of their responses for each draw.

        Args:
            eta: Draws of their predictors, shape ``(m, S)``.
            known: The law of the coefficients, from which these are.
            trials: Numbers of trials, of a likelihood that has them, shape ``(m, 1)``.
        """
        likelihood = self._likelihood(trials)
        return likelihood, likelihood.law(eta, self._latents(likelihood, known.latents))

    def _of_predictor(
        self, x: Tensor, estimator: str, return_std: bool, interval: float | None, offset: Tensor | None
    ) -> Any:
        """The same of the linear predictor, where a row by itself has no law: of times, its log hazard."""
        share = 0.9 if interval is None else interval
        parts = []
        for rows, eta in self.law(estimator).draws(x):
            eta = eta if offset is None else eta + offset[rows, None]
            ends = torch.tensor([0.5 * (1.0 - share), 0.5 * (1.0 + share)], dtype=torch.float64)
            parts.append(torch.cat([eta.mean(1)[None], eta.std(1)[None], torch.quantile(eta, ends, dim=1)]))
        mean, std, low, high = torch.cat(parts, 1).numpy()
        if interval is not None:
            return Prediction(mean, low, high)
        return (mean, std) if return_std else mean

    def _check_has_mean(self) -> None:
        try:
            self.likelihood.inverse_link(torch.zeros(1, dtype=torch.float64))
        except NotImplementedError as error:
            raise ValueError(f"there is no response to predict: {error}") from None

    def _likelihood(self, trials: Tensor | None) -> Likelihood:
        if not self.likelihood.takes_trials:
            return self.likelihood.with_trials(trials)
        return self.likelihood.with_trials(torch.ones(1) if trials is None else trials)

    @staticmethod
    def _latents(likelihood: Likelihood, known: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Those of each draw, or numbers that are given with the likelihood."""
        return dict(known) or likelihood.latents(torch.ones((), dtype=torch.float64))

    def _std(self, likelihood: Likelihood, eta: Tensor, known: Mapping[str, Tensor]) -> Tensor:
        r""":math:`\operatorname{Var} y = \operatorname{Var} m(\eta) + E[\operatorname{Var}(y \mid \eta)]`."""
        own = likelihood.law(eta, dict(known)).variance if known else likelihood.variance(eta)
        return (likelihood.mean(eta).var(1) + own.expand_as(eta).mean(1)).sqrt()
