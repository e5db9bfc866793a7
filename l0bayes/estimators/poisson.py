r"""Spike-and-slab Poisson regression."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.metrics import d2_tweedie_score, mean_poisson_deviance

from l0bayes.estimators.fold_scores import FoldScores
from l0bayes.estimators.input_tables import Array, row_weights
from l0bayes.estimators.offset_predictions import OffsetPredictions
from l0bayes.estimators.one_sided_columns import warn_of_zeros
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.poisson_likelihood import Poisson
from l0bayes.selection.trust.likelihood_fit import LikelihoodWarning
from l0bayes.user_warnings import warn_user

__all__ = ["SpikeSlabPoissonRegressor"]


class SpikeSlabPoissonRegressor(FoldScores, RegressorMixin, OffsetPredictions):  # type: ignore[misc]
    r"""Regression of counts in which every column is in or out, with the probability of that.

    With ``standardize=False`` and ``fit_intercept=False`` the model is exactly

    .. math::
        y \sim \mathrm{Poisson}(e^{X\beta}), \qquad \beta_j = z_j\theta_j, \qquad
        z_j \sim \mathrm{Bern}(\pi), \qquad \theta_j \sim N(0, s^2)

    with s the ``slab_scale`` and π the ``inclusion``. ``fit_intercept`` adds an intercept that is always in,
    with its own :math:`N(0, t^2)`, t the ``intercept_scale``. Values that are not whole are taken, as in
    scikit-learn, with a warning: the likelihood is then that of the same formula,
    :math:`y\eta - e^\eta - \log\Gamma(y + 1)`.

    **What is standardised.** With ``standardize=True`` columns are centred and divided by their standard
    deviations (divisor n; weighted where there are weights), and ``slab_scale`` is in log rate per
    standard deviation; the intercept's prior is on the log rate at the mean of the columns. Without an
    intercept columns are divided only. All results are on the user's scale.

    Columns of text and categories in a data frame are factors, as in
    :class:`~l0bayes.estimators.regressor.SpikeSlabRegressor`. Coefficients are integrated out by Laplace's
    method of second order, model by model,
    checked and where needed put right by importance sampling.

    Args:
        inclusion: Prior inclusion probability: a number, an array with one a column (or one a group), or a
            tuple ``(a, b)`` for π ~ Beta(a, b), integrated out. The default Beta(1, 1) makes all model
            sizes equally probable, and so pays for looking at many columns.
        slab_scale: Standard deviation of a coefficient that is in; a number or one a column of X.
        intercept_scale: Prior standard deviation of the intercept.
        fit_intercept: Whether there is an intercept.
        standardize: See above.
        groups: Columns that are in or out together: one label a column, or a mapping of a group's name to
            its columns. By default each column is its own.
        gate_law: Law of the gates of a variational fit, for ``engine="svi"``: one of
            :data:`~l0bayes.gate_families.GATE_FAMILIES` that gives every gate a probability of its own.
            ``"bernoulli"`` relaxes nothing.
        engine: ``"exact"`` for all models, to 16 gates; ``"gibbs"`` for sampling; ``"svi"`` for a
            variational fit; the name of an engine that was registered
            (:func:`l0bayes.selection.register_engine`); ``"auto"`` for the first where there are few gates
            and the second where there are many.
        restarts: Restarts of a variational fit, mixed by their ELBO, for ``engine="svi"``.
        random_state: Seed of the sampler and of draws.
        options: All options of the engine, such as ``l0bayes.selection.ExactOptions(max_gates=18)``.
        unseen: What ``predict`` does about text that no row of ``fit`` had in a factor: ``"refuse"`` it by
            name, or predict the ``"mean"`` of the other levels, with a warning, so that folds of a
            cross-validation by any ``scoring`` have finite scores. ``score`` always does the latter.
        always_in: Columns that are in every model, by names or positions; ``inclusion`` is of the others.
        heredity: Whether products and powers need the columns they are made of, told by names such as
            ``a:b`` and ``a^2``: ``"strong"`` all of them, ``"weak"`` one. Models without have no prior
            probability, and ``inclusion`` is the law of the others in proportion.

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
        likelihood_checks_: How the data look beside the likelihood.
        n_features_in_: Number of columns of X.
        feature_names_in_: Names of the columns, where X had any.
    """

    # Passed on by scikit-learn wherever metadata are routed.
    __metadata_request__fit = {"offset": True, "exposure": True}
    __metadata_request__predict = {"offset": True, "exposure": True}
    __metadata_request__score = {"offset": True, "exposure": True}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags

    def _response(self, y: Any) -> Array:
        counts = np.asarray(y, dtype=np.float64)
        likelihood = self._own_likelihood()
        wrong = likelihood.impossible(torch.as_tensor(counts)).numpy()
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(f"y must hold {likelihood.accepts}; got {counts[row]:g} in row {row}")
        if not counts.any():
            raise ValueError("y is 0 in every row that counts: there is nothing to explain")
        return counts

    def _warn(self, x: Array, y: Array, names: list[str]) -> None:
        self._warn_of_zeros(x, y, names)
        broken = y[y % 1 != 0]
        if len(broken):
            warn_user(
                f"y holds {broken[0]:g} and {len(broken) - 1} more numbers that are no counts: the Poisson "
                "formula is taken for them as it stands, and PIPs depend on the unit of y. Rates of counts "
                "need exposure=, with the counts themselves for y; other numbers another likelihood",
                LikelihoodWarning,
            )

    def _warn_of_zeros(self, x: Array, y: Array, names: list[str]) -> None:
        if self.fit_intercept:
            warn_of_zeros(x, y, names)

    def _own_likelihood(self) -> Likelihood:
        return Poisson(whole=False)

    def score(
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any = None,
        *,
        offset: Any = None,
        exposure: Any = None,
    ) -> float:
        """Share of the Poisson deviance that is explained, D², as in scikit-learn's Poisson regression.

        Where all counts are the same there is no deviance to explain, and D² is 1 where the predictions
        explain every count and 0 where not, as R² is for a constant response in scikit-learn. A level of text
        that ``fit`` did not see is at the mean of the others, with a warning.

        Args:
            X: Columns, shape ``(n, p)``.
            y: Counts, shape ``(n,)``.
            sample_weight: Weights of the rows.
            offset: What is added to the linear predictor of each row, as in ``fit``.
            exposure: Positive, shape ``(n,)``, as in ``fit``.

        Raises:
            ValueError: If ``fit`` had an offset or exposure, and there is none here.
        """
        self._demand_offset(offset, exposure)
        mean = np.maximum(self._for_scores().predict(X, offset=offset, exposure=exposure), 1e-300)
        counts = np.asarray(y, dtype=np.float64)
        weights = row_weights(sample_weight, len(counts))
        used = counts[weights > 0]
        if (used == used[0]).all():
            return float(mean_poisson_deviance(counts, mean, sample_weight=weights) <= 1e-12)
        return float(d2_tweedie_score(counts, mean, sample_weight=weights, power=1))
