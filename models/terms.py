"""Columns that enter a regression together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

__all__ = ["column_groups", "gate_of_column", "term_names"]


def column_groups(features: Sequence[str], terms: Mapping[str, Sequence[str | int]]) -> Tensor:
    """The gate of every column, from terms: all dummies of a factor, all columns of a spline.

    Args:
        features: Names of the columns.
        terms: Term to its columns, by name or by place. A column in no term is a term of its own.

    Returns:
        Index of every column's gate, ``torch.long``; gates are numbered in the order of their first columns.

    Raises:
        ValueError: If a term is empty, names a column that there is not, or a column is in two.

    Example::

        groups = column_groups(["age", "b[1]", "b[2]"], {"b": ["b[1]", "b[2]"]})  # tensor([0, 1, 1])
    """
    names = _terms_of_columns(features, terms)
    index: dict[str, int] = {}
    return torch.tensor([index.setdefault(name, len(index)) for name in names])


def term_names(features: Sequence[str], terms: Mapping[str, Sequence[str | int]]) -> list[str]:
    """Names of the gates of :func:`column_groups`, in their order.

    Args:
        features: Names of the columns.
        terms: As there.
    """
    return list(dict.fromkeys(_terms_of_columns(features, terms)))


def gate_of_column(
    names: Sequence[str], groups: Tensor | Sequence[int] | Mapping[str, Sequence[str | int]] | None
) -> Tensor | None:
    """The gate of every column, from any way to give groups; ``None`` where each column is its own.

    Args:
        names: Names of the columns.
        groups: Index of each column's gate, or terms as in :func:`column_groups`.

    Raises:
        TypeError: If it is neither.
    """
    if groups is None or isinstance(groups, Tensor):
        return groups
    if isinstance(groups, Mapping):
        return column_groups(names, groups)
    try:
        return torch.as_tensor(groups)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            "groups must be the index of each column's gate, whole numbers, or a dictionary of terms; "
            f"got {groups!r}"
        ) from None


def _terms_of_columns(features: Sequence[str], terms: Mapping[str, Sequence[str | int]]) -> list[str]:
    place = {name: index for index, name in enumerate(features)}
    owner: dict[int, str] = {}
    for term, columns in terms.items():
        if isinstance(columns, str) or not len(columns):
            raise ValueError(f"terms must give each term a list of columns, got {columns!r} for {term!r}")
        for column in columns:
            index = place.get(column, -1) if isinstance(column, str) else column
            if not 0 <= index < len(features):
                raise ValueError(f"terms: {term!r} has the column {column!r}, which there is not")
            if index in owner:
                raise ValueError(
                    f"terms: column {features[index]!r} is in {owner[index]!r} and in {term!r}; "
                    "a column can be in one term"
                )
            owner[index] = term
    clash = sorted(name for i, name in enumerate(features) if i not in owner and name in terms)
    if clash:
        raise ValueError(f"terms: {clash[0]!r} is a term and a column outside of it; rename one")
    return [owner.get(index, name) for index, name in enumerate(features)]
