r"""What is wrong with a formula, or could be meant otherwise, beside the errors of its parser."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

from l0bayes.apps.select.column_names import ColumnNames
from l0bayes.apps.select.expression_checks import check_expression, squares
from l0bayes.apps.select.formula_functions import is_function
from l0bayes.apps.select.formula_text import Reading

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "check_expressions",
    "check_known",
    "check_response_is_apart",
    "notes_on_lookalikes",
    "notes_on_squares",
    "said_by_parser",
]


def said_by_parser(reason: str) -> str:
    """Why a formula cannot be read, with what to write instead where that is known.

    Args:
        reason: What the parser said.
    """
    if re.search("Numeric literals|numerical scaling", reason):
        return (
            "it has a number as a term or in a product, which changes the unit of a column and no "
            "result. Leave it out; arithmetic is written as I(2 * a), and 0 or 1 by itself says whether "
            "there is an intercept"
        )
    if "String literals" in reason:
        return "it has a name in quotes. Put names with spaces or signs into backticks, `as this`"
    if "Unknown operator ','" in reason:
        return "it has a comma between terms. Write + between them"
    if "Missing operator" in reason:
        return f"{reason.rstrip('.')}. Write + between terms, and a name with spaces in backticks, `as this`"
    return reason


def check_response_is_apart(response: str, variables: set[str], used: list[str]) -> None:
    """Refuse a response that would explain itself.

    A change such as ``I(after - before)`` may be explained by one of its parts, but by no more.

    Args:
        response: The response, as in the formula.
        variables: Columns that it is made of.
        used: Columns that are used on the right.

    Raises:
        ValueError: If all of the first are among the second.
    """
    if variables and variables <= set(used):
        named = ", ".join(map(repr, sorted(variables)))
        raise ValueError(
            f"response {response!r} is made of {named}, which formula has on the right of '~' too: it would "
            "explain itself. Leave it out there"
        )


def check_expressions(factors: list[Any], hidden: pd.DataFrame, known: ColumnNames) -> None:
    """Refuse expressions that Python would evaluate otherwise than one reads them.

    Args:
        factors: Factors of all terms.
        hidden: The table, with stand-ins for names.
        known: The names.

    Raises:
        ValueError: If there is one.
    """

    def is_truth(name: str) -> bool:
        return name in hidden and hidden[name].dtype == bool

    for factor in factors:
        if factor.eval_method.value == "python":
            try:
                check_expression(factor.expr, is_truth)
            except ValueError as error:
                raise ValueError(known.type_in(str(error))) from None


def check_known(answer: Reading, terms: Reading, names: list[str]) -> None:
    """Refuse names that are no columns.

    Args:
        answer: The left side.
        terms: The right side.
        names: The columns.

    Raises:
        ValueError: If there are any, with what may be meant.
    """
    unknown = sorted({*answer.unknown, *terms.unknown})
    if not unknown:
        return
    named = []
    for name in unknown:
        near = [known for known in names if known.lower() == name.lower()]
        if is_function(name):
            named.append(f"{name!r} (a function, which takes its column in parentheses)")
            continue
        near = near or difflib.get_close_matches(name, names, n=3, cutoff=0.6)
        named.append(f"{name!r}" + (f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""))
    odd = [f"`{name}`" for name in (*answer.lookalikes, *terms.lookalikes)]
    hint = f". Put the name into backticks: {', '.join(odd)}" if odd else ""
    listed = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    raise ValueError(f"formula names what the table does not have: {'; '.join(named)}{hint}. It has {listed}")


def notes_on_lookalikes(*readings: Reading) -> list[str]:
    """Warnings about columns whose names stand in a formula without backticks, and are no names there.

    Args:
        *readings: The sides.
    """
    return [
        f"{name} in the formula is no name: the column of that name is `{name}`, in backticks"
        for reading in readings
        for name in reading.lookalikes
    ]


def notes_on_squares(factors: list[Any], known: ColumnNames) -> list[str]:
    """Warnings about powers and products of columns as they stand.

    Args:
        factors: Factors of all terms.
        known: The names.
    """
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
