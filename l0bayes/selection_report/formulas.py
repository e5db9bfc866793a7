r"""From a formula and a table to a response, columns, and the gate of each column."""

from __future__ import annotations

import ast
import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from l0bayes.selection_report.checks import (
    check_predictors,
    check_response,
    leave_out_missing,
    rows_of,
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
    left, right = _split(formula)
    names = [str(name) for name in table.columns]
    _check_known(_named(formula), names)
    response_variables = _named(left)
    variables = [name for name in names if name not in response_variables]
    parsed = _parse(f"{left} ~ {right}", variables)
    if len(list(parsed.lhs)) != 1:
        raise ValueError(f"formula must have one response on the left of '~', got {left!r}")
    terms = _without_repeats(parsed, right)
    used = sorted({name for term in terms for factor in term.factors for name in _needs(factor)})
    response = str(next(iter(parsed.lhs)))
    rows_read = len(table)
    table = leave_out_missing(table, [*response_variables, *used], drop_missing)
    for name in table.select_dtypes("category"):
        table = table.assign(**{str(name): table[name].cat.remove_unused_categories()})
    factors = [factor for term in terms for factor in term.factors]
    check_predictors(table, [(factor.expr, _needs(factor)) for factor in factors])
    y = check_response(_response(table, parsed.lhs, response), response, family)
    x, groups, reference = _columns(table, terms)
    if not x.shape[1]:
        raise ValueError(f"formula {formula!r} leaves no variable to select")
    intercept = any(term.degree == 0 and str(term) == "1" for term in terms)
    written = f"{_tick(next(iter(parsed.lhs)))} ~ {' + '.join(_written(terms, intercept))}"
    return FormulaData(
        written, response, y, x, groups, intercept, rows_read, rows_read - len(table), reference
    )


def _split(formula: str) -> tuple[str, str]:
    left, separator, right = formula.partition("~")
    if not separator or not left.strip() or not right.strip() or "~" in right:
        raise ValueError(f"formula must read 'response ~ terms', got {formula!r}")
    return left.strip(), right.strip()


def _parse(formula: str, variables: list[str]) -> Any:
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    try:
        parsed = Formula.from_spec(formula, context={"__formulaic_variables_available__": variables})
    except FormulaicError as error:
        raise ValueError(f"formula {formula!r} cannot be read: {_line(error)}") from None
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
        raise ValueError(f"formula {text!r} cannot be read: {_line(error)}") from None


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
        if len(term.factors) == 1 and term.factors[0].expr.startswith(_HOLDING)
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


def _response(table: pd.DataFrame, terms: Any, name: str) -> Any:
    if name in table.columns:
        return table[name]
    matrix = _evaluate(table, list(terms), intercept=False)
    if matrix.shape[1] != 1:
        raise ValueError(f"response {name!r} must be one column, got {list(matrix.columns)}")
    values = matrix.iloc[:, 0]
    _check_finite(name, values.to_numpy(float))
    return values


def _columns(table: pd.DataFrame, terms: list[Any]) -> tuple[pd.DataFrame, list[str], dict[str, str]]:
    matrix = _evaluate(table, terms)
    spec = matrix.model_spec
    groups: list[str] = [""] * matrix.shape[1]
    for term, indices in spec.term_indices.items():
        for index in indices:
            groups[index] = str(term)
    gated = [index for index, group in enumerate(groups) if group != "1"]
    x = matrix.iloc[:, gated]
    groups = [groups[index] for index in gated]
    for term in terms:
        if str(term) not in groups and str(term) != "1":
            raise ValueError(f"term {str(term)!r} is constant, and says nothing: leave it out")
    twice = x.columns[x.columns.duplicated()].tolist()
    if twice:
        raise ValueError(f"formula makes several columns of one name: {twice}")
    for name, group in zip(x.columns, groups, strict=True):
        values = x[name].to_numpy(float)
        _check_finite(str(name), values)
        if np.ptp(values) <= 1e-12 * max(1e-300, float(np.abs(values).max())):
            part = "" if name == group else f" (of the term {group!r})"
            raise ValueError(
                f"column {str(name)!r}{part} is constant: {values[0]:g} in all {len(values)} rows. Leave it "
                f"out"
            )
    return x.astype(float), groups, _references(spec, groups)


def _check_finite(name: str, values: Any) -> None:
    bad = np.nonzero(~np.isfinite(values))[0]
    if len(bad):
        raise ValueError(
            f"column {name!r} is not finite in {rows_of(len(bad))}, the first of them data row {bad[0] + 1}"
        )


def _evaluate(table: pd.DataFrame, terms: list[Any], *, intercept: bool = True) -> Any:
    from formulaic import ModelSpec, SimpleFormula
    from formulaic.errors import FormulaicError

    try:
        with np.errstate(all="ignore"):
            return ModelSpec(
                SimpleFormula(terms), ensure_full_rank=intercept, output="pandas", na_action="ignore"
            ).get_model_matrix(table, context={})
    except (FormulaicError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"formula cannot be evaluated: {_line(error)}") from None


def _references(spec: Any, groups: list[str]) -> dict[str, str]:
    """Of every factor that is a term by itself, the level without a dummy."""
    found = {}
    for group in dict.fromkeys(groups):
        state = spec.encoder_state.get(group)
        levels = state[1].get("categories") if state else None
        if levels is not None and groups.count(group) == len(levels) - 1:
            columns = [
                name
                for name, of in zip(spec.column_names[-len(groups) :], groups, strict=True)
                if of == group
            ]
            rest = [
                level for level in map(str, levels) if not any(f"[T.{level}]" in name for name in columns)
            ]
            if len(rest) == 1:
                found[group] = rest[0]
    return found


def _written(terms: list[Any], intercept: bool) -> list[str]:
    named = [_tick(term) for term in terms if str(term) != "1"]
    return named if intercept else ["0", *named]


def _tick(term: Any) -> str:
    """A term as one would type it."""

    def typed(factor: Any) -> str:
        if factor.eval_method.value == "lookup":
            return str(factor.expr) if factor.expr.isidentifier() else f"`{factor.expr}`"
        return str(factor.expr) if re.fullmatch(r"[\w.]+\(.*\)", factor.expr) else f"{{{factor.expr}}}"

    return ":".join(typed(factor) for factor in term.factors)


def _line(error: Exception) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m|[⧛⧚]", "", str(error)).strip()
    return text.splitlines()[0].strip() if text else type(error).__name__
