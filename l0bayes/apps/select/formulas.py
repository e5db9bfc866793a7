r"""From a formula and a table to a response, columns, and the gate of each column."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from l0bayes.apps.select.column_names import ColumnNames
from l0bayes.apps.select.expression_checks import function_of
from l0bayes.apps.select.factor_values import first_line, response_values
from l0bayes.apps.select.formula_checks import (
    check_expressions,
    check_known,
    check_response_is_apart,
    notes_on_lookalikes,
    notes_on_squares,
    said_by_parser,
)
from l0bayes.apps.select.formula_functions import SEVERAL_COLUMNS
from l0bayes.apps.select.formula_text import read_formula_text, sides
from l0bayes.apps.select.prediction.formula_coding import FormulaCoding
from l0bayes.apps.select.prediction.learned_coding import learned_coding
from l0bayes.apps.select.response_checks import check_response
from l0bayes.apps.select.row_columns import (
    RowColumns,
    RowNumbers,
    check_learned_by_weight,
    check_survival,
    row_numbers,
    survival_response,
)
from l0bayes.apps.select.table_checks import (
    check_predictors,
    data_row,
    leave_out_missing,
    plain_columns,
    quoted,
)
from l0bayes.apps.select.table_suspicions import levels_that_look_otherwise
from l0bayes.apps.select.term_columns import term_columns
from l0bayes.apps.select.term_monomials import term_monomials
from l0bayes.estimators.coded_table import CodedTable
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_registry import likelihood_by_name
from l0bayes.selection.problem.level_block import LevelBlock

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FormulaData", "apply_formula"]


@dataclass(frozen=True)
class FormulaData:
    """What a formula makes of a table.

    Attributes:
        formula: The formula, the dot written out.
        response: Name of the response, as in the formula.
        y: The response: numbers, or the two classes as they stand in the table.
        x: Columns that have a gate.
        groups: Name of the term of every column; columns of a term share a gate.
        intercept: Whether there is an intercept.
        rows_read: Rows of the table.
        rows_dropped: Rows left out because something was missing.
        coding: How other rows are coded by it.
        blocks: Which columns stand for levels.
        centres: What was taken off columns before they were multiplied, by name.
        raw_products: Whether columns were multiplied as they stand.
        columns: The columns of the table that it uses.
        monomials: Of every gate the variables that are multiplied in it, with their powers.
        notes: What could have been read in another way, and how it was read.
        row_columns: Columns that say something of each row.
        rows: What they hold.
    """

    formula: str
    response: str
    y: pd.Series[Any]
    x: pd.DataFrame
    groups: list[str]
    intercept: bool
    rows_read: int
    rows_dropped: int
    coding: FormulaCoding
    blocks: list[LevelBlock] = field(default_factory=list)
    centres: dict[str, float] = field(default_factory=dict)
    raw_products: bool = False
    columns: list[str] = field(default_factory=list)
    monomials: tuple[dict[str, int], ...] = ()
    notes: list[str] = field(default_factory=list)
    row_columns: RowColumns = field(default_factory=RowColumns)
    rows: RowNumbers = field(default_factory=RowNumbers)

    @property
    def coded(self) -> CodedTable:
        """The columns as an estimator takes them."""
        numbers = {name: number for number, name in enumerate(self.gates)}
        return CodedTable(
            self.x.to_numpy(float),
            list(self.x.columns),
            torch.tensor([numbers[name] for name in self.groups]),
            self.gates,
            tuple(self.blocks),
            partial(data_row, self.x.index),
            self.monomials,
        )

    @property
    def gates(self) -> list[str]:
        """Names of the gates, in the order of their first column."""
        return list(dict.fromkeys(self.groups))


def apply_formula(
    table: pd.DataFrame,
    formula: str,
    likelihood: str | Likelihood,
    *,
    drop_missing: bool = False,
    centred: bool = True,
    refused: Mapping[str, str] | None = None,
    row_columns: RowColumns | None = None,
) -> FormulaData:
    """Evaluate a formula over a table.

    Formulas are those of ``formulaic``. All levels of a factor and all columns of a spline are one term,
    and share a gate. The dot is every column of the table that the left-hand side does not use; a variable
    that ``C()``, a spline or ``poly()`` brings is left out of it.

    Args:
        table: The table.
        formula: Such as ``"y ~ . - id + C(region)"``.
        likelihood: Law of the response, or its name: it says what the response may hold.
        drop_missing: Whether to leave out rows in which something is missing.
        centred: Whether products are of centred columns; see
            :func:`~l0bayes.apps.select.term_columns.term_columns`.
        refused: Columns that may not be used, and why: those of
            :class:`~l0bayes.apps.select.table_files.TableFile`.
        row_columns: Columns that say something of each row; the dot leaves them out.

    Raises:
        ValueError: If the formula cannot be read or names what the table does not have, or a column
            will not do: missing or infinite values, text among numbers, a constant, two of one name.
    """
    law = likelihood if isinstance(likelihood, Likelihood) else likelihood_by_name(likelihood, "selection")
    # One letter may be one sign or two, which look the same.
    formula = unicodedata.normalize("NFC", formula)
    table = table.rename(columns=lambda name: unicodedata.normalize("NFC", str(name)))
    names = list(table.columns)
    if len(set(names)) < len(names):
        raise ValueError(f"columns have the same name: {sorted({n for n in names if names.count(n) > 1})}")
    left, right = sides(formula)
    of_rows = row_columns or RowColumns()
    survival = survival_response(left)
    check_survival(law, survival=survival is not None)
    if survival is not None:
        left, of_rows = quoted(survival[0]), replace(of_rows, event=survival[1])
    beside = list(dict.fromkeys(name for _, name in of_rows))
    of_rows.check_known(names)
    known = ColumnNames(names, formula)
    answer_read, terms_read = read_formula_text(left, known), read_formula_text(right, known)
    check_known(answer_read, terms_read, names)
    response_variables = list(dict.fromkeys(answer_read.columns))
    free = [known.hide(name) for name in names if name not in [*response_variables, *beside]]
    answer, terms = _parse(formula, f"{answer_read.hidden} ~ {terms_read.hidden}", free, known)
    response = known.show_in(str(answer))
    if "." in _signs(terms_read.hidden):
        terms = _without_repeats(terms)
    factors = [factor for term in terms for factor in term.factors]
    needs = [(_expression(factor, known), known.held_in(factor.expr)) for factor in factors]
    used = sorted({name for _, of_factor in needs for name in of_factor})
    check_response_is_apart(response, {*response_variables, *(() if survival is None else survival)}, used)
    for name in [*response_variables, *used, *beside]:
        if refused and name in refused:
            raise ValueError(refused[name])
    rows_read = len(table)
    table = leave_out_missing(table, [*response_variables, *used, *beside], drop_missing)
    table = plain_columns(table, [*response_variables, *used, *beside])
    rows = row_numbers(table, of_rows)
    check_predictors(table, needs)
    hidden = table.rename(columns=known.hide)
    check_expressions([*answer.factors, *factors], hidden, known)
    y = check_response(response_values(hidden, answer, known, rows.counts), response, law, rows.terms)
    if not any(term.degree for term in terms):
        raise ValueError(f"formula {formula!r} leaves no variable to select")
    made = term_columns(hidden, terms, known, centred=centred, counts=rows.counts)
    coding = learned_coding(response, table, used, known, made, dict(of_rows), rows.counts)
    check_learned_by_weight(coding.of_all_rows, rows.weights)
    intercept = any(term.degree == 0 for term in terms)
    gated = [known.type_in(_tick(term)) for term in terms if term.degree]
    answered = (
        known.type_in(_tick(answer)) if survival is None else f"Surv({', '.join(map(quoted, survival))})"
    )
    written = f"{answered} ~ {' + '.join(gated if intercept else ['0', *gated])}"
    notes = [*answer_read.notes, *terms_read.notes, *notes_on_lookalikes(answer_read, terms_read)]
    plain = [name for expression, of_factor in needs if expression is None for name in of_factor]
    notes += [*notes_on_squares(factors, known), *made.notes, *levels_that_look_otherwise(table, plain)]
    return FormulaData(
        formula=written,
        response=response,
        y=y,
        x=made.x,
        groups=made.groups,
        intercept=intercept,
        rows_read=rows_read,
        rows_dropped=rows_read - len(table),
        blocks=made.blocks,
        centres=made.centres,
        raw_products=not (centred and intercept) and any(term.degree > 1 for term in terms),
        columns=[*response_variables, *used, *beside],
        row_columns=of_rows,
        rows=rows,
        monomials=term_monomials([term for term in terms if term.degree], known),
        notes=list(dict.fromkeys(notes)),
        coding=coding,
    )


def _expression(factor: Any, known: ColumnNames) -> str | None:
    return None if factor.eval_method.value == "lookup" else known.type_in(factor.expr)


def _parse(formula: str, hidden: str, variables: list[str], known: ColumnNames) -> tuple[Any, list[Any]]:
    """The term of the response, and those on the right."""
    from formulaic import Formula, SimpleFormula
    from formulaic.errors import FormulaicError

    from l0bayes.apps.select.formula_operators import formula_parser

    context = {"__formulaic_variables_available__": variables}
    try:
        parsed: Any = Formula.from_spec(hidden, parser=formula_parser(), context=context)
    except (FormulaicError, SyntaxError) as error:
        reason = said_by_parser(known.type_in(first_line(error)))
        raise ValueError(f"formula {formula!r} cannot be read: {reason}") from None
    except ValueError as error:
        raise ValueError(known.type_in(str(error))) from None
    if not (isinstance(parsed.lhs, SimpleFormula) and isinstance(parsed.rhs, SimpleFormula)):
        raise ValueError(f"formula {formula!r} must have one part on each side of '~': write + for |")
    answers, terms = list(parsed.lhs), list(parsed.rhs)
    if len(answers) != 1 or len(answers[0].factors) != 1 or not answers[0].degree:
        got = known.type_in(" + ".join(map(str, answers)))
        raise ValueError(
            f"formula must have one response on the left of '~', got {got or 'none'}: arithmetic is written "
            "as I(after - before)"
        )
    scaled = [term for term in terms if term.degree and term.degree < len(term.factors)]
    if scaled:
        reason = known.type_in(str(scaled[0]))
        raise ValueError(
            f"formula has the product {reason}: a number changes the unit of a column and no result"
        )
    return answers[0], terms


def _signs(hidden: str) -> list[str]:
    from formulaic.parser.algos.tokenize import tokenize

    return [str(token.token) for token in tokenize(hidden)]


def _without_repeats(terms: list[Any]) -> list[Any]:
    """The terms; those of the dot that another holds are left out."""
    held = {
        name
        for term in terms
        if len(term.factors) == 1
        and term.factors[0].eval_method.value == "python"
        and function_of(term.factors[0].expr) in SEVERAL_COLUMNS
        for name in re.findall(r"\w+", term.factors[0].expr)
    }
    return [
        term
        for term in terms
        if not (
            len(term.factors) == 1
            and term.factors[0].eval_method.value == "lookup"
            and term.factors[0].expr in held
        )
    ]


def _tick(term: Any) -> str:
    """A term as one would type it."""

    def typed(factor: Any) -> str:
        if factor.eval_method.value == "lookup":
            return str(factor.expr)
        return str(factor.expr) if re.fullmatch(r"[\w.]+\(.*\)", factor.expr) else f"{{{factor.expr}}}"

    return ":".join(typed(factor) for factor in term.factors)
