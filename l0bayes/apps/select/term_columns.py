r"""Columns of a formula's terms: products of centred columns, and a column for each level of a factor."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from l0bayes.apps.select.column_names import ColumnNames
from l0bayes.apps.select.factor_values import FactorValues, factor_values
from l0bayes.apps.select.table_checks import check_finite
from l0bayes.apps.select.term_products import Part, products
from l0bayes.apps.select.term_recipes import FactorRecipe, TermRecipe
from l0bayes.selection.problem.level_block import LevelBlock

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TermColumns", "term_columns"]


@dataclass
class TermColumns:
    """Columns that have a gate.

    Attributes:
        x: The columns.
        groups: Name of the term of each.
        blocks: Which of them stand for levels, with one scale for all of a block.
        centres: What was taken off columns of numbers before they were multiplied, by name.
        notes: What a term says otherwise than it reads.
        factors: How each factor is made of other rows, by its expression.
        terms: How each term is made of its factors.
        values: Columns of each factor, by its expression.
    """

    x: pd.DataFrame
    groups: list[str]
    blocks: list[LevelBlock] = field(default_factory=list)
    centres: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    factors: dict[str, FactorRecipe] = field(default_factory=dict)
    terms: list[TermRecipe] = field(default_factory=list)
    values: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)


def term_columns(
    table: pd.DataFrame,
    terms: list[Any],
    known: ColumnNames,
    *,
    centred: bool,
    counts: npt.NDArray[np.float64] | None = None,
) -> TermColumns:
    r"""Evaluate the terms of a formula.

    A factor has a column for each level that rows have. Where the rest of its term is a term of the
    formula too (for a factor by itself: the intercept), its columns are a contrast: only differences
    between levels enter; elsewhere each level has an effect of its own, as in R. A product is one of
    centred columns, :math:`(x - \bar x)(z - \bar z)` and :math:`(1_l - \bar 1_l)(x - \bar x)`, so that it
    does not depend on where a column has its zero; without an intercept, or where asked for, columns are
    multiplied as they stand.

    Args:
        table: The table, with stand-ins for names.
        terms: The terms; one without variables is the intercept.
        known: The names.
        centred: Whether products are of centred columns.
        counts: How many rows each row stands for, in the means that are taken off and in what functions
            learn from rows.

    Raises:
        ValueError: If a term cannot be evaluated, is constant or not finite, or two have one name.
    """
    import pandas as pd

    intercept = any(term.degree == 0 for term in terms)
    centred = centred and intercept
    found = TermColumns(pd.DataFrame(index=table.index), [])
    columns: dict[str, npt.NDArray[np.float64]] = {}
    evaluated: dict[str, FactorValues] = {}
    for term in (term for term in terms if term.degree):
        label = known.show_in(str(term))
        if label in found.groups:
            raise ValueError(f"formula makes two terms of one name, {label!r}: rename the column")
        parts = []
        for factor in term.factors:
            values = evaluated.get(factor.expr)
            if values is None:
                values = evaluated[factor.expr] = factor_values(table, factor, known, counts)
                found.notes += values.notes
            rest = {other.expr for other in term.factors} - {factor.expr}
            margin = (
                any({one.expr for one in other.factors} == rest for other in terms if other.degree)
                if rest
                else intercept
            )
            parts.append(Part(values.names, values.values, values.levels, values.levels and margin))
        if term.degree > 1:
            _check_crossed(parts, label)
            parts = [_for_product(part, centred, counts, found) for part in parts]
        _add(label, parts, columns, found, table.index, counts)
        found.terms.append(
            TermRecipe(
                [factor.expr for factor in term.factors],
                [part.means for part in parts],
                [name for name, of in zip(columns, found.groups, strict=True) if of == label],
            )
        )
    found.factors = {expr: factor.recipe for expr, factor in evaluated.items()}
    found.values = {expr: factor.values for expr, factor in evaluated.items()}
    found.x = pd.DataFrame(columns, index=table.index)
    return found


def _for_product(
    part: Part, centred: bool, counts: npt.NDArray[np.float64] | None, found: TermColumns
) -> Part:
    """A factor as it is multiplied: levels with an effect of their own as they are."""
    if not centred:
        return Part(part.names, part.values, part.levels)
    if part.levels and not part.contrast:
        return part
    means = np.average(part.values, axis=0, weights=counts)
    if not part.levels:
        found.centres |= {name: float(mean) for name, mean in zip(part.names, means, strict=True)}
    return Part(part.names, part.values - means, part.levels, part.contrast, means.tolist())


def _add(
    label: str,
    parts: list[Part],
    columns: dict[str, Any],
    found: TermColumns,
    index: Any,
    counts: npt.NDArray[np.float64] | None,
) -> None:
    """Add the columns of a term, and the blocks of those that stand for levels."""
    level_parts = [part for part in parts if part.levels]
    used: Any = slice(None) if counts is None else counts > 0
    for block in products(parts):
        start = len(columns)
        for name, values in block:
            check_finite(name, values, index)
            if level_parts and not any(part.contrast for part in level_parts) and not values[used].any():
                continue  # a combination of levels that no row has
            if name in columns:
                raise ValueError(
                    f"formula makes several columns of one name: {[name]}. Rename that column of the table"
                )
            columns[name] = values
            found.groups.append(label)
        _check_varies(label, list(columns)[start:], [one[used] for one in [*columns.values()][start:]])
        if level_parts:
            found.blocks.append(_block(range(start, len(columns)), level_parts))


def _block(places: range, parts: list[Part]) -> LevelBlock:
    sizes, contrasts = tuple(len(part.names) for part in parts), tuple(part.contrast for part in parts)
    if not any(contrasts):
        sizes, contrasts = (len(places),), (False,)
    return LevelBlock(tuple(places), sizes, contrasts)


def _check_varies(label: str, names: list[str], values: list[npt.NDArray[np.float64]]) -> None:
    """Refuse what is constant: a column, or all columns of a factor."""
    spread = [float(np.ptp(one)) > 1e-12 * max(1e-300, float(np.abs(one).max())) for one in values]
    if any(spread):
        return
    if len(names) != 1 or "[" in names[0]:
        raise ValueError(f"term {label!r} is constant, and can explain nothing: leave it out")
    part = "" if names[0] == label else f" (of the term {label!r})"
    raise ValueError(
        f"column {names[0]!r}{part} is constant: {values[0][0]:g} in all {len(values[0])} rows. Leave it out"
    )


def _check_crossed(parts: list[Part], label: str) -> None:
    """Refuse products of nested factors, which have no combinations of their own."""
    for inner, outer in itertools.permutations([part for part in parts if part.levels], 2):
        if inner.contrast and bool((((inner.values.T @ outer.values) > 0).sum(1) == 1).all()):
            raise ValueError(
                f"term {label!r} adds nothing of its own: each level of one of its factors is in one level "
                "of another only. Leave the product out"
            )
