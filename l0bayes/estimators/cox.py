r"""Spike-and-slab regression of survival times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from l0bayes.estimators.fold_scores import FoldScores
from l0bayes.estimators.generalised_estimator import GeneralisedEstimator
from l0bayes.estimators.input_tables import Array, row_weights
from l0bayes.estimators.one_sided_columns import columns_of_order, warn_of_one_side
from l0bayes.estimators.row_terms import RowTerms
from l0bayes.estimators.scaling import Scaling
from l0bayes.estimators.survival import concordance, times_and_events
from l0bayes.likelihoods.cox_likelihood import Cox, Ties
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.selection.problem.level_block import LevelBlock
from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["SpikeSlabCox"]


class SpikeSlabCox(FoldScores, GeneralisedEstimator):
    r"""Proportional hazards regression in which every column is in or out, with the probability of that.

    With ``standardize=False`` the model is exactly

    .. math::
        h_i(t) = h_0(t)\,e^{o_i + x_i'\beta}, \qquad \beta_j = z_j\theta_j, \qquad
        z_j \sim \mathrm{Bern}(\pi), \qquad \theta_j \sim N(0, s^2)

    with s the ``slab_scale``, π the ``inclusion``, and the baseline hazard :math:`h_0` left open: the
    likelihood is Cox's partial likelihood
    (:class:`~l0bayes.likelihoods.cox_likelihood.CoxPartialLikelihood`), events that share a time by Efron's
    form or Breslow's. Breslow's is what remains of the likelihood after :math:`h_0` is integrated out under
    the prior :math:`p(\lambda) \propto 1/\lambda` of its jumps. There is no intercept, for which
    :math:`h_0` stands.

    What is standardised, and how factors are coded, is as in
    :class:`~l0bayes.estimators.poisson.SpikeSlabPoissonRegressor`; ``slab_scale`` is in log hazard per
    standard deviation. Coefficients are integrated out by Laplace's method of second order, model by model,
    checked and where needed put right by importance sampling.

    Args:
        inclusion: Prior inclusion probability: a number, an array with one a column (or one a group), or a
            tuple ``(a, b)`` for π ~ Beta(a, b), integrated out. The default Beta(1, 1) makes all model
            sizes equally probable, and so pays for looking at many columns.
        slab_scale: Standard deviation of a coefficient that is in; a number or one a column of X.
        standardize: See above.
        groups: Columns that are in or out together: one label a column, or a mapping of a group's name to
            its columns. By default each column is its own.
        engine: ``"exact"`` for all models, to 16 gates; ``"gibbs"`` for sampling; the name of an engine that
            was registered (:func:`l0bayes.selection.register_engine`); ``"auto"`` for the first where there
            are few gates and the second where there are many.
        random_state: Seed of the sampler and of draws.
        ties: Form of the likelihood where events share a time: ``"efron"`` or ``"breslow"``.
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
        coef_: Posterior mean of the coefficients, of the log hazard, zeros included, shape ``(p,)``.
        coef_conditional_: The same given that the gate is open, shape ``(p,)``.
        intercept_: What makes the predictor 0 at the mean of the columns.
        log_evidence_: Log of the partial likelihood, integrated; NaN where the engine does not give it.
        trust_: How far the PIPs can be trusted, a :class:`~l0bayes.selection.problem.verdict.Trust`.
        inference_data_: Draws for ArviZ.
        engine_: The engine that was used.
        posterior_: What it found, in standardised units.
        original_scale_: The same on the user's scale.
        likelihood_checks_: Empty: the partial likelihood has no law of responses to compare with.
        n_features_in_: Number of columns of X.
        feature_names_in_: Names of the columns, where X had any.
    """

    # Passed on by scikit-learn wherever metadata are routed.
    __metadata_request__fit = {"event": True, "offset": True}
    __metadata_request__predict = {"offset": True}
    __metadata_request__score = {"event": True, "offset": True}

    def __init__(
        self,
        inclusion: Any = (1.0, 1.0),
        slab_scale: Any = 1.0,
        standardize: bool = True,
        groups: Any = None,
        engine: str = "auto",
        random_state: Any = None,
        ties: Literal["efron", "breslow"] = "efron",
        options: Any = None,
        always_in: Any = None,
        heredity: str | None = None,
        unseen: str = "refuse",
    ) -> None:
        # Columns are centred as beside an intercept; the baseline hazard stands for it.
        super().__init__(
            inclusion=inclusion,
            slab_scale=slab_scale,
            standardize=standardize,
            groups=groups,
            engine=engine,
            random_state=random_state,
            options=options,
            always_in=always_in,
            heredity=heredity,
            unseen=unseen,
        )
        self.ties: Ties = ties

    def fit(  # type: ignore[override]
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any = None,
        *,
        event: Any = None,
        offset: Any = None,
    ) -> Self:
        """Find the posterior.

        Args:
            X: Columns, shape ``(n, p)``: an array of numbers, or a data frame, in which columns of text and
                categories are factors.
            y: Times, shape ``(n,)``, beside ``event``; or times and events together: an array or frame of two
                columns, a structured array of two fields, or a pair of arrays.
            sample_weight: A weight for each row, shape ``(n,)``, as the case weights of R's
                ``survival::coxph``: with ``ties="breslow"``, or where no events share a time, a row of
                weight w counts as w rows like it. By Efron's form each of the events of one time is weighed
                by the mean of their weights, and its own hazard is left out in steps of the number of these
                rows, so that repeating tied rows is not the same. A row of weight 0 counts not at all.
            event: 1 where the event was seen at the time, 0 where the row was lost from sight then.
            offset: What is added to the log hazard of each row, shape ``(n,)``.

        Returns:
            The estimator.

        Raises:
            ValueError: If an argument, a column or the response is not what it must be, by name.
        """
        times, events = times_and_events(y, event)

        def terms(count: int) -> RowTerms:
            return replace(self._terms(count, offset, None), events=events)

        return self._fit_table(X, times, sample_weight, terms)

    def _response(self, y: Any) -> Array:
        return np.asarray(y, dtype=np.float64)

    def _own_likelihood(self) -> Likelihood:
        return Cox(self.ties)

    def _planned_terms(
        self, count: int, offset: Any, exposure: Any, trials: Any, censored: float
    ) -> RowTerms:
        if not 0.0 <= censored < 1.0:
            raise ValueError(f"censored must be a share from 0 to below 1, got {censored!r}")
        known = super()._planned_terms(count, offset, exposure, trials, 0.0)
        lost = min(count - 1, round(censored * count))
        return replace(known, events=(np.arange(count) >= lost).astype(np.float64))

    def _stand_in(self, count: int, terms: RowTerms) -> Array:
        return np.arange(1.0, count + 1.0)  # of times only the order counts

    def _warn_of_rows(self, x: Array, y: Array, names: list[str], terms: RowTerms) -> None:
        if terms.events is not None and terms.events.any():
            self._own_likelihood().check(torch.from_numpy(np.stack([y, terms.events], 1).astype(np.float64)))
            ordered = columns_of_order(x, y, terms.events)
            warn_of_one_side(ordered, names, "is largest (or smallest) at every event among the rows at risk")

    def _problem(
        self, common: dict[str, Any], scaling: Scaling, blocks: Sequence[LevelBlock], terms: RowTerms
    ) -> SelectionProblem:
        if terms.events is None:
            raise ValueError("event must be given, one a row")
        own = {name: value for name, value in common.items() if not name.startswith("unpenalised")}
        own["y"] = torch.stack([common["y"], torch.from_numpy(terms.events)], 1)
        return super()._problem(own, scaling, blocks, terms)

    def predict(
        self,
        X: Any,  # noqa: N803
        return_std: bool = False,
        estimator: str = "average",
        interval: float | None = None,
        *,
        offset: Any = None,
    ) -> Any:
        """Posterior mean of the linear predictor, and its standard deviation.

        It is the log hazard relative to that of a row at the mean of the columns: the higher, the sooner the
        event is expected. Times themselves have no law without a baseline hazard.

        Args:
            X: Columns, shape ``(n, p)``.
            return_std: Whether to give the posterior standard deviation of the predictor too.
            estimator: What is predicted from: ``"average"``, ``"median"`` or ``"best"``, as in the others.
            interval: Probability of an interval of the predictor, such as 0.9.
            offset: What is added to the log hazard of each row, shape ``(n,)`` or one number;
                0 where not given, with a warning if ``fit`` had one.

        Returns:
            Means of shape ``(n,)``; with ``return_std`` the pair of means and standard deviations; with an
            interval a :class:`~l0bayes.estimators.kept.predictor.Prediction` of ``mean``, ``low``, ``high``.

        Raises:
            ValueError: If a word or number is out of range.
        """
        return self._predicted(X, return_std, estimator, interval, offset)

    def relative_hazard(self, X: Any, interval: float | None = None, *, offset: Any = None) -> Any:  # noqa: N803
        r"""Posterior mean of the hazard relative to a row at the mean of the columns, :math:`e^\eta`.

        Args:
            X: Columns, shape ``(n, p)``.
            interval: Share of the posterior that the intervals hold, such as 0.9; ``None`` for none.
            offset: What is added to the log hazard of each row, shape ``(n,)`` or one number;
                0 where not given, with a warning if ``fit`` had one.

        Returns:
            Means of shape ``(n,)``, or the pair of means and of central intervals of shape ``(n, 2)``.

        Raises:
            ValueError: If the share does not lie strictly between 0 and 1.
        """
        if interval is not None and not 0.0 < interval < 1.0:
            raise ValueError(f"interval must lie strictly between 0 and 1, got {interval!r}")
        means, ends = [], []
        for eta in self._predictors(X, offset):
            hazard = eta.exp()
            means.append(hazard.mean(1))
            if interval is not None:
                sides = torch.tensor([0.5 - 0.5 * interval, 0.5 + 0.5 * interval], dtype=eta.dtype)
                ends.append(torch.quantile(hazard, sides, dim=1).T)
        mean = torch.cat(means).numpy()
        return mean if interval is None else (mean, torch.cat(ends).numpy())

    def _predictors(self, X: Any, offset: Any) -> Iterator[Tensor]:  # noqa: N803
        """Draws of the linear predictor, offsets included, a piece of the rows at a time, ``(m, S)``."""
        columns = self._columns(X)
        added = self._offset_of(len(columns), offset, None)
        for rows, eta in self.predictor_.law("average").draws(columns):
            yield eta if added is None else eta + added[rows, None]

    def score(
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any = None,
        *,
        event: Any = None,
        offset: Any = None,
    ) -> float:
        """Harrell's C: share of comparable pairs of rows in which the sooner event has the higher hazard.

        Args:
            X: Columns, shape ``(n, p)``.
            y: Times, or times and events, as in ``fit``.
            sample_weight: Weights of the rows.
            event: Whether the event was seen, as in ``fit``.
            offset: What is added to the log hazard of each row, as in ``fit``.

        Raises:
            ValueError: If ``fit`` had an offset and there is none here.
        """
        self._demand_offset(offset, None)
        times, events = times_and_events(y, event)
        risk = self._for_scores().predict(X, offset=offset)
        return concordance(times, events, risk, row_weights(sample_weight, len(times)))
