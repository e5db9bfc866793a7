r"""Restarts, folds, imputations and responses of one estimator, on as many workers as joblib has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing

from l0bayes import validate
from l0bayes.estimators.many.many_fits import ManyFits
from l0bayes.estimators.many.many_requests import check_request, check_rows, same_columns
from l0bayes.estimators.many.task_pool import run_tasks, task_seeds

__all__ = ["fit_folds", "fit_imputations", "fit_responses", "fit_restarts"]


def fit_restarts(
    estimator: Any,
    X: Any,  # noqa: N803
    y: Any,
    *,
    restarts: int = 4,
    n_jobs: int | None = None,
    **rows: Any,
) -> ManyFits:
    """Fit the same data several times, each time with another seed.

    Where the fits differ by more than ``pip_mcse``, the engine has not found the posterior. (Restarts of one
    variational fit, mixed by their ELBO, are the argument ``restarts`` of the estimators.)

    Args:
        estimator: An estimator; it is left as it is.
        X: Columns, as its ``fit`` takes them.
        y: Response.
        restarts: Number of fits.
        n_jobs: Workers, as in scikit-learn: ``None`` is 1, or what ``joblib.parallel_config`` says; -1 is all
            cores. The numbers are the same for any.
        **rows: What else ``fit`` takes for each row: ``sample_weight``, ``offset`` and so on.

    Returns:
        The fits.

    Raises:
        TypeError: If there is no estimator, it takes no such arguments, or it or the data cannot be sent to
            another process.
        ValueError: If there are fewer than two restarts, or an argument is not what it must be, by name.
    """
    validate.at_least(2, restarts=restarts)
    check_request(estimator, rows, n_jobs)
    check_rows(_count(X), y=y, **rows)
    return _fitted("restart", estimator, [(X, y, rows)] * restarts, n_jobs)


def fit_folds(
    estimator: Any,
    X: Any,  # noqa: N803
    y: Any,
    *,
    cv: Any = 5,
    n_jobs: int | None = None,
    **rows: Any,
) -> ManyFits:
    """Fit the rows outside of each fold of a cross-validation, and score those in it.

    A level that no row of a fit has is no column of it: see
    :meth:`~l0bayes.estimators.many.many_fits.ManyFits.pooled`.

    Args:
        estimator: An estimator; it is left as it is.
        X: Columns.
        y: Response.
        cv: Number of folds, or a splitter of scikit-learn.
        n_jobs: As in :func:`fit_restarts`.
        **rows: What else ``fit`` and ``score`` take for each row, of which each fold has its part.

    Returns:
        The fits with their scores.

    Raises:
        TypeError: If there is no estimator, it takes no such arguments, or it or the data cannot be sent to
            another process.
        ValueError: If the folds cannot be made, one of them cannot be fitted, or an argument is not what it
            must be, by name.
    """
    check_request(estimator, rows, n_jobs, scored=True)
    check_rows(_count(X), y=y, **rows)
    folding: Any = check_cv(cv, y, classifier=is_classifier(estimator))
    folds = list(folding.split(X, y))
    tasks = [(X, y, rows, *fold) for fold in folds]
    names = _numbered("fold", len(tasks))
    done = _run(_fit_and_score, names, estimator, tasks, n_jobs)
    return ManyFits("fold", names, [fit for fit, _ in done], [score for _, score in done])


def fit_imputations(
    estimator: Any, tables: Sequence[Any], y: Any, *, n_jobs: int | None = None, **rows: Any
) -> ManyFits:
    """Fit each of several tables in which what was missing has been filled in by draws from some model of it.

    ``pooled()`` is the posterior that averages over the imputations.

    Args:
        estimator: An estimator; it is left as it is.
        tables: Columns, the same in each; at least two. Of a factor whose levels differ see
            :meth:`~l0bayes.estimators.many.many_fits.ManyFits.pooled`.
        y: Response, or a list with one for each table where it was imputed too.
        n_jobs: As in :func:`fit_restarts`.
        **rows: What else ``fit`` takes for each row, the same for all tables.

    Returns:
        The fits.

    Raises:
        TypeError: If there is no estimator, it takes no such arguments, or it or the data cannot be sent to
            another process, or a single table is given.
        ValueError: If there are fewer than two tables, they differ in rows or columns, there is neither one
            response for all nor one for each, or an argument is not what it must be, by name.
    """
    if getattr(tables, "ndim", None) == 2 or getattr(tables, "columns", None) is not None:
        raise TypeError(
            f"tables must be a list of imputed tables, got one {type(tables).__name__}; fit takes one"
        )
    tables = list(tables)
    if len(tables) < 2:
        raise ValueError(f"tables must hold at least two imputed tables, got {len(tables)}; fit takes one")
    check_request(estimator, rows, n_jobs)
    tables = same_columns(tables)
    each = y if isinstance(y, list) and np.ndim(y[0]) else [y] * len(tables)
    if len(each) != len(tables):
        raise ValueError(
            f"y has {len(each)} responses for {len(tables)} tables; give one for all, or one each"
        )
    for one in each:
        check_rows(_count(tables[0]), y=one, **rows)
    return _fitted(
        "imputation", estimator, [(x, one, rows) for x, one in zip(tables, each, strict=True)], n_jobs
    )


def fit_responses(
    estimator: Any,
    X: Any,  # noqa: N803
    responses: Any,
    *,
    n_jobs: int | None = None,
    **rows: Any,
) -> ManyFits:
    """Fit several responses to the same columns, each by itself.

    Args:
        estimator: An estimator; it is left as it is.
        X: Columns.
        responses: A mapping or a frame from names to responses, or an array with a column for each.
        n_jobs: As in :func:`fit_restarts`.
        **rows: What else ``fit`` takes for each row, the same for all responses.

    Returns:
        The fits, by the names of the responses.

    Raises:
        TypeError: If there is no estimator, it takes no such arguments, or it or the data cannot be sent to
            another process.
        ValueError: If an array of responses is not a matrix, or an argument is not what it must be, by name.
    """
    if isinstance(responses, Mapping):
        named = {str(name): np.asarray(one) for name, one in responses.items()}
    else:
        values = np.asarray(responses)
        if values.ndim != 2:
            raise ValueError(f"responses must have a column for each response, got the shape {values.shape}")
        names = getattr(responses, "columns", None)
        labels = [f"response {k + 1}" for k in range(values.shape[1])] if names is None else map(str, names)
        named = dict(zip(labels, values.T, strict=True))
    check_request(estimator, rows, n_jobs)
    for name, one in named.items():
        check_rows(_count(X), **{f"response {name!r}": one}, **rows)
    tasks = [(X, one, rows) for one in named.values()]
    return _fitted("response", estimator, tasks, n_jobs, list(named))


def _fitted(
    kind: str,
    estimator: Any,
    tasks: Sequence[tuple[Any, Any, dict[str, Any]]],
    n_jobs: int | None,
    names: list[str] | None = None,
) -> ManyFits:
    names = _numbered(kind, len(tasks)) if names is None else names
    return ManyFits(kind, names, _run(_fit, names, estimator, tasks, n_jobs))


def _run(
    work: Callable[..., Any], names: list[str], estimator: Any, tasks: Sequence[Any], n_jobs: int | None
) -> list[Any]:
    """Each with a copy of the estimator that has a seed of its own."""
    seeds = task_seeds(estimator.random_state, len(tasks))
    copies: list[Any] = [clone(estimator) for _ in seeds]
    for one, seed in zip(copies, seeds, strict=True):
        one.set_params(random_state=seed)
    return run_tasks(
        work, [(one, *task) for one, task in zip(copies, tasks, strict=True)], n_jobs=n_jobs, names=names
    )


def _fit(estimator: Any, x: Any, y: Any, rows: dict[str, Any]) -> Any:
    return estimator.fit(x, y, **rows)


def _fit_and_score(
    estimator: Any, x: Any, y: Any, rows: dict[str, Any], train: Any, test: Any
) -> tuple[Any, float]:
    def part(of: Any) -> tuple[Any, Any, dict[str, Any]]:
        own = {
            name: value if np.ndim(value) == 0 else _safe_indexing(value, of) for name, value in rows.items()
        }
        return _safe_indexing(x, of), _safe_indexing(y, of), own

    columns, response, known = part(train)
    estimator.fit(columns, response, **known)
    columns, response, known = part(test)
    return estimator, float(estimator.score(columns, response, **known))


def _count(table: Any) -> int:
    return int(np.shape(table)[0])


def _numbered(kind: str, count: int) -> list[str]:
    return [f"{kind} {index + 1}" for index in range(count)]
