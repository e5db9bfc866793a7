r"""Spike-and-slab regression of successes in trials."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import RegressorMixin

from l0bayes.estimators.fold_scores import FoldScores
from l0bayes.estimators.generalised_estimator import GeneralisedEstimator
from l0bayes.estimators.input_tables import Array
from l0bayes.estimators.kept.predictor import Prediction
from l0bayes.estimators.row_terms import ROUTING, RowTerms, row_values
from l0bayes.estimators.separating_columns import warn_of_separation
from l0bayes.likelihoods.binomial_likelihood import Binomial
from l0bayes.likelihoods.likelihood import Likelihood

__all__ = ["SpikeSlabBinomial"]


class SpikeSlabBinomial(FoldScores, RegressorMixin, GeneralisedEstimator):  # type: ignore[misc]
    r"""Logistic regression of successes in trials, in which every column is in or out.

    With ``standardize=False`` and ``fit_intercept=False`` the model is exactly

    .. math::
        y_i \sim \mathrm{Binomial}(m_i, \sigma(o_i + x_i'\beta)), \qquad \beta_j = z_j\theta_j, \qquad
        z_j \sim \mathrm{Bern}(\pi), \qquad \theta_j \sim N(0, s^2)

    with s the ``slab_scale``, π the ``inclusion``, and :math:`m_i` the ``trials`` given to ``fit``. Successes
    of one trial a row are for :class:`~l0bayes.estimators.classifier.SpikeSlabClassifier`.
    ``fit_intercept`` adds an intercept that is always in, with its own :math:`N(0, t^2)`, t the
    ``intercept_scale``.

    What is standardised, and how factors are coded, is as in
    :class:`~l0bayes.estimators.classifier.SpikeSlabClassifier`. Coefficients are integrated out by Laplace's
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
        coef_: Posterior mean of the coefficients, of the log odds, zeros included, shape ``(p,)``.
        coef_conditional_: The same given that the gate is open, shape ``(p,)``.
        intercept_: Posterior mean of the intercept.
        log_evidence_: :math:`\log P(y)` under the model; NaN where the engine does not give it.
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
    __metadata_request__fit = {"trials": True, "offset": True}
    __metadata_request__predict = {"trials": True, "offset": True}
    __metadata_request__score = {"trials": True, "offset": True}

    def fit(  # type: ignore[override]
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any = None,
        *,
        trials: Any = None,
        offset: Any = None,
    ) -> Self:
        """Find the posterior.

        Args:
            X: Columns, shape ``(n, p)``: an array of numbers, or a data frame, in which columns of text and
                categories are factors.
            y: Successes, shape ``(n,)``.
            sample_weight: A weight for each row, shape ``(n,)``: a row of weight w counts as w rows like
                it, and one of weight 0 not at all.
            trials: Trials of each row, whole numbers that are not below its successes, shape ``(n,)``; or one
                number for all rows. A row of 0 trials has no influence.
            offset: What is added to the log odds of each row, shape ``(n,)``.

        Returns:
            The estimator.

        Raises:
            ValueError: If an argument, a column or the response is not what it must be, by name.
        """
        if trials is None:
            raise ValueError(
                "trials must be given, one number a row: y holds successes in so many trials. Of one trial a "
                f"row SpikeSlabClassifier takes the classes. {ROUTING}"
            )

        def terms(count: int) -> RowTerms:
            known = replace(self._terms(count, offset, None), trials=_trials(trials, count))
            assert known.trials is not None
            Binomial().with_trials(torch.from_numpy(known.trials)).check(
                torch.tensor(np.asarray(y, dtype=np.float64))
            )
            return known

        return self._fit_table(X, y, _of_trials(sample_weight, trials), terms)

    def _response(self, y: Any) -> Array:
        return np.asarray(y, dtype=np.float64)

    def _own_likelihood(self) -> Likelihood:
        return Binomial()

    def _warn_of_rows(self, x: Array, y: Array, names: list[str], terms: RowTerms) -> None:
        # A row with both successes and failures is of both classes.
        assert terms.trials is not None
        successes, failures = y > 0, y < terms.trials
        both = np.concatenate([x[successes], x[failures]])
        classes = np.concatenate([np.ones(successes.sum()), np.zeros(failures.sum())])
        if successes.any() and failures.any():
            warn_of_separation(both, classes, names, intercept=self.fit_intercept)

    def _problem_likelihood(self, terms: RowTerms) -> Likelihood:
        if terms.trials is None:
            raise ValueError("trials must be given, one number a row")
        return Binomial(torch.from_numpy(terms.trials))

    def _planned_terms(
        self, count: int, offset: Any, exposure: Any, trials: Any, censored: float
    ) -> RowTerms:
        if trials is None:
            raise ValueError("trials must be given: each row needs a number of trials, or one number for all")
        known = super()._planned_terms(count, offset, exposure, None, censored)
        return replace(known, trials=_trials(trials, count))

    def _trials_of_fit(self) -> torch.Tensor:
        problem: Any = self.posterior_.problem
        trials: torch.Tensor = problem.likelihood.trials
        return trials

    def predict(
        self,
        X: Any,  # noqa: N803
        return_std: bool = False,
        estimator: str = "average",
        interval: float | None = None,
        *,
        trials: Any = None,
        offset: Any = None,
    ) -> Any:
        """Posterior mean of the successes, and how far new successes may be from it.

        Args:
            X: Columns, shape ``(n, p)``.
            return_std: Whether to give the standard deviation of the posterior predictive law too: of new
                successes in so many trials.
            estimator: What is predicted from: ``"average"``, ``"median"`` or ``"best"``, as in the others.
            interval: Probability of an interval, such as 0.9: of new successes in so many trials; without
                ``trials`` of the probability of a success, between quantiles of its posterior.
            trials: Trials of each row, or one number for all. Where not given, means are probabilities of
                success, and standard deviations those of a single trial.
            offset: What is added to the log odds of each row, shape ``(n,)`` or one number;
                0 where not given, with a warning if ``fit`` had one.

        Returns:
            Means of shape ``(n,)``; with ``return_std`` the pair of means and standard deviations; with an
            interval a :class:`~l0bayes.estimators.kept.predictor.Prediction` of ``mean``, ``low``, ``high``.

        Raises:
            ValueError: If a word or number is out of range.
        """
        columns = self._columns(X)
        if trials is None and interval is not None and not return_std:
            found = self.predictor_.probability(
                columns,
                estimator=estimator,
                interval=interval,
                offset=self._offset_of(len(columns), offset, None),
            )
            return Prediction(*(part.numpy() for part in found))
        number = _trials(1.0 if trials is None else trials, len(columns))
        return self.predictor_.response(
            columns,
            estimator=estimator,
            return_std=return_std,
            interval=interval,
            offset=self._offset_of(len(columns), offset, None),
            trials=torch.from_numpy(number),
        )

    def score(
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any = None,
        *,
        trials: Any = None,
        offset: Any = None,
    ) -> float:
        """R² of the shares of successes, weighted by the trials.

        Args:
            X: Columns, shape ``(n, p)``.
            y: Successes, shape ``(n,)``.
            sample_weight: Weights of the rows.
            trials: Trials of each row.
            offset: What is added to the log odds of each row.

        Raises:
            ValueError: If there are no trials, or ``fit`` had an offset and there is none here.
        """
        from sklearn.metrics import r2_score

        if trials is None:
            raise ValueError(f"trials must be given, one number a row, as in fit. {ROUTING}")
        self._demand_offset(offset, None)
        count = _trials(trials, len(y))
        weights = count if sample_weight is None else count * np.asarray(sample_weight, dtype=np.float64)
        used = weights > 0
        share = np.asarray(y, dtype=np.float64)[used] / count[used]
        predicted = self._for_scores().predict(X, offset=offset)[used]
        return float(r2_score(share, predicted, sample_weight=weights[used]))


def _of_trials(weights: Any, trials: Any) -> Any:
    """Weights of rows, 0 where nothing was tried: such a row has no say in means and deviations either."""
    nothing = np.asarray(trials) == 0
    if nothing.ndim != 1 or not nothing.any():
        return weights
    given = np.ones(len(nothing)) if weights is None else np.array(weights, dtype=np.float64)
    return np.where(nothing, 0.0, given) if given.shape == nothing.shape else weights


def _trials(given: Any, count: int) -> Array:
    """Trials of every row: as given, or one number for all."""
    values = np.full(count, given, dtype=np.float64) if np.ndim(given) == 0 else given
    trials = row_values("trials", values, count, "whole numbers, not negative", 0.0)
    broken = trials % 1 != 0
    if broken.any():
        row = int(broken.argmax())
        raise ValueError(f"trials must hold whole numbers, not negative; got {trials[row]:g} in row {row}")
    return trials
