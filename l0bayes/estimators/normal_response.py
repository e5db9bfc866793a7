r"""Fits, predictions and scores of estimators whose response is a number with Normal noise."""

from __future__ import annotations

from typing import Any, Self

from l0bayes.estimators.fold_scores import FoldScores
from l0bayes.estimators.row_terms import RowTerms, row_offset

__all__ = ["NormalResponse"]


class NormalResponse(FoldScores):
    """Mixin of the linear regression: responses beside offsets."""

    # Passed on by scikit-learn wherever metadata are routed.
    __metadata_request__fit = {"offset": True}
    __metadata_request__predict = {"offset": True}
    __metadata_request__score = {"offset": True}

    def fit(
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any = None,
        *,
        offset: Any = None,
    ) -> Self:
        """Find the posterior.

        Args:
            X: Columns, shape ``(n, p)``: an array of numbers, or a data frame, in which columns of text and
                categories are factors; memory maps, SciPy sparse matrices, Arrow tables and torch tensors
                as they are.
            y: Response, shape ``(n,)``.
            sample_weight: A weight for each row, shape ``(n,)``: a row of weight w counts as w rows like
                it, and one of weight 0 not at all.
            offset: What is added to the mean of each row, in units of y, shape ``(n,)``; what is standardised
                is the response without it.

        Returns:
            The estimator.

        Raises:
            ValueError: If an argument, a column or the response is not what it must be, by name.
        """
        own: Any = self

        def terms(count: int) -> RowTerms:
            return RowTerms(offset=row_offset(own._response_law(), count, offset, None))

        own._fit_table(X, y, sample_weight, terms)
        return self

    def predict(
        self,
        X: Any,  # noqa: N803
        return_std: bool = False,
        estimator: str = "average",
        interval: float | None = None,
        *,
        offset: Any = None,
    ) -> Any:
        """Posterior mean of the response's mean, and how far a new response may be from it.

        Args:
            X: Columns, shape ``(n, p)``.
            return_std: Whether to give the standard deviation of the posterior predictive law too: of a new
                response, its own noise included.
            estimator: What is predicted from: the ``"average"`` of all models, weighted by how probable they
                are; the ``"median"`` probability model, of the columns with a PIP above one half, or the
                ``"best"``, most probable one, with its coefficients given that model.
            interval: Probability of an interval of a new response, such as 0.9: between two quantiles of the
                posterior predictive law, a mixture over models and coefficients.
            offset: What is added to the mean of each row, shape ``(n,)`` or one number; 0 where not given,
                with a warning if ``fit`` had one.

        Returns:
            Means of shape ``(n,)``; with ``return_std`` the pair of means and standard deviations; with an
            interval a :class:`~l0bayes.estimators.kept.predictor.Prediction` of ``mean``, ``low``, ``high``.

        Raises:
            ValueError: If a word or number is out of range.
        """
        own: Any = self
        return own._predicted(X, return_std, estimator, interval, offset)

    def score(
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any = None,
        *,
        offset: Any = None,
    ) -> float:
        """R², as in scikit-learn; a level of text that ``fit`` did not see is at the mean of the others.

        Args:
            X: Columns, shape ``(n, p)``.
            y: Response, shape ``(n,)``.
            sample_weight: Weights of the rows.
            offset: What is added to the mean of each row, as in ``fit``.

        Raises:
            ValueError: If ``fit`` had an offset, and there is none here.
        """
        return self._r2(X, y, sample_weight, offset)
