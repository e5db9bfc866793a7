r"""Scores of rows that may hold levels of text that no row of the fit had, as those of a fold do."""

from __future__ import annotations

import copy
from typing import Any, Self

from l0bayes.estimators.frame_coding import FrameCoding

__all__ = ["FoldScores"]


class FoldScores:
    """Mixin, in front of scikit-learn's: ``score`` takes a level of text that ``fit`` did not see.

    Which levels a column of text has, only its rows say, and a rare one may be in the rows of one fold alone.
    It is scored at the mean of the other levels, with a warning, as a declared category is. ``predict``
    refuses it by name.
    """

    _coding: FrameCoding

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: N803
        """That of scikit-learn; a level of text that ``fit`` did not see is at the mean of the others.

        Args:
            X: Columns, shape ``(n, p)``.
            y: Response, shape ``(n,)``.
            sample_weight: Weights of the rows.
        """
        mixin: Any = super(FoldScores, self._for_scores())
        return float(mixin.score(X, y, sample_weight))

    def _for_scores(self) -> Self:
        """The same estimator, for which new levels of text are not refused."""
        coding = getattr(self, "_coding", None)
        if coding is None:  # not fitted: predictions say so
            return self
        other = copy.copy(self)
        other._coding = coding.with_new_levels()
        return other
