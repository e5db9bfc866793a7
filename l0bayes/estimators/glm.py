r"""Spike-and-slab regression of a response of any likelihood."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from l0bayes.estimators.fold_scores import FoldScores
from l0bayes.estimators.generalised_estimator import likelihood_for_selection
from l0bayes.estimators.input_tables import Array
from l0bayes.estimators.offset_predictions import OffsetPredictions
from l0bayes.estimators.one_sided_columns import warn_of_zeros
from l0bayes.likelihoods.likelihood import Likelihood

__all__ = ["SpikeSlabGLM"]


class SpikeSlabGLM(FoldScores, RegressorMixin, OffsetPredictions):  # type: ignore[misc]
    r"""Generalised linear regression in which every column is in or out, with the probability of that.

    With ``standardize=False`` and ``fit_intercept=False`` the model is exactly

    .. math::
        y \sim \text{likelihood}(X\beta), \qquad \beta_j = z_j\theta_j, \qquad
        z_j \sim \mathrm{Bern}(\pi), \qquad \theta_j \sim N(0, s^2)

    with s the ``slab_scale`` and π the ``inclusion``. ``fit_intercept`` adds an intercept that is always in,
    with its own :math:`N(0, t^2)`, t the ``intercept_scale``.

    **What is standardised.** With ``standardize=True`` columns are centred and divided by their standard
    deviations (divisor n; weighted where there are weights), and ``slab_scale`` is in units of the predictor
    per standard deviation; the intercept's prior is on the predictor at the mean of the columns. Without an
    intercept columns are divided only. All results are on the user's scale.

    Columns of text and categories in a data frame are factors, as in
    :class:`~l0bayes.estimators.regressor.SpikeSlabRegressor`. Coefficients are integrated out by Laplace's
    method of second order, model by model,
    checked and where needed put right by importance sampling.

    Args:
        likelihood: Name of a likelihood with four derivatives, or the likelihood with its options, such as
            ``NegativeBinomial(dispersion=0.5)``; see :mod:`l0bayes.likelihoods`.
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

    def __init__(
        self,
        likelihood: str | Likelihood = "poisson",
        inclusion: Any = (1.0, 1.0),
        slab_scale: Any = 1.0,
        intercept_scale: float = 10.0,
        fit_intercept: bool = True,
        standardize: bool = True,
        groups: Any = None,
        gate_law: str | None = None,
        engine: str = "auto",
        restarts: int | None = None,
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
            gate_law=gate_law,
            engine=engine,
            restarts=restarts,
            random_state=random_state,
            options=options,
            unseen=unseen,
            always_in=always_in,
            heredity=heredity,
        )
        self.likelihood = likelihood

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        negative = likelihood_for_selection(self.likelihood).impossible(torch.tensor([-1.0]))
        tags.target_tags.positive_only = bool(negative)
        return tags

    def _own_likelihood(self) -> Likelihood:
        likelihood = likelihood_for_selection(self.likelihood)
        if likelihood.takes_trials:
            raise ValueError(
                f"likelihood {likelihood.name!r} has numbers of trials: use SpikeSlabBinomial, whose fit "
                "takes trials="
            )
        if likelihood.response_shape:
            raise ValueError(
                f"likelihood {likelihood.name!r} has responses of several numbers: use SpikeSlabCox for "
                "times and events"
            )
        return likelihood

    def _response(self, y: Any) -> Array:
        response = np.asarray(y, dtype=np.float64)
        self._own_likelihood().check(torch.as_tensor(response))
        return response

    def _warn(self, x: Array, y: Array, names: list[str]) -> None:
        if self._own_likelihood().takes_exposure and self.fit_intercept:
            warn_of_zeros(x, y, names)

    def score(
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any = None,
        *,
        offset: Any = None,
        exposure: Any = None,
    ) -> float:
        """R², as in scikit-learn; a level of text that ``fit`` did not see is at the mean of the others.

        Args:
            X: Columns, shape ``(n, p)``.
            y: Response, shape ``(n,)``.
            sample_weight: Weights of the rows.
            offset: What is added to the linear predictor of each row, as in ``fit``.
            exposure: Of counts: positive, shape ``(n,)``, as in ``fit``.

        Raises:
            ValueError: If ``fit`` had an offset or exposure, and there is none here.
        """
        self._demand_offset(offset, exposure)
        predicted = self._for_scores().predict(X, offset=offset, exposure=exposure)
        return float(r2_score(y, predicted, sample_weight=sample_weight))
