r"""A selection that was kept, which predicts as the estimator does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l0bayes.estimators.input_tables import Array
from l0bayes.estimators.kept.coefficient_law import CoefficientLaw
from l0bayes.estimators.kept.predictor import ESTIMATORS, Prediction, Predictor
from l0bayes.estimators.kept.table_coding import TableCoding
from l0bayes.estimators.row_terms import one_a_row, row_offset, warn_without_offset
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_registry import likelihood_by_name

__all__ = ["SavedSelection", "class_labels", "class_probabilities", "row_numbers", "state_of"]


class SavedSelection:
    """What :func:`l0bayes.load_selection` gives: the posterior of a selection, ready for predictions.

    Args:
        state: From :func:`state_of`, as it was read.
        coding: How tables become columns; kept as an attribute.

    Attributes:
        columns_: Names of the columns that have coefficients.
        gate_names_: Names of the gates.
        pip_: Posterior inclusion probability of every column, shape ``(p,)``.
        coef_: Posterior mean of the coefficients, zeros included, shape ``(p,)``.
        intercept_: Posterior mean of the intercept.
        classes_: The two classes, where the response is one; else ``None``.
        about: How it was fitted: estimator, its arguments in words, engine, verdict, version, and the like.

    Raises:
        ValueError: If its likelihood is not registered here.
    """

    def __init__(self, state: Mapping[str, Any], coding: TableCoding) -> None:
        self.columns_: list[str] = list(state["columns"])
        self.gate_names_: list[str] = list(state["gates"])
        self.pip_: Array = state["pip"].numpy()
        self.coef_: Array = state["coef"].numpy()
        self.intercept_: float = state["intercept"]
        self.classes_: Any = None if state["classes"] is None else np.array(state["classes"])
        self.about: dict[str, Any] = state["about"]
        self.coding = coding
        laws = {name: CoefficientLaw.of_state(law) for name, law in state["laws"].items()}
        likelihood = likelihood_by_name(state["likelihood"], **state["likelihood_options"])
        self._predictor = Predictor(laws.__getitem__, likelihood)

    def __repr__(self) -> str:
        return f"SavedSelection({len(self.columns_)} columns, of {self.about['estimator']})"

    @property
    def likelihood(self) -> Likelihood:
        """The law of the response."""
        return self._predictor.likelihood

    def predict(
        self,
        X: Any,  # noqa: N803
        return_std: bool = False,
        estimator: str = "average",
        interval: float | None = None,
        *,
        fill: str = "refuse",
        unseen: str = "refuse",
        offset: Any = None,
        exposure: Any = None,
        trials: Any = None,
    ) -> Any:
        """As the estimator that was kept.

        Args:
            X: Columns: a frame that has those of the fit, in any order and beside others, or an array of
                shape ``(n, p)``.
            return_std: As there.
            estimator: As there.
            interval: As there.
            fill: What to do about missing columns and cells: ``"refuse"`` them by name, or take the
                ``"mean"`` of the fit, of a factor that of its levels.
            unseen: What to do about levels that no row of the fit had: ``"refuse"`` them by name, or predict
                the ``"mean"`` of the levels, with a warning.
            offset: Added to the linear predictor, shape ``(n,)``; of a selection of ``l0bayes select`` by
                default what the columns of the table say that were ``--offset`` or ``--exposure``.
            exposure: Of counts, in place of the offset that is its logarithm, shape ``(n,)``.
            trials: Numbers of trials, of a likelihood that has them, shape ``(n,)``; likewise.

        Raises:
            ValueError: If a column or cell is missing or a level is new, by name, before anything is done.
        """
        x = self._columns(X, fill, unseen)
        terms = self.coding.row_terms(X)
        given = row_offset(self.likelihood, len(x), *(one_a_row(len(x), one) for one in (offset, exposure)))
        known = self._offset(terms.get("offset") if given is None else given, len(x))
        if self.classes_ is not None:
            return class_labels(self._predictor, x, self.classes_, return_std, estimator, interval, known)
        return self._predictor.response(
            x,
            estimator=estimator,
            return_std=return_std,
            interval=interval,
            offset=known,
            trials=row_numbers("trials", terms.get("trials") if trials is None else trials, len(x)),
        )

    def predict_proba(
        self,
        X: Any,  # noqa: N803
        estimator: str = "average",
        interval: float | None = None,
        *,
        fill: str = "refuse",
        unseen: str = "refuse",
        offset: Any = None,
    ) -> Any:
        """As the classifier that was kept.

        Args:
            X: As in :meth:`predict`.
            estimator: As there.
            interval: Probability of an interval of each class's probability.
            fill: As there.
            unseen: As there.
            offset: As there.

        Raises:
            ValueError: If the response is no class, or as there.
        """
        if self.classes_ is None:
            raise ValueError("the response is no class, and has no probabilities: use predict")
        x = self._columns(X, fill, unseen)
        known = self.coding.row_terms(X).get("offset") if offset is None else offset
        added = self._offset(known, len(x))
        return class_probabilities(self._predictor, x, estimator, interval, added)

    def _offset(self, values: Any, count: int) -> Tensor | None:
        if values is None and self.about.get("offset", False):
            warn_without_offset()
        return row_numbers("offset", values, count)

    def _columns(self, table: Any, fill: str, unseen: str) -> Tensor:
        if not len(table):
            raise ValueError("X has no rows: there is nothing to predict")
        return torch.tensor(self.coding.encode(table, fill=fill, unseen=unseen))


def class_labels(
    predictor: Predictor,
    x: Tensor,
    classes: Any,
    return_std: bool,
    estimator: str,
    interval: float | None,
    offset: Tensor | None = None,
) -> Any:
    """The more probable classes, alone or with the standard deviation of a class's indicator.

    Args:
        predictor: What predicts.
        x: Columns, shape ``(n, p)``.
        classes: The two classes.
        return_std: Whether to give standard deviations.
        estimator: What coefficients are averaged over.
        interval: Must be ``None``: a class has no interval.
        offset: Added to the predictor, shape ``(n,)``.

    Raises:
        ValueError: If an interval is asked for.
    """
    if interval is not None:
        raise ValueError(
            "a class has no interval: predict_proba(X, interval=...) gives probabilities with theirs"
        )
    one = predictor.probability(x, estimator=estimator, offset=offset)[0].numpy()
    labels = classes[(one > 0.5).astype(int)]
    return (labels, np.sqrt(one * (1.0 - one))) if return_std else labels


def class_probabilities(
    predictor: Predictor, x: Tensor, estimator: str, interval: float | None, offset: Tensor | None = None
) -> Any:
    """Probabilities of the two classes, shape ``(n, 2)``, alone or with intervals.

    Args:
        predictor: What predicts.
        x: Columns, shape ``(n, p)``.
        estimator: What coefficients are averaged over.
        interval: Probability of the intervals; ``None`` for none.
        offset: Added to the predictor, shape ``(n,)``.
    """
    one, low, high = predictor.probability(x, estimator=estimator, interval=interval, offset=offset)
    mean = torch.stack([1.0 - one, one], 1).numpy()
    if interval is None:
        return mean
    return Prediction(
        mean, torch.stack([1.0 - high, low], 1).numpy(), torch.stack([1.0 - low, high], 1).numpy()
    )


def row_numbers(name: str, values: Any, count: int) -> Tensor | None:
    """Numbers that go with rows, as a tensor.

    Args:
        name: Name of the argument.
        values: The numbers, one for all, or ``None``.
        count: Number of rows.

    Raises:
        ValueError: If there are others than one a row, or they are not finite.
    """
    if values is None:
        return None
    found = np.array(values, dtype=np.float64)  # a copy: torch warns of read-only ones
    if found.ndim == 0:
        found = np.full(count, float(found))
    if found.shape != (count,) or not np.isfinite(found).all():
        raise ValueError(f"{name} must hold a finite number for each of {count} rows, got {values!r}")
    return torch.from_numpy(found)


def state_of(
    predictor: Predictor,
    coding: Mapping[str, Any],
    columns: list[str],
    gates: list[str],
    pip: Any,
    coef: Any,
    intercept: float,
    classes: Any,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """What is kept of a selection.

    Args:
        predictor: What predicts.
        coding: State of the coding of tables.
        columns: Names of the columns.
        gates: Names of the gates.
        pip: Posterior inclusion probability of every column.
        coef: Posterior means of the coefficients.
        intercept: Posterior mean of the intercept.
        classes: The two classes, or ``None``.
        about: How it was fitted, as plain values.
    """
    likelihood = predictor.likelihood
    options = {name: value for name, value in likelihood.settings.items() if not isinstance(value, Tensor)}
    return {
        "columns": [str(name) for name in columns],
        "gates": [str(name) for name in gates],
        "pip": torch.as_tensor(pip),
        "coef": torch.as_tensor(coef),
        "intercept": float(intercept),
        "classes": None if classes is None else np.asarray(classes).tolist(),
        "likelihood": likelihood.name,
        "likelihood_options": options,
        "laws": {name: predictor.law(name).state() for name in ESTIMATORS},
        "coding": dict(coding),
        "about": dict(about),
    }
