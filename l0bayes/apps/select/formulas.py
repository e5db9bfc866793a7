r"""From a formula and a table to a response, columns, and the gate of each column."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from l0bayes.apps.select.column_names import ColumnNames
from l0bayes.apps.select.expression_checks import check_expression, function_of, squares
from l0bayes.apps.select.formula_functions import is_function
from l0bayes.apps.select.formula_text import Reading, read_formula_text, sides
from l0bayes.apps.select.model_matrix import first_line, gated_columns, response_values
from l0bayes.apps.select.table_checks import (
    check_predictors,
    check_response,
    leave_out_missing,
    plain_columns,
)
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_registry import likelihood_by_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FormulaData", "apply_formula"]

# Terms that hold the variable itself, so that the dot need not bring it once more.
_HOLDING = ("C", "bs", "cs", "cc", "cr", "poly")


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
        reference: The level of each factor that its dummies are compared with.
        columns: The columns of the table that it uses.
        notes: What could have been read in another way, and how it was read.
    """

    formula: str
    response: str
    y: pd.Series[Any]
    x: pd.DataFrame
    groups: list[str]
    intercept: bool
    rows_read: int
    rows_dropped: int
    reference: dict[str, str]
    columns: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def gates(self) -> list[str]:
        """Names of the gates, in the order of their first column."""
        return list(dict.fromkeys(self.groups))


def apply_formula(
    table: pd.DataFrame, formula: str, likelihood: str | Likelihood, *, drop_missing: bool = False
) -> FormulaData:
    """Evaluate a formula over a table.

    Formulas are those of ``formulaic``. All dummies of a factor and all columns of a spline are one term,
    and share a gate. The dot is every column of the table that the left-hand side does not use; a variable
    that ``C()``, a spline or ``poly()`` brings is left out of it.

    Args:
        table: The table.
        formula: Such as ``"y ~ . - id + C(region)"``.
        likelihood: Law of the response, or its name: it says what the response may hold.
        drop_missing: Whether to leave out rows in which something is missing.

    Raises:
        ValueError: If the formula cannot be read or names what the table does not have, or a column
            will not do: missing or infinite values, text among numbers, a constant, two of one name.
    """
    law = likelihood if isinstance(likelihood, Likelihood) else likelihood_by_name(likelihood, "selection")
    table = table.rename(columns=str)
    names = list(table.columns)
    if len(set(names)) < len(names):
        raise ValueError(f"columns have the same name: {sorted({n for n in names if names.count(n) > 1})}")
    left, right = sides(formula)
    known = ColumnNames(names, formula)
    answer_read, terms_read = read_formula_text(left, known), read_formula_text(right, known)
    _check_known(answer_read, terms_read, names)
    response_variables = list(dict.fromkeys(answer_read.columns))
    free = [known.hide(name) for name in names if name not in response_variables]
    answer, terms = _parse(formula, f"{answer_read.hidden} ~ {terms_read.hidden}", free, known)
    response = known.show_in(str(answer))
    if "." in _signs(terms_read.hidden):
        terms = _without_repeats(terms)
    factors = [factor for term in terms for factor in term.factors]
    needs = [(_expression(factor, known), known.held_in(factor.expr)) for factor in factors]
    used = sorted({name for _, of_factor in needs for name in of_factor})
    _check_response_is_apart(response, set(response_variables), used)
    rows_read = len(table)
    table = leave_out_missing(table, [*response_variables, *used], drop_missing)
    table = plain_columns(table, [*response_variables, *used])
    check_predictors(table, needs)
    hidden = table.rename(columns=known.hide)
    _check_expressions([*answer.factors, *factors], hidden, known)
    y = check_response(response_values(hidden, answer, known), response, law)
    if not any(term.degree for term in terms):
        raise ValueError(f"formula {formula!r} leaves no variable to select")
    x, groups, reference = gated_columns(hidden, terms, known)
    intercept = any(term.degree == 0 for term in terms)
    gated = [known.type_in(_tick(term)) for term in terms if term.degree]
    written = f"{known.type_in(_tick(answer))} ~ {' + '.join(gated if intercept else ['0', *gated])}"
    notes = [*answer_read.notes, *terms_read.notes, *_of_lookalikes(answer_read, terms_read)]
    notes += _of_squares(factors, known)
    return FormulaData(
        formula=written,
        response=response,
        y=y,
        x=x,
        groups=groups,
        intercept=intercept,
        rows_read=rows_read,
        rows_dropped=rows_read - len(table),
        reference=reference,
        columns=[*response_variables, *used],
        notes=list(dict.fromkeys(notes)),
    )


def _check_response_is_apart(response: str, variables: set[str], used: list[str]) -> None:
    """A change such as ``I(after - before)`` may be explained by one of its parts, but by no more."""
    if variables and variables <= set(used):
        told = ", ".join(map(repr, sorted(variables)))
        raise ValueError(
            f"response {response!r} is made of {told}, which formula has on the right of '~' too: it would "
            "explain itself. Leave it out there"
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
        parsed = Formula.from_spec(hidden, parser=formula_parser(), context=context)
    except (FormulaicError, SyntaxError) as error:
        told = known.type_in(first_line(error))
        raise ValueError(f"formula {formula!r} cannot be read: {told}") from None
    except ValueError as error:
        raise ValueError(known.type_in(str(error))) from None
    if not (isinstance(parsed.lhs, SimpleFormula) and isinstance(parsed.rhs, SimpleFormula)):
        raise ValueError(f"formula {formula!r} must have one part on each side of '~'")
    answers, terms = list(parsed.lhs), list(parsed.rhs)
    if len(answers) != 1 or len(answers[0].factors) != 1 or not answers[0].degree:
        got = known.type_in(" + ".join(map(str, answers)))
        raise ValueError(
            f"formula must have one response on the left of '~', got {got or 'none'}: arithmetic is written "
            "as I(after - before)"
        )
    scaled = [term for term in terms if term.degree and term.degree < len(term.factors)]
    if scaled:
        told = known.type_in(str(scaled[0]))
        raise ValueError(
            f"formula has the product {told}: a number changes the unit of a column and no result"
        )
    return answers[0], terms


def _signs(hidden: str) -> list[str]:
    from formulaic.parser.algos.tokenize import tokenize

    return [str(token.token) for token in tokenize(hidden)]


def _check_expressions(factors: list[Any], hidden: pd.DataFrame, known: ColumnNames) -> None:
    def is_truth(name: str) -> bool:
        return name in hidden and hidden[name].dtype == bool

    for factor in factors:
        if factor.eval_method.value == "python":
            try:
                check_expression(factor.expr, is_truth)
            except ValueError as error:
                raise ValueError(known.type_in(str(error))) from None


def _check_known(answer: Reading, terms: Reading, names: list[str]) -> None:
    unknown = sorted({*answer.unknown, *terms.unknown})
    if not unknown:
        return
    told = []
    for name in unknown:
        near = [known for known in names if known.lower() == name.lower()]
        if is_function(name):
            told.append(f"{name!r} (a function, which takes its column in parentheses)")
            continue
        near = near or difflib.get_close_matches(name, names, n=3, cutoff=0.6)
        told.append(f"{name!r}" + (f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""))
    odd = [f"`{name}`" for name in (*answer.lookalikes, *terms.lookalikes)]
    hint = f". Put the name into backticks: {', '.join(odd)}" if odd else ""
    listed = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    raise ValueError(f"formula names what the table does not have: {'; '.join(told)}{hint}. It has {listed}")


def _of_lookalikes(*readings: Reading) -> list[str]:
    return [
        f"{name} in the formula is no name: the column of that name is `{name}`, in backticks"
        for reading in readings
        for name in reading.lookalikes
    ]


def _of_squares(factors: list[Any], known: ColumnNames) -> list[str]:
    notes = []
    for factor in factors:
        made = squares(factor.expr) if factor.eval_method.value == "python" else []
        if made:
            named = [known.type_in(name) for name in made]
            notes.append(
                f"{known.type_in(factor.expr)} is computed as it stands, and its PIP depends on where "
                f"{' and '.join(named)} {'has its' if len(named) == 1 else 'have their'} zero; that of "
                f"{f'poly({named[0]}, 2)' if len(named) == 1 else ':'.join(named)} does not"
            )
    return notes


def _without_repeats(terms: list[Any]) -> list[Any]:
    """The terms; those of the dot that another holds are left out."""
    held = {
        name
        for term in terms
        if len(term.factors) == 1
        and term.factors[0].eval_method.value == "python"
        and function_of(term.factors[0].expr) in _HOLDING
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
