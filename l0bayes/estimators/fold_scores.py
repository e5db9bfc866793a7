r"""Scores of rows that may hold levels of text that no row of the fit had, as those of a fold do."""

from __future__ import annotations

import copy
from typing import Any, Self

from sklearn.metrics import r2_score

__all__ = ["FoldScores"]


class FoldScores:
    """Mixin of estimators whose ``score`` takes a level of text that ``fit`` did not see.

    Which levels a column of text has, only its rows say, and a rare one may be in the rows of one fold alone.
    It is scored at the mean of the other levels, with a warning, as a declared category is. ``predict``
    refuses it by name.
    """

    def _for_scores(self) -> Self:
        """The same estimator, for which new levels of text are not refused."""
        coding: Any = getattr(self, "_coding", None)
        if coding is None:  # not fitted: predictions say so
            return self
        other = copy.copy(self)
        other.__dict__["_coding"] = coding.with_new_levels()
        return other

    def _r2(self, X: Any, y: Any, sample_weight: Any, offset: Any) -> float:  # noqa: N803
        """R² of predictions beside offsets, without which rows of a fit that had some are not scored."""
        scored: Any = self._for_scores()
        scored._demand_offset(offset, None)
        return float(r2_score(y, scored.predict(X, offset=offset), sample_weight=sample_weight))
