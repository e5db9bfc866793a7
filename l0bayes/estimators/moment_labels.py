"""Which column each number of some moments is of, by their labels where they have any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["LabelledMoments", "labelled_moments"]


@dataclass(frozen=True)
class LabelledMoments:
    """Moments in one order of the columns.

    Attributes:
        xtx: As given, rows and columns in the order.
        xty: As given, in the order.
        means: As given, in the order, the response's last; a pair stays one.
        names: Names of the columns in the order; ``None`` where nothing named them.
    """

    xtx: Any
    xty: Any
    means: Any
    names: list[str] | None


def labelled_moments(xtx: Any, xty: Any, means: Any, names: Sequence[str] | None) -> LabelledMoments:
    """Put moments into one order: that of ``names``, else of the labels of ``xtx``, ``xty`` or ``means``.

    Frames and series with labels of their own are taken by these; arrays, and labels that only count, by
    their place.

    Args:
        xtx: Sums of products of columns.
        xty: Those with the response.
        means: Means of columns and response, or a pair of the two, or ``None``.
        names: Names of the columns.

    Raises:
        ValueError: If labels name other columns than others do, or one of them twice.
    """
    pair = isinstance(means, tuple) and len(means) == 2 and np.ndim(means[0]) == 1
    of_columns = _labels("means", means[0] if pair else means)
    across, down, beside = _labels("xtx", xtx, "columns"), _labels("xtx", xtx), _labels("xty", xty)
    found = {"xtx, in its columns,": across, "xtx, in its rows,": down, "xty": beside}
    response: list[str] = []
    if of_columns is not None and not pair:
        # One of them is the response's, which may be called anything: the one that is no column, or the last.
        known = next(
            (set(one) for one in (names, across, down, beside) if one is not None), set(of_columns[:-1])
        )
        response = [label for label in of_columns if label not in known][:1] or of_columns[-1:]
        of_columns = [label for label in of_columns if label not in response]
    found["means"] = of_columns
    labelled = {what: labels for what, labels in found.items() if labels is not None}
    order = list(names) if names is not None else next(iter(labelled.values()), None)
    if order is None:
        return LabelledMoments(xtx, xty, means, None)
    for what, labels in labelled.items():
        _check_same(
            what,
            labels,
            [str(name) for name in order],
            "names" if names is not None else next(iter(labelled)),
        )

    def put(values: Any, labels: list[str] | None) -> Any:
        return values if labels is None else np.asarray(values)[[labels.index(name) for name in wanted]]

    wanted = [str(name) for name in order]
    rows = put(xtx, down)
    square = rows if across is None else np.asarray(rows)[:, [across.index(name) for name in wanted]]
    if pair:
        means = (put(means[0], of_columns), means[1])
    elif of_columns is not None:
        every = _labels("means", means) or []
        means = np.asarray(means)[[every.index(name) for name in (*wanted, *response)]]
    return LabelledMoments(square, put(xty, beside), means, wanted)


def _labels(what: str, values: Any, axis: str = "index") -> list[str] | None:
    """Labels of the rows or columns; ``None`` where there are none, or they only count."""
    labels = getattr(values, axis, None)
    if labels is None or callable(labels) or isinstance(labels, str):  # a list has a method of the name
        return None
    given = list(labels)
    if given == list(range(len(given))):
        return None
    texts = [str(one) for one in given]
    twice = [one for one in texts if texts.count(one) > 1]
    if twice:
        raise ValueError(
            f"{what} has the label {twice[0]!r} more than once: labels say which column is which"
        )
    return texts


def _check_same(what: str, labels: list[str], order: list[str], by: str) -> None:
    missing = [name for name in order if name not in labels]
    other = [name for name in labels if name not in order]
    if missing or other:
        lacks = f"lacks {', '.join(map(repr, missing))}" if missing else ""
        has = f"has {', '.join(map(repr, other))}" if other else ""
        raise ValueError(
            f"{what} {' and '.join(part for part in (lacks, has) if part)} among its labels, by which "
            f"columns are told; {by.rstrip(',')} has {', '.join(map(repr, order))}. Give the same "
            "labels, or arrays, which are taken by their place"
        )
