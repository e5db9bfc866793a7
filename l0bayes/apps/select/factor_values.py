r"""Factors of terms evaluated over a table: numbers, or levels."""

from __future__ import annotations

import ast
import re
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from l0bayes.apps.select.column_names import ColumnNames
from l0bayes.apps.select.formula_functions import FACTOR, context
from l0bayes.apps.select.table_checks import check_finite, data_row, rows_of
from l0bayes.apps.select.term_recipes import FactorRecipe, plain_state
from l0bayes.estimators.input_tables import Array
from l0bayes.estimators.kept.table_coding import plain_levels

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FactorValues", "evaluate_term", "factor_values", "first_line", "response_values"]


@dataclass(frozen=True)
class FactorValues:
    """What a factor of a term is, row by row.

    Attributes:
        names: Names of its columns: ``age``, ``bs(age, df=4)[1]``, ``region[north]``.
        values: The columns, shape ``(n, k)``.
        levels: Whether they are zeros and ones for levels, one of them 1 in each row.
        recipe: How it is made of other rows.
        notes: What was not done as it reads.
    """

    names: list[str]
    values: npt.NDArray[np.float64]
    levels: bool
    recipe: FactorRecipe
    notes: list[str] = field(default_factory=list)


def response_values(
    table: pd.DataFrame, term: Any, known: ColumnNames, counts: Array | None = None
) -> pd.Series[Any]:
    """What stands on the left of a formula.

    Args:
        table: The table, with stand-ins for names.
        term: The term.
        known: The names.
        counts: How many rows each row stands for, in what functions learn from rows.

    Raises:
        ValueError: If it cannot be evaluated, is no single column, or is not finite.
    """
    if [factor.eval_method.value for factor in term.factors] == ["lookup"]:
        column: pd.Series[Any] = table[term.factors[0].expr]
        return column
    matrix = evaluate_term(table, term, known, counts=counts)
    name = known.show_in(str(term))
    if matrix.shape[1] != 1:
        columns = [known.show_in(str(column)) for column in matrix.columns]
        raise ValueError(f"response {name!r} must be one column, got {columns}")
    values: pd.Series[Any] = matrix.iloc[:, 0]
    check_finite(name, values.to_numpy(float), table.index)
    return values


def factor_values(
    table: pd.DataFrame, factor: Any, known: ColumnNames, counts: Array | None = None
) -> FactorValues:
    """Evaluate one factor of a term.

    Args:
        table: The table, with stand-ins for names.
        factor: The factor.
        known: The names.
        counts: How many rows each row stands for: levels that none has which counts are left out, and
            functions learn from the others.

    Raises:
        ValueError: If it cannot be evaluated, or has a coding of its own.
    """
    from formulaic.parser.types import Factor, Term

    expression, notes = _without_coding(factor.expr, known)
    plain = factor if expression == factor.expr else Factor(expression, eval_method="python")
    matrix = evaluate_term(table, Term([plain]), known, counts=counts)
    kind, state = matrix.model_spec.encoder_state.get(expression, (None, {}))
    label, levels = known.show_in(factor.expr), state.get("categories")
    values = matrix.to_numpy(float)
    lookup = factor.eval_method.value == "lookup"
    if kind is not Factor.Kind.CATEGORICAL or levels is None:
        names = [known.show_in(str(name)) for name in matrix.columns]
        kept = plain_state(matrix.model_spec.transform_state)
        recipe = FactorRecipe(expression, lookup, names, None, kept, kind is Factor.Kind.CATEGORICAL)
        return FactorValues(names, values, False, recipe, notes)
    held = (values if counts is None else values[counts > 0]).any(0)
    had = [level for level, one in zip(levels, held, strict=True) if one]
    names = [f"{label}[{level}]" for level in had]
    recipe = FactorRecipe(_only_column(expression), lookup, names, plain_levels(had))
    return FactorValues(names, values[:, held], True, recipe, notes)


def _only_column(expression: str) -> str:
    """``C(region, levels=[...])`` as ``C(region)``, for other rows, whose levels are told apart by hand."""
    tree = ast.parse(expression.strip(), mode="eval") if "(" in expression else None
    call = tree.body if tree is not None else None
    if not isinstance(call, ast.Call) or ast.unparse(call.func) != FACTOR:
        return expression
    call.args, call.keywords = call.args[:1], []
    return ast.unparse(call)


def _without_coding(expression: str, known: ColumnNames) -> tuple[str, list[str]]:
    """``C(region, contr.sum)`` as ``C(region)``: all codings give the same here."""
    tree = ast.parse(expression.strip(), mode="eval") if "(" in expression else None
    call = tree.body if tree is not None else None
    if not isinstance(call, ast.Call) or ast.unparse(call.func) != FACTOR:
        return expression, []
    coding = [*call.args[1:], *(word.value for word in call.keywords if word.arg == "contrasts")]
    if not coding:
        return expression, []
    if not isinstance(coding[0], ast.Call | ast.Attribute | ast.Name):
        raise ValueError(
            f"formula has a coding of levels of its own in {known.type_in(expression)}: no result here "
            "depends on the coding. Leave it out, or make its columns in the table"
        )
    call.args = call.args[:1]
    call.keywords = [word for word in call.keywords if word.arg != "contrasts"]
    return ast.unparse(call), [
        f"{known.type_in(expression)}: no PIP depends on how levels are coded, and effects are given for "
        "every level, as differences from their mean"
    ]


def evaluate_term(
    table: pd.DataFrame,
    term: Any,
    known: ColumnNames,
    states: tuple[dict[str, Any], dict[str, Any]] | None = None,
    counts: Array | None = None,
) -> Any:
    """The columns of a term as ``formulaic`` makes them.

    Args:
        table: The table, with stand-ins for names.
        term: The term.
        known: The names.
        states: What transforms and encoders learned from other rows, if they did.
        counts: How many rows each row stands for, in what they learn from these.

    Raises:
        ValueError: If it cannot be evaluated.
    """
    from formulaic import ModelSpec, SimpleFormula
    from formulaic.errors import DataMismatchWarning, FormulaicError

    spec: Any = ModelSpec
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("error", DataMismatchWarning)
            return spec(
                SimpleFormula([term]),
                ensure_full_rank=False,
                output="pandas",
                na_action="ignore",
                transform_state=(states or ({}, {}))[0],
                encoder_state=(states or ({}, {}))[1],
            ).get_model_matrix(table, context=context(counts))
    except DataMismatchWarning as warning:
        raise ValueError(_of_other_levels(table, term, known, warning)) from None
    except (FormulaicError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"formula cannot be evaluated: {known.show_in(first_line(error))}") from None


def _of_other_levels(table: pd.DataFrame, term: Any, known: ColumnNames, warning: Warning) -> str:
    """Rows whose level ``C(..., levels=[...])`` does not name would count as rows of the first one."""
    for expression in dict.fromkeys(factor.expr for factor in term.factors):
        match = re.match(r"C\((\w+),.*levels=(\[[^\]]*\]|\([^)]*\))", expression)
        if match is None or match[1] not in table:
            continue
        with suppress(ValueError, SyntaxError):
            values = table[match[1]]
            wrong = np.nonzero(~values.isin(ast.literal_eval(match[2])).to_numpy())[0]
            if len(wrong):
                others = sorted(set(map(repr, values.iloc[wrong].tolist())))
                listing = ", ".join(others[:6]) + (", ..." if len(others) > 6 else "")
                return (
                    f"{known.type_in(expression)} leaves out levels that column {known.find(match[1])!r} "
                    f"has: {listing} in {rows_of(len(wrong))}, the first of them "
                    f"{data_row(table.index, wrong[0])}. Name all levels, or take such rows out of the table"
                )
    return f"formula cannot be evaluated: {known.show_in(first_line(warning))}"


def first_line(error: Exception) -> str:
    """The first line of a message, without colours and brackets that mark a place.

    Args:
        error: The error.
    """
    text = re.sub(r"\x1b\[[0-9;]*m|[⧛⧚]", "", str(error)).strip()
    return text.splitlines()[0].strip() if text else type(error).__name__
