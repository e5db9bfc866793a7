r"""scikit-learn's callbacks during ``fit``: progress, for a bar or for a search over estimators."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Self, TypeVar

from l0bayes.estimators.row_terms import RowTerms
from l0bayes.user_warnings import warn_user

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before scikit-learn 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """In the place of scikit-learn's."""

        def set_callbacks(self, *callbacks: Any) -> Any:
            """Refuse callbacks, which scikit-learn has from 1.9 on.

            Args:
                *callbacks: The callbacks.

            Raises:
                NotImplementedError: If there are any.
            """
            if callbacks:
                raise NotImplementedError(
                    "callbacks need scikit-learn 1.9 or newer: pip install -U scikit-learn; without it, "
                    "l0bayes.refine(..., progress=) and calibrate(..., progress=) tell their progress"
                )
            return self

        def _init_callback_context(self, **settings: Any) -> None:
            return None

    def with_callbacks(method: Any) -> Any:
        """The method as it is.

        Args:
            method: The method.
        """
        return method


__all__ = ["PARTS", "FitCallbacks"]

PARTS = 20
"""Subtasks of a fit, each of the same share of an engine's work."""

_Method = TypeVar("_Method", bound=Callable[..., Any])


class _Report:
    """Tells callbacks of the parts of a fit, one after the other."""

    def __init__(self, estimator: Any, context: Any, x: Any, y: Any) -> None:
        self._estimator, self._context = estimator, context
        self._data = {"X": x, "y": y}
        self._done = 0
        self._asked_to_stop = False

    def upto(self, share: float) -> None:
        """Report all parts up to a share of the work.

        Args:
            share: The share, up to 1.
        """
        while self._done < PARTS and share >= (self._done + 1) / PARTS - 1e-9:
            self._done += 1
            part = self._context.subcontext(task_name="part")
            part.call_on_fit_task_begin(estimator=self._estimator, **self._data)
            if part.call_on_fit_task_end(estimator=self._estimator, **self._data):
                self._decline()

    def _decline(self) -> None:
        if not self._asked_to_stop:
            warn_user(
                "a callback asked the fit to stop, and it goes on: a part of the work is no posterior. "
                "Give the engine less to do by options=",
                UserWarning,
            )
        self._asked_to_stop = True


def _reporting(fit: _Method) -> _Method:
    """A method that fits, from the table and the response, with callbacks around it.

    Args:
        fit: The method.
    """

    @with_callbacks
    @functools.wraps(fit)
    def reported(self: Any, table: Any, y: Any, *args: Any, **kwargs: Any) -> Any:
        context = self._init_callback_context(max_subtasks=PARTS)
        if context is None:
            return fit(self, table, y, *args, **kwargs)
        context.call_on_fit_task_begin(estimator=self, X=table, y=y)
        self._report = _Report(self, context, table, y)
        try:
            fitted = fit(self, table, y, *args, **kwargs)
            self._report.upto(1.0)
        finally:
            del self._report
        # The estimator is fitted: nothing is to be added to it.
        context.call_on_fit_task_end(estimator=self, X=table, y=y, reconstruction_attributes={})
        return fitted

    return reported  # type: ignore[no-any-return]


class FitCallbacks(CallbackSupportMixin):  # type: ignore[misc]
    """Support of scikit-learn's callbacks (1.9 and newer): ``set_callbacks(ProgressBar())``.

    A fit is one task with 20 subtasks, each a twentieth of the engine's work; engines that find all at once
    report them together. There is no fitted estimator before the end.
    """

    _report: _Report | None = None

    def _tell(self, share: float) -> None:
        """Tell of the share of an engine's work that is done."""
        if self._report is not None:
            self._report.upto(share)

    @abstractmethod
    def _fit_given(self, table: Any, y: Any, sample_weight: Any, terms: Callable[[int], RowTerms]) -> Self:
        """Find the posterior of a table, with what is known of its rows, by their number."""

    @_reporting
    def _fit_table(
        self,
        table: Any,
        y: Any,
        sample_weight: Any,
        terms: Callable[[int], RowTerms] = lambda count: RowTerms(),
    ) -> Self:
        """The same, and tell callbacks of it."""
        return self._fit_given(table, y, sample_weight, terms)
