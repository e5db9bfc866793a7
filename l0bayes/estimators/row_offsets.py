r"""Offsets and exposures of the rows that a fitted estimator predicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from l0bayes.estimators.row_terms import ROUTING, one_a_row, row_offset, warn_without_offset
from l0bayes.likelihoods.likelihood import Likelihood

__all__ = ["RowOffsets"]


class RowOffsets:
    """What is added to the predictor of other rows; base of all estimators."""

    _response_law: Callable[[], Likelihood]
    _had_offset: bool = False

    def _offset_of(self, count: int, offset: Any, exposure: Any) -> Tensor | None:
        """What is added to the predictor of other rows."""
        if offset is None and exposure is None and self._had_offset:
            warn_without_offset()
        each = (one_a_row(count, values) for values in (offset, exposure))
        known = row_offset(self._response_law(), count, *each)
        return None if known is None else torch.from_numpy(known)

    def _demand_offset(self, offset: Any, exposure: Any) -> None:
        """Refuse to score without the offset that the fit had."""
        check_is_fitted(self)
        if offset is None and exposure is None and self._had_offset:
            raise ValueError(
                "fit had an offset or exposure, and a score of rows needs theirs: score(X, y, offset=...) or "
                f"score(X, y, exposure=...). {ROUTING}"
            )
