r"""Spike-and-slab linear regression that outliers do not move."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from sklearn.base import RegressorMixin
from torch import Tensor

from l0bayes import validate
from l0bayes.estimators.arguments import positive
from l0bayes.estimators.fold_scores import FoldScores
from l0bayes.estimators.input_tables import Array, ConstantColumnWarning
from l0bayes.estimators.noise_argument import check_noise
from l0bayes.estimators.offset_predictions import OffsetPredictions
from l0bayes.estimators.original_scale import Draws
from l0bayes.estimators.robust_scale import median_and_spread, refuse_jeffreys, weak_prior
from l0bayes.estimators.row_terms import RowTerms
from l0bayes.estimators.scaling import Scaling
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.student_t_likelihood import StudentT
from l0bayes.selection.problem.learned_problem import problem_of
from l0bayes.selection.problem.level_block import LevelBlock
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.trust.likelihood_fit import LikelihoodCheck
from l0bayes.user_warnings import warn_user

__all__ = ["SpikeSlabRobustRegressor"]

# Share of a Normal law that lies within one standard deviation of its mean.
_WITHIN_ONE = math.erf(math.sqrt(0.5))


class SpikeSlabRobustRegressor(FoldScores, RegressorMixin, OffsetPredictions):  # type: ignore[misc]
    r"""Linear regression with Student-t noise in which every column is in or out.

    With ``standardize=False`` and ``fit_intercept=False`` the model is exactly

    .. math::
        (y - o - X\beta)/\sigma \sim t_\nu, \qquad \beta_j = z_j\theta_j, \qquad
        z_j \sim \mathrm{Bern}(\pi), \qquad \theta_j \sim N(0, s^2)

    with s the ``slab_scale``, π the ``inclusion`` and o the offset given to ``fit``. The scale σ is a number,
    or learned under the prior ``noise_prior``; the degrees of freedom ν are a number, or learned with
    :math:`\nu \sim \mathrm{Gamma}(2, 0.1)` (Juárez and Steel 2010). What is learned is integrated out by
    quadrature over :math:`(\log\sigma^2, \log\nu)` in every model. ``fit_intercept`` adds an intercept that
    is always in, with its own :math:`N(0, t^2)`, t the ``intercept_scale``.

    **What is standardised.** With ``standardize=True`` columns are centred and divided by their standard
    deviations, and the response is centred at its median and divided by its normalised median absolute
    deviation, 1.4826 times the median of :math:`|y - \operatorname{median} y|`, which outliers move little;
    where that is 0, by its standard deviation. ``slab_scale``, ``intercept_scale`` and the prior of the noise
    are in these units; ``noise_scale`` is in the units of y. Without an intercept nothing is centred, only
    divided. All results are on the user's scale. Factors are coded as in
    :class:`~l0bayes.estimators.regressor.SpikeSlabRegressor`.

    Coefficients are integrated out by Laplace's method of second order, model by model,
    checked and where needed put right by importance sampling.

    Args:
        inclusion: Prior inclusion probability: a number, an array with one a column (or one a group), or a
            tuple ``(a, b)`` for π ~ Beta(a, b), integrated out. The default Beta(1, 1) makes all model
            sizes equally probable, and so pays for looking at many columns.
        slab_scale: Standard deviation of a coefficient that is in; a number or one a column of X.
        df: ν: a positive number, or ``"learned"``.
        noise_scale: σ, a number in units of y; ``None`` for a learned one.
        noise_prior: Prior of a learned σ², in units of the response as it is modelled: ``"weak"``, which
            counts as 0.01 observations and is centred at half of the squared spread above, or a pair
            ``(shape, rate)`` of an inverse gamma law.
        intercept_scale: Prior standard deviation of the intercept.
        fit_intercept: Whether there is an intercept.
        standardize: See above.
        groups: Columns that are in or out together: one label a column, or a mapping of a group's name to
            its columns. By default each column is its own.
        engine: ``"exact"`` for all models, to 16 gates; ``"gibbs"`` for sampling; the name of an engine that
            was registered (:func:`l0bayes.selection.register_engine`); ``"auto"`` for the first where there
            are few gates and the second where there are many.
        random_state: Seed of the sampler and of draws.
        options: All options of the engine, such as ``l0bayes.selection.ExactOptions(max_gates=18)``.
        always_in: Columns that are in every model, by names or positions; ``inclusion`` is of the others.
        heredity: Whether products and powers need the columns they are made of, told by names such as
            ``a:b`` and ``a^2``: ``"strong"`` all of them, ``"weak"`` one. Models without have no prior
            probability, and ``inclusion`` is the law of the others in proportion.
        unseen: What ``predict`` does about text that no row of ``fit`` had in a factor: ``"refuse"`` it by
            name, or predict the ``"mean"`` of the other levels, with a warning, so that folds of a
            cross-validation by any ``scoring`` have finite scores. ``score`` always does the latter.

    Attributes:
        columns_: Names of the p columns that have coefficients: those of X, of a factor one for each level.
        pip_: Posterior inclusion probability of every column, shape ``(p,)``.
        coef_: Posterior mean of the coefficients, zeros included, shape ``(p,)``.
        coef_conditional_: The same given that the gate is open, shape ``(p,)``.
        intercept_: Posterior mean of the intercept.
        log_evidence_: :math:`\log p(y)` under the model; NaN where the engine does not give it.
        trust_: How far the PIPs can be trusted, a :class:`~l0bayes.selection.problem.verdict.Trust`.
        inference_data_: Draws for ArviZ.
        engine_: The engine that was used.
        posterior_: What it found, in standardised units.
        original_scale_: The same on the user's scale.
        likelihood_checks_: Empty: heavy tails contradict nothing here.
        n_features_in_: Number of columns of X.
        feature_names_in_: Names of the columns, where X had any.
    """

    # Passed on by scikit-learn wherever metadata are routed.
    __metadata_request__fit = {"offset": True}
    __metadata_request__predict = {"offset": True}
    __metadata_request__score = {"offset": True}

    def __init__(
        self,
        inclusion: Any = (1.0, 1.0),
        slab_scale: Any = 1.0,
        df: float | Literal["learned"] = "learned",
        noise_scale: float | None = None,
        noise_prior: Any = "weak",
        intercept_scale: float = 10.0,
        fit_intercept: bool = True,
        standardize: bool = True,
        groups: Any = None,
        engine: str = "auto",
        random_state: Any = None,
        options: Any = None,
        always_in: Any = None,
        heredity: str | None = None,
        unseen: str = "refuse",
    ) -> None:
        super().__init__(
            inclusion=inclusion,
            slab_scale=slab_scale,
            intercept_scale=intercept_scale,
            fit_intercept=fit_intercept,
            standardize=standardize,
            groups=groups,
            engine=engine,
            random_state=random_state,
            options=options,
            always_in=always_in,
            heredity=heredity,
            unseen=unseen,
        )
        self.df: float | Literal["learned"] = df
        self.noise_scale = noise_scale
        self.noise_prior = noise_prior

    def _check_own(self) -> None:
        validate.positive_or_learned(df=self.df)
        if self.noise_scale is not None:
            positive("noise_scale", self.noise_scale)
        check_noise(self.noise_scale, self.noise_prior)
        refuse_jeffreys(self.noise_prior)
        self._own_likelihood()

    def _own_likelihood(self) -> Likelihood:
        return StudentT(self.noise_scale, self.noise_prior, self.df)

    def _response(self, y: Any) -> Array:
        return np.asarray(y, dtype=np.float64)

    def _warn(self, x: Array, y: Array, names: list[str]) -> None:
        if np.ptp(y) <= 1e-13 * np.abs(y).max():
            warn_user(
                f"y is constant, {y[0]:g} in every row that counts: there is nothing to explain, and the "
                "inclusion probabilities mean nothing",
                ConstantColumnWarning,
            )

    def _scaling(self, x: Tensor, y: Tensor, weights: Tensor, blocks: Sequence[LevelBlock]) -> Scaling:
        columns = Scaling.of(x, weights, centered=self.fit_intercept, blocks=blocks)
        middle, spread = median_and_spread(y, weights)
        centre = middle if self.fit_intercept else 0.0
        return replace(columns, response_center=centre, response_scale=spread)

    def _explained(self, y: Tensor, terms: RowTerms) -> Tensor:
        return y if terms.offset is None else y - torch.from_numpy(terms.offset)

    def _problem(
        self, common: dict[str, Any], scaling: Scaling, blocks: Sequence[LevelBlock], terms: RowTerms
    ) -> SelectionProblem:
        common = dict(common)
        if "offset" in common:
            common["offset"] = common["offset"] / scaling.response_scale
        known = None if self.noise_scale is None else float(self.noise_scale) / scaling.response_scale
        prior = self.noise_prior
        if isinstance(prior, str):
            prior = weak_prior(common["y"] - common.get("offset", 0.0), common["weights"])
        return problem_of(StudentT(known, prior, self.df), **common)

    def _likelihood_checks(
        self, y: Tensor, eta: Tensor, weights: Tensor, degrees: float, row_name: Callable[[int], str]
    ) -> list[LikelihoodCheck | None]:
        return []

    def _latents(self, draws: Draws) -> dict[str, Tensor]:
        known = super()._latents(draws)
        scale = self.original_scale_.scaling.response_scale
        one = torch.ones_like(draws.intercept)
        noise = known["noise_variance"].sqrt() * scale if self.noise_scale is None else self.noise_scale * one
        return {"noise": noise, "df": known["df"] if self.df == "learned" else float(self.df) * one}

    def predict(
        self,
        X: Any,  # noqa: N803
        return_std: bool = False,
        estimator: str = "average",
        interval: float | None = None,
        *,
        offset: Any = None,
        exposure: Any = None,
    ) -> Any:
        """Posterior mean of the location, and the spread of a new response.

        Args:
            X: Columns, shape ``(n, p)``.
            return_std: Whether to give the spread of the posterior predictive law too: half the width of its
                central 68.3 %, which is one standard deviation of a Normal law; a Student-t law of few
                degrees of freedom has none of its own.
            estimator: What is predicted from: ``"average"``, ``"median"`` or ``"best"``, as in the others.
            interval: Probability of an interval of a new response, such as 0.9.
            offset: What is added to the location of each row, shape ``(n,)`` or one number; 0 where not
                given, with a warning if ``fit`` had one.
            exposure: ``None``: exposures are for counts.

        Returns:
            Means of shape ``(n,)``; with ``return_std`` the pair of means and spreads; with an interval a
            :class:`~l0bayes.estimators.kept.predictor.Prediction` of ``mean``, ``low``, ``high``.

        Raises:
            ValueError: If a word or number is out of range, or both are asked for.
        """
        if return_std and interval is not None:
            raise ValueError("ask for return_std or for an interval, not for both at once")
        share = _WITHIN_ONE if return_std else interval
        found = super().predict(X, False, estimator, share, offset=offset, exposure=exposure)
        return (found.mean, 0.5 * (found.high - found.low)) if return_std else found

    def score(
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any = None,
        *,
        offset: Any = None,
    ) -> float:
        """R², as in scikit-learn; a level of text that ``fit`` did not see is at the mean of the others.

        Args:
            X: Columns, shape ``(n, p)``.
            y: Response, shape ``(n,)``.
            sample_weight: Weights of the rows.
            offset: What is added to the location of each row, as in ``fit``.

        Raises:
            ValueError: If ``fit`` had an offset, and there is none here.
        """
        return self._r2(X, y, sample_weight, offset)
