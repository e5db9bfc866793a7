r"""From a formula and a table to a response, columns, and the gate of each column."""

from __future__ import annotations

import ast
import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from l0bayes.apps.select.column_names import ColumnNames
from l0bayes.apps.select.model_matrix import first_line, gated_columns, response_values
from l0bayes.apps.select.table_checks import (
    check_predictors,
    check_response,
    leave_out_missing,
    plain_columns,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FormulaData", "apply_formula"]

# Terms that hold the variable itself, so that the dot need not bring it once more.
_HOLDING = ("C(", "bs(", "cs(", "cc(", "cr(", "poly(")


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

    @property
    def gates(self) -> list[str]:
        """Names of the gates, in the order of their first column."""
        return list(dict.fromkeys(self.groups))


def apply_formula(
    table: pd.DataFrame, formula: str, family: str, *, drop_missing: bool = False
) -> FormulaData:
    """Evaluate a formula over a table.

    Formulas are those of ``formulaic``. All dummies of a factor and all columns of a spline are one term,
    and share a gate. The dot is every column of the table that the left-hand side does not use; a variable
    that ``C()``, a spline or ``poly()`` brings is left out of it.

    Args:
        table: The table.
        formula: Such as ``"y ~ . - id + C(region)"``.
        family: ``"gaussian"``, ``"binomial"`` or ``"poisson"``: what the response may hold.
        drop_missing: Whether to leave out rows in which something is missing.

    Raises:
        ValueError: If the formula cannot be read or names what the table does not have, or a column
            will not do: missing or infinite values, text among numbers, a constant, two of one name.
    """
    table = table.rename(columns=str)
    names = list(table.columns)
    if len(set(names)) < len(names):
        raise ValueError(f"columns have the same name: {sorted({n for n in names if names.count(n) > 1})}")
    left, right = _split(formula)
    _check_known(_named(formula), names)
    response_variables = _named(left)
    known = ColumnNames(names, formula)
    free = [known.hide(name) for name in names if name not in response_variables]
    parsed = _parse(formula, f"{known.hide_in(left)} ~ {known.hide_in(right)}", free)
    if len(list(parsed.lhs)) != 1:
        raise ValueError(f"formula must have one response on the left of '~', got {left!r}")
    (answer,) = parsed.lhs
    response = known.show_in(str(answer))
    terms = _without_repeats(parsed, right)
    factors = [factor for term in terms for factor in term.factors]
    needs = [
        (_expression(factor, known), [known.find(name) for name in _needs(factor)]) for factor in factors
    ]
    used = sorted({name for _, of_factor in needs for name in of_factor})
    _check_response_is_apart(response, response_variables, used)
    rows_read = len(table)
    table = leave_out_missing(table, [*response_variables, *used], drop_missing)
    table = plain_columns(table, [*response_variables, *used])
    check_predictors(table, needs)
    hidden = table.rename(columns=known.hide)
    y = check_response(response_values(hidden, answer, known), response, family)
    if not any(term.degree for term in terms):
        raise ValueError(f"formula {formula!r} leaves no variable to select")
    x, groups, reference = gated_columns(hidden, terms, known)
    intercept = any(term.degree == 0 for term in terms)
    gated = [known.type_in(_tick(term)) for term in terms if term.degree]
    written = f"{known.type_in(_tick(answer))} ~ {' + '.join(gated if intercept else ['0', *gated])}"
    return FormulaData(
        written, response, y, x, groups, intercept, rows_read, rows_read - len(table), reference
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


def _split(formula: str) -> tuple[str, str]:
    left, separator, right = formula.partition("~")
    if not separator or not left.strip() or not right.strip() or "~" in right:
        raise ValueError(f"formula must read 'response ~ terms', got {formula!r}")
    return left.strip(), right.strip()


def _parse(formula: str, hidden: str, variables: list[str]) -> Any:
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    try:
        parsed = Formula.from_spec(hidden, context={"__formulaic_variables_available__": variables})
    except FormulaicError as error:
        raise ValueError(f"formula {formula!r} cannot be read: {first_line(error)}") from None
    if not hasattr(parsed.rhs, "get_model_matrix") or hasattr(parsed.rhs, "_structure"):
        raise ValueError(f"formula {formula!r} must have one part on each side of '~'")
    return parsed


def _named(text: str) -> set[str]:
    """Variables that a formula names, also those that it takes away."""
    found: set[str] = set()
    for kind, token in _tokens(text):
        if kind == "name" and token != ".":
            found.add(token)
        elif kind == "python":
            found |= _names_in(token)
    return found


def _tokens(text: str) -> list[tuple[str, str]]:
    from formulaic.errors import FormulaicError
    from formulaic.parser.algos.tokenize import tokenize

    try:
        return [(str(getattr(token.kind, "value", "")), str(token.token)) for token in tokenize(text)]
    except FormulaicError as error:
        raise ValueError(f"formula {text!r} cannot be read: {first_line(error)}") from None


def _needs(factor: Any) -> list[str]:
    """Variables of a factor."""
    if factor.eval_method.value == "lookup":
        return [factor.expr]
    return sorted(_names_in(factor.expr)) if factor.eval_method.value == "python" else []


def _names_in(expression: str) -> set[str]:
    """Names in a Python expression in which backticks quote, without those that formulaic brings."""
    from formulaic.transforms import TRANSFORMS

    quoted: dict[str, str] = {}

    def hold(match: re.Match[str]) -> str:
        name = f"_quoted_{len(quoted)}"
        quoted[name] = match[1]
        return name

    try:
        tree = ast.parse(re.sub(r"`([^`]*)`", hold, expression).strip(), mode="eval")
    except SyntaxError:
        raise ValueError(f"formula cannot be read: {expression!r} is no expression") from None
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return {quoted.get(name, name) for name in names if name in quoted or name not in TRANSFORMS}


def _check_known(variables: set[str], names: list[str]) -> None:
    unknown = sorted(variables - set(names))
    if unknown:
        told = []
        for name in unknown:
            near = [known for known in names if known.lower() == name.lower()]
            near = near or difflib.get_close_matches(name, names, n=3, cutoff=0.6)
            told.append(f"{name!r}" + (f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""))
        listed = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        raise ValueError(f"formula names what the table does not have: {'; '.join(told)}. It has {listed}")


def _without_repeats(parsed: Any, right: str) -> list[Any]:
    """The terms; those of the dot that another holds are left out."""
    terms = list(parsed.rhs)
    if not any(token == "." for _, token in _tokens(right)):
        return terms
    held = {
        name
        for term in terms
        if len(term.factors) == 1
        and term.factors[0].eval_method.value == "python"
        and term.factors[0].expr.startswith(_HOLDING)
        for name in _needs(term.factors[0])
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
