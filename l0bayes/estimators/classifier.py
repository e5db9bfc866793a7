r"""Spike-and-slab logistic regression."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from l0bayes.estimators.fold_scores import FoldScores
from l0bayes.estimators.generalised_estimator import GeneralisedEstimator, likelihood_for_selection
from l0bayes.estimators.input_tables import Array
from l0bayes.estimators.kept.saved_selection import class_labels, class_probabilities
from l0bayes.estimators.separating_columns import warn_of_separation
from l0bayes.likelihoods.likelihood import Likelihood

__all__ = ["SpikeSlabClassifier"]


class SpikeSlabClassifier(FoldScores, ClassifierMixin, GeneralisedEstimator):  # type: ignore[misc]
    r"""Logistic regression of two classes in which every column is in or out, with the probability of that.

    With ``standardize=False`` and ``fit_intercept=False`` the model is exactly

    .. math::
        P(y = \text{classes\_}[1]) = \sigma(X\beta), \qquad \beta_j = z_j\theta_j, \qquad
        z_j \sim \mathrm{Bern}(\pi), \qquad \theta_j \sim N(0, s^2)

    with s the ``slab_scale`` and π the ``inclusion``. ``fit_intercept`` adds an intercept that is always in,
    with its own :math:`N(0, t^2)`, t the ``intercept_scale``.

    **What is standardised.** With ``standardize=True`` columns are centred and divided by their standard
    deviations (divisor n; weighted where there are weights), and ``slab_scale`` is in log odds per
    standard deviation; the intercept's prior is on the log odds at the mean of the columns. Without an
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
        likelihood: Law of the response: ``"bernoulli"``, by log odds, or another registered likelihood of two
            classes; see :mod:`l0bayes.likelihoods`.
        options: All options of the engine, such as ``l0bayes.selection.ExactOptions(max_gates=18)``.
        unseen: What ``predict`` does about text that no row of ``fit`` had in a factor: ``"refuse"`` it by
            name, or predict the ``"mean"`` of the other levels, with a warning, so that folds of a
            cross-validation by any ``scoring`` have finite scores. ``score`` always does the latter.
        always_in: Columns that are in every model, by names or positions; ``inclusion`` is of the others.
        heredity: Whether products and powers need the columns they are made of, told by names such as
            ``a:b`` and ``a^2``: ``"strong"`` all of them, ``"weak"`` one. Models without have no prior
            probability, and ``inclusion`` is the law of the others in proportion.

    Attributes:
        classes_: The two classes; coefficients are of the log odds of the second.
        columns_: Names of the p columns that have coefficients: those of X, of a factor one for each level.
        pip_: Posterior inclusion probability of every column, shape ``(p,)``.
        coef_: Posterior mean of the coefficients, zeros included, shape ``(p,)``.
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

    classes_: Any
    _numeric_response = False

    # Passed on by scikit-learn wherever metadata are routed.
    __metadata_request__fit = {"offset": True}
    __metadata_request__predict = {"offset": True}
    __metadata_request__predict_proba = {"offset": True}
    __metadata_request__score = {"offset": True}

    def __init__(
        self,
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
        likelihood: str | Likelihood = "bernoulli",
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
        tags.classifier_tags.multi_class = False
        return tags

    def _response(self, y: Any) -> Array:
        check_classification_targets(y)
        classes, index = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            only = classes[0].item() if isinstance(classes[0], np.generic) else classes[0]
            raise ValueError(
                f"y holds only one class, {only!r}, in the rows that count: there is nothing to classify"
            )
        if len(classes) > 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target is "
                f"{type_of_target(y)}: y holds {len(classes)} classes."
            )
        self.classes_ = classes
        return index.astype(np.float64)

    def _warn(self, x: Array, y: Array, names: list[str]) -> None:
        warn_of_separation(x, y, names, intercept=self.fit_intercept)

    def _own_likelihood(self) -> Likelihood:
        likelihood = likelihood_for_selection(self.likelihood)
        if not likelihood.has_classes:
            raise ValueError(f"likelihood must be one of classes, got {likelihood.name!r}: use SpikeSlabGLM")
        return likelihood

    def _class_names(self) -> Any:
        return self.classes_

    def predict_proba(
        self,
        X: Any,  # noqa: N803
        estimator: str = "average",
        interval: float | None = None,
        *,
        offset: Any = None,
    ) -> Any:
        """Posterior predictive probabilities of the two classes, averaged over models and coefficients.

        Args:
            X: Columns, shape ``(n, p)``.
            estimator: What is predicted from: the ``"average"`` of all models, weighted by how probable they
                are; the ``"median"`` probability model, of the columns with a PIP above one half, or the
                ``"best"``, most probable one, with its coefficients given that model.
            interval: Probability of an interval of each probability, such as 0.9: between two quantiles of
                its posterior.
            offset: What is added to the log odds of each row, shape ``(n,)`` or one number;
                0 where not given, with a warning if ``fit`` had one.

        Returns:
            Shape ``(n, 2)``, in the order of ``classes_``; with an interval a
            :class:`~l0bayes.estimators.kept.predictor.Prediction` of three such arrays.

        Raises:
            ValueError: If a word or number is out of range.
        """
        columns = self._columns(X)
        added = self._offset_of(len(columns), offset, None)
        return class_probabilities(self.predictor_, columns, estimator, interval, added)

    def predict(
        self,
        X: Any,  # noqa: N803
        return_std: bool = False,
        estimator: str = "average",
        interval: float | None = None,
        *,
        offset: Any = None,
    ) -> Any:
        r"""The more probable class, and the standard deviation of its indicator.

        Args:
            X: Columns, shape ``(n, p)``.
            return_std: Whether to give :math:`\sqrt{P(1 - P)}` too, the posterior predictive standard
                deviation of the indicator of a class.
            estimator: As in :meth:`predict_proba`.
            interval: ``None``: classes have no interval, their probabilities do.
            offset: What is added to the log odds of each row, shape ``(n,)`` or one number;
                0 where not given, with a warning if ``fit`` had one.

        Returns:
            Classes of shape ``(n,)``, or the pair of classes and standard deviations.

        Raises:
            ValueError: If an interval is asked for.
        """
        columns = self._columns(X)
        added = self._offset_of(len(columns), offset, None)
        return class_labels(self.predictor_, columns, self.classes_, return_std, estimator, interval, added)

    def score(
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any = None,
        *,
        offset: Any = None,
    ) -> float:
        """Share of rows whose class is predicted; a level of text that ``fit`` did not see is at the mean.

        Args:
            X: Columns, shape ``(n, p)``.
            y: Classes, shape ``(n,)``.
            sample_weight: Weights of the rows.
            offset: What is added to the log odds of each row, as in ``fit``.

        Raises:
            ValueError: If ``fit`` had an offset, and there is none here.
        """
        self._demand_offset(offset, None)
        predicted = self._for_scores().predict(X, offset=offset)
        return float(accuracy_score(y, predicted, sample_weight=sample_weight))
