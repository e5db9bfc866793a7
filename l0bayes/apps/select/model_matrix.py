r"""Terms of a formula evaluated over a table."""

from __future__ import annotations

import ast
import re
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from l0bayes.apps.select.column_names import ColumnNames
from l0bayes.apps.select.formula_functions import context
from l0bayes.apps.select.table_checks import data_row, rows_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["first_line", "gated_columns", "response_values"]


def response_values(table: pd.DataFrame, term: Any, known: ColumnNames) -> pd.Series[Any]:
    """What stands on the left of a formula.

    Args:
        table: The table, with stand-ins for names.
        term: The term.
        known: The names.

    Raises:
        ValueError: If it cannot be evaluated, is no single column, or is not finite.
    """
    if [factor.eval_method.value for factor in term.factors] == ["lookup"]:
        column: pd.Series[Any] = table[term.factors[0].expr]
        return column
    matrix = _evaluate(table, [term], known, intercept=False)
    name = known.show_in(str(term))
    if matrix.shape[1] != 1:
        columns = [known.show_in(str(column)) for column in matrix.columns]
        raise ValueError(f"response {name!r} must be one column, got {columns}")
    values: pd.Series[Any] = matrix.iloc[:, 0]
    _check_finite(name, values, table.index)
    return values


def gated_columns(
    table: pd.DataFrame, terms: list[Any], known: ColumnNames
) -> tuple[pd.DataFrame, list[str], dict[str, str]]:
    """Columns that have a gate, the term of each, and the level that dummies are compared with.

    Args:
        table: The table, with stand-ins for names.
        terms: The terms; one without variables is the intercept.
        known: The names.

    Raises:
        ValueError: If a term cannot be evaluated, is constant or not finite, or two have one name.
    """
    matrix = _evaluate(table, terms, known)
    spec = matrix.model_spec
    groups = [""] * matrix.shape[1]
    for term in terms:
        label, indices = known.show_in(str(term)), spec.term_indices.get(term, [])
        if term.degree and not indices:
            raise ValueError(f"term {label!r} is constant, and says nothing: leave it out")
        if term.degree and label in groups:
            raise ValueError(f"formula makes two terms of one name, {label!r}: rename the column")
        for index in indices if term.degree else ():
            groups[index] = label
    gated = [index for index, group in enumerate(groups) if group]
    x = matrix.iloc[:, gated]
    x.columns = [known.show_in(str(name)) for name in x.columns]
    groups = [groups[index] for index in gated]
    twice = x.columns[x.columns.duplicated()].tolist()
    if twice:
        raise ValueError(f"formula makes several columns of one name: {twice}")
    for name, group in zip(x.columns, groups, strict=True):
        values = x[name].to_numpy(float)
        _check_finite(str(name), values, table.index)
        if np.ptp(values) <= 1e-12 * max(1e-300, float(np.abs(values).max())):
            part = "" if name == group else f" (of the term {group!r})"
            raise ValueError(
                f"column {str(name)!r}{part} is constant: {values[0]:g} in all {len(values)} rows. Leave it "
                f"out"
            )
    return x.astype(float), groups, _references(spec, terms, known)


def _check_finite(name: str, values: Any, index: Any) -> None:
    bad = np.nonzero(~np.isfinite(np.asarray(values, dtype=float)))[0]
    if len(bad):
        raise ValueError(
            f"column {name!r} is not finite in {rows_of(len(bad))}, the first of them "
            f"{data_row(index, bad[0])}"
        )


def _evaluate(table: pd.DataFrame, terms: list[Any], known: ColumnNames, *, intercept: bool = True) -> Any:
    from formulaic import ModelSpec, SimpleFormula
    from formulaic.errors import DataMismatchWarning, FormulaicError

    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("error", DataMismatchWarning)
            return ModelSpec(
                SimpleFormula(terms), ensure_full_rank=intercept, output="pandas", na_action="ignore"
            ).get_model_matrix(table, context=context())
    except DataMismatchWarning as warning:
        raise ValueError(_of_other_levels(table, terms, known, warning)) from None
    except (FormulaicError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"formula cannot be evaluated: {known.show_in(first_line(error))}") from None


def _of_other_levels(table: pd.DataFrame, terms: list[Any], known: ColumnNames, warning: Warning) -> str:
    """Rows whose level ``C(..., levels=[...])`` does not name would count as rows of the first one."""
    for expression in dict.fromkeys(factor.expr for term in terms for factor in term.factors):
        match = re.match(r"C\((\w+),.*levels=(\[[^\]]*\]|\([^)]*\))", expression)
        if match is None or match[1] not in table:
            continue
        with suppress(ValueError, SyntaxError):
            values = table[match[1]]
            wrong = np.nonzero(~values.isin(ast.literal_eval(match[2])).to_numpy())[0]
            if len(wrong):
                others = sorted(set(map(repr, values.iloc[wrong].tolist())))
                told = ", ".join(others[:6]) + (", ..." if len(others) > 6 else "")
                return (
                    f"{known.type_in(expression)} leaves out levels that column {known.find(match[1])!r} "
                    f"has: {told} in {rows_of(len(wrong))}, the first of them "
                    f"{data_row(table.index, wrong[0])}. Name all levels, or take such rows out of the table"
                )
    return f"formula cannot be evaluated: {known.show_in(first_line(warning))}"


def _references(spec: Any, terms: list[Any], known: ColumnNames) -> dict[str, str]:
    """Of every factor that is a term by itself, the level without a dummy."""
    found = {}
    for term in terms:
        state = spec.encoder_state.get(str(term)) if term.degree == 1 and len(term.factors) == 1 else None
        levels = state[1].get("categories") if state else None
        columns = [spec.column_names[index] for index in spec.term_indices.get(term, [])]
        if levels is not None and len(columns) == len(levels) - 1:
            rest = [
                level for level in map(str, levels) if not any(f"[T.{level}]" in name for name in columns)
            ]
            if len(rest) == 1:
                found[known.show_in(str(term))] = rest[0]
    return found


def first_line(error: Exception) -> str:
    """The first line of a message, without colours and brackets that mark a place.

    Args:
        error: The error.
    """
    text = re.sub(r"\x1b\[[0-9;]*m|[⧛⧚]", "", str(error)).strip()
    return text.splitlines()[0].strip() if text else type(error).__name__
