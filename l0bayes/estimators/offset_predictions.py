r"""``predict`` of estimators whose rows may have an offset."""

from __future__ import annotations

from typing import Any

from l0bayes.estimators.generalised_estimator import GeneralisedEstimator

__all__ = ["OffsetPredictions"]


class OffsetPredictions(GeneralisedEstimator):
    """Base of estimators of numbers: means, standard deviations and intervals of new responses."""

    def predict(
        self,
        X: Any,  # noqa: N803
        return_std: bool = False,
        estimator: str = "average",
        interval: float | None = None,
        *,
        offset: Any = None,
        exposure: Any = None,
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
            offset: What is added to the linear predictor of each row, shape ``(n,)`` or one number;
                0 where not given, with a warning if ``fit`` had one.
            exposure: Of counts: positive, shape ``(n,)``; 1 where not given.

        Returns:
            Means of shape ``(n,)``; with ``return_std`` the pair of means and standard deviations; with an
            interval a :class:`~l0bayes.estimators.kept.predictor.Prediction` of ``mean``, ``low``, ``high``.

        Raises:
            ValueError: If a word or number is out of range.
        """
        return self._predicted(X, return_std, estimator, interval, offset, exposure)
