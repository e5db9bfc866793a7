r"""What an estimator needs to fit tables that are read by column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from torch import Tensor

from l0bayes.estimators.fit_by_column import (
    ColumnFit,
    columns_of_fit,
    fit_by_column,
    goes_by_column,
    in_memory,
    small_for_memory,
)
from l0bayes.estimators.frame_coding import FrameCoding
from l0bayes.estimators.noise_argument import noise_prior
from l0bayes.estimators.row_terms import RowTerms
from l0bayes.selection.trust.likelihood_fit import judge_likelihood
from l0bayes.selection.trust.noise_conflict import NoisePriorWarning, noise_conflict
from l0bayes.selection.trust.posterior_trust import trust_of
from l0bayes.user_warnings import warn_user

__all__ = ["FitsByColumn"]


class FitsByColumn:
    """Mixin of the linear regression, in front of the estimator.

    Memory maps, sparse matrices, Arrow tables, arrays of few digits for ``engine="wide"``, and arrays of
    5,000 columns and more are fitted as they are, without a copy in double precision.
    ``pip_`` and ``coef_`` are of all columns; tables, draws, predictions and everything else of the posterior
    are of the columns that were in a model, ``by_column_.wide.kept``.

    Attributes:
        by_column_: What was found; ``None`` after a fit of another kind of table.
    """

    by_column_: ColumnFit | None = None

    def __sklearn_tags__(self) -> Any:
        base: Any = super()
        tags = base.__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _goes_by_column(self: Any, table: Any) -> bool:
        self.by_column_ = None
        in_memory = self.groups is None and self.always_in is None and self.heredity is None
        chosen = self.engine == "auto" and isinstance(table, np.ndarray)
        given = self.slab == "normal" and not isinstance(self.slab_scale, str)
        if chosen and not (in_memory and given):  # another engine takes these
            return False
        return goes_by_column(table, self.engine)

    def _fit_by_column(
        self: Any, table: Any, y: Any, sample_weight: Any, terms: Callable[[int], RowTerms]
    ) -> Any:
        # Other engines are better where they can be had.
        if self.engine == "auto" and small_for_memory(table):
            return self._fit_given(in_memory(table), y, sample_weight, terms)

        def noise(response: Tensor, weights: Tensor, unit: float) -> Any:
            if self.noise_scale is not None:
                return float(self.noise_scale) / unit
            return noise_prior(self.noise_prior, response, weights, centred=bool(self.fit_intercept))

        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        found = fit_by_column(self, table, y, sample_weight, terms=terms, noise=noise, seed=seed)
        return self._keep_by_column(found, seed)

    def _keep_by_column(self: Any, found: ColumnFit, seed: int) -> Any:
        few, original, source = found.wide.few, found.original, found.source
        trust = trust_of(few, seed=seed)
        self._keep(few, trust, original, found.target)
        self._had_offset = found.had_offset
        self.by_column_ = found
        self.pip_ = found.wide.pip.clamp(0.0, 1.0).numpy()
        self.coef_, self.intercept_ = found.slope.numpy(), found.intercept
        self.n_features_in_ = source.num_columns
        if source.names is not None:
            self.feature_names_in_ = np.array(source.names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        eta = original.predictor(source.gather(found.wide.kept))
        weights, degrees = few.problem.weights, original.degrees
        checks = self._likelihood_checks(found.target, eta, weights, degrees, _row_name)
        self.likelihood_checks_ = [check for check in checks if check is not None]
        conflict = noise_conflict(few.problem, few, original.scaling.response_scale)
        if conflict is not None:
            if source.num_columns >= source.num_rows:  # 'jeffreys' would be refused
                conflict = conflict.replace(
                    "'jeffreys', under which the data speak alone, or a pair", "a pair"
                )
            warn_user(conflict, NoisePriorWarning)
            trust = replace(trust, reasons=(*trust.reasons, conflict))
        self.trust_ = judge_likelihood(trust, self.likelihood_checks_)
        return self

    def _coding_of_kept(self: Any) -> FrameCoding:
        """What is kept takes tables of the columns that were in a model, by their names."""
        if self.by_column_ is not None:
            return FrameCoding(list(self.original_scale_.names))
        base: Any = super()
        coding: FrameCoding = base._coding_of_kept()
        return coding

    def _columns(self, table: Any) -> Tensor:
        """Columns to predict from: those that were in a model."""
        if self.by_column_ is not None:
            return columns_of_fit(table, self.by_column_)
        base: Any = super()
        found: Tensor = base._columns(in_memory(table))
        return found


def _row_name(place: int) -> str:
    return f"row {place} of X, counted from 0"
