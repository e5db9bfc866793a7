r"""A formula as it was learned from one table, for the rows of another."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from l0bayes.apps.select.column_names import ColumnNames
from l0bayes.apps.select.factor_values import evaluate_term
from l0bayes.apps.select.prediction.column_kinds import ColumnKind
from l0bayes.apps.select.prediction.kept_row_terms import row_terms
from l0bayes.apps.select.table_checks import check_finite, data_row, rows_of
from l0bayes.apps.select.term_products import Part, products
from l0bayes.apps.select.term_recipes import FactorRecipe, TermRecipe, numeric_state
from l0bayes.estimators.input_tables import Array, is_frame
from l0bayes.estimators.kept.table_coding import TableCoding, check_filling, warn_of_filled
from l0bayes.user_warnings import warn_user

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FormulaCoding"]

_SHOWN = 8


@dataclass(frozen=True)
class FormulaCoding(TableCoding):
    """Columns of a formula's terms, with the levels, knots and means of the table of the fit.

    Args:
        response: Name of the response.
        aliases: From the names of the table's columns that it uses to their stand-ins.
        columns: What each of them was.
        factors: How each factor is made, by its expression.
        terms: How each term is made of its factors.
        of_all_rows: Expressions that depend on all rows of a table, and cannot be had of others.
        na: Words that meant missing in the file, if any were named.
        row_columns: Columns that say something of each row, by what that is: ``offset``, ``exposure``, ...
    """

    kind: ClassVar[str] = "formula"

    response: str
    aliases: dict[str, str]
    columns: list[ColumnKind]
    factors: dict[str, FactorRecipe]
    terms: list[TermRecipe]
    of_all_rows: list[str]
    na: list[str] | None
    row_columns: dict[str, str] = field(default_factory=dict)

    @property
    def text_columns(self) -> list[str]:
        """Names of the columns that held text, whatever their cells look like elsewhere."""
        return [column.name for column in self.columns if column.kind == "text"]

    def encode(self, table: Any, *, fill: str = "refuse", unseen: str = "refuse") -> Array:
        check_filling(fill, unseen)
        if not is_frame(table):
            raise ValueError("the table must be a data frame with the columns of the formula")
        if self.of_all_rows:
            raise ValueError(
                f"{self.of_all_rows[0]} in the formula is computed from all rows of a table, such as their "
                "mean, and has no value for other rows: use center(), scale(), poly() or a spline, which "
                "keep what they learned"
            )
        plain, gaps = self._plain(table, fill)
        return self.encode_plain(plain, gaps, unseen)

    def row_terms(self, table: Any) -> dict[str, Array]:
        return row_terms(self.row_columns, table)

    def encode_plain(
        self, hidden: pd.DataFrame, gaps: Mapping[str, npt.NDArray[np.bool_]], unseen: str = "refuse"
    ) -> Array:
        """The numbers of a table that is of the right kinds already.

        Args:
            hidden: The table, with stand-ins for names and no missing cells.
            gaps: Rows in which a cell was missing, by stand-in.
            unseen: What to do about new levels.

        Raises:
            ValueError: If a level is new and that is refused, or a term cannot be evaluated.
        """
        known = ColumnNames.of_aliases(self.aliases)
        evaluated = {
            expression: self.factor_columns(recipe, hidden, gaps, known, unseen)
            for expression, recipe in self.factors.items()
        }
        columns: list[npt.NDArray[np.float64]] = []
        for term in self.terms:
            made: dict[str, npt.NDArray[np.float64]] = {}
            others = np.zeros(len(hidden), dtype=bool)
            parts = []
            for expression, means in zip(term.factors, term.means, strict=True):
                recipe, values = self.factors[expression], evaluated[expression]
                values = values if means is None else values - np.asarray(means)
                parts.append(Part(recipe.names, values, recipe.levels is not None))
            kept = set(term.columns)
            for block in products(parts):
                for name, values in block:
                    if name in kept:
                        check_finite(name, values, hidden.index)
                        made[name] = values
                    else:
                        others |= values != 0.0
            if others.any():
                self._of_new_levels(
                    f"a combination of levels in {known.type_in(':'.join(term.factors))}",
                    others,
                    hidden,
                    unseen,
                )
            columns += [made[name] for name in term.columns]
        return np.stack(columns, 1)

    def _plain(self, table: Any, fill: str) -> tuple[pd.DataFrame, dict[str, npt.NDArray[np.bool_]]]:
        """The columns that are used, by stand-in and without gaps, and where there were gaps."""
        import pandas as pd

        places = {unicodedata.normalize("NFC", str(label)): label for label in table.columns}
        missing = [column.name for column in self.columns if column.name not in places]
        if missing and fill == "refuse":
            named = _listed(missing)
            raise ValueError(
                f"the table lacks {'a column' if len(missing) == 1 else 'columns'} of the formula: {named}; "
                f"it has {_listed(list(places))}. fill='mean' (--fill mean) takes the mean of the fit"
            )
        index = table.index if hasattr(table, "index") and isinstance(table.index, pd.Index) else None
        index = pd.RangeIndex(len(table)) if index is None else index
        plain: dict[str, Any] = {}
        gaps: dict[str, npt.NDArray[np.bool_]] = {}
        found: dict[str, int] = {}
        for column in self.columns:
            if column.name in missing:
                values = pd.Series([None] * len(index), index=index, dtype=object)
            else:
                values = column.read(pd.Series(np.asarray(table[places[column.name]], dtype=object), index))
            alias, empty = self.aliases[column.name], values.isna().to_numpy()
            if empty.any():
                gaps[alias] = empty
                found[column.name] = int(empty.sum())
            plain[alias] = column.filled(values)
        if found and fill == "refuse":
            named = ", ".join(f"{name!r} in {rows_of(count)}" for name, count in list(found.items())[:_SHOWN])
            first = data_row(index, int(next(iter(gaps.values())).argmax()))
            raise ValueError(
                f"values are missing: {named}, first in {first}. fill='mean' (--fill mean) takes the mean of "
                "the fit"
            )
        if missing:
            warn_user(f"the table lacks {_listed(missing)}: predictions are those at the mean of the fit")
        warn_of_filled({name: count for name, count in found.items() if name not in missing})
        return pd.DataFrame(plain, index=index), gaps

    def factor_columns(
        self,
        recipe: FactorRecipe,
        hidden: pd.DataFrame,
        gaps: Mapping[str, npt.NDArray[np.bool_]],
        known: ColumnNames,
        unseen: str,
    ) -> npt.NDArray[np.float64]:
        """The columns of one factor, shape ``(n, k)``.

        Args:
            recipe: How it is made.
            hidden: The table, with stand-ins for names and no missing cells.
            gaps: Rows in which a cell was missing, by stand-in.
            known: The names.
            unseen: What to do about new levels.

        Raises:
            ValueError: If a level is new and that is refused, or it cannot be evaluated.
        """
        if recipe.lookup and recipe.levels is None and not recipe.encoded:
            return hidden[recipe.expression].to_numpy(float)[:, None]
        from formulaic.parser.types import Factor, Term

        factor = Factor(recipe.expression, eval_method="lookup" if recipe.lookup else "python")
        if recipe.levels is None:
            kind = Factor.Kind.CATEGORICAL if recipe.encoded else Factor.Kind.NUMERICAL
            states: tuple[dict[str, Any], dict[str, Any]] = (
                numeric_state(recipe.learned),
                {recipe.expression: (kind, {})},
            )
            try:
                return np.asarray(evaluate_term(hidden, Term([factor]), known, states).to_numpy(float))
            except ValueError as error:
                if "extend beyond" in str(error):
                    raise ValueError(
                        f"{known.type_in(recipe.expression)} is a spline that ends where the rows of the fit "
                        "do, and the table has values outside. Leave such rows out, or fit with "
                        "extrapolation='clip' or 'extend' among its arguments"
                    ) from None
                raise
        matrix = evaluate_term(hidden, Term([factor]), known)
        levels = matrix.model_spec.encoder_state[recipe.expression][1]["categories"]
        here = matrix.to_numpy(float)
        values = np.zeros((len(hidden), len(recipe.levels)))
        place = {level: number for number, level in enumerate(recipe.levels)}
        empty = np.zeros(len(hidden), dtype=bool)
        for name in known.held_in(recipe.expression):
            empty |= gaps.get(known.hide(name), empty)
        for number, level in enumerate(levels):
            rows = (here[:, number] > 0) & ~empty
            if level in place:
                values[rows, place[level]] = 1.0
            elif rows.any():
                told = f"level {_as_written(level)} of {known.type_in(recipe.expression)}"
                seen = ", ".join(map(repr, recipe.levels[:_SHOWN]))
                seen += ", ..." if len(recipe.levels) > _SHOWN else ""
                self._of_new_levels(told, rows, hidden, unseen, f"; the fit saw {seen}")
        return values

    def _of_new_levels(
        self, what: str, rows: npt.NDArray[np.bool_], hidden: pd.DataFrame, unseen: str, seen: str = ""
    ) -> None:
        where = f"{data_row(hidden.index, int(rows.argmax()))}, and so in {rows_of(int(rows.sum()))}"
        if unseen == "refuse":
            raise ValueError(
                f"the table holds {what} that no row of the fit had, in {where}{seen}. unseen='mean' "
                "(--unseen mean) predicts the mean of the levels"
            )
        warn_user(
            f"no row of the fit had {what}: predictions are those of the mean of the levels, in {where}"
        )

    def state(self) -> dict[str, Any]:
        return {
            "response": self.response,
            "aliases": dict(self.aliases),
            "columns": [column.state() for column in self.columns],
            "factors": {name: one.state() for name, one in self.factors.items()},
            "terms": [term.state() for term in self.terms],
            "of_all_rows": list(self.of_all_rows),
            "na": self.na,
            "row_columns": dict(self.row_columns),
        }

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> Self:
        return cls(
            state["response"],
            state["aliases"],
            [ColumnKind.of_state(one) for one in state["columns"]],
            {name: FactorRecipe.of_state(one) for name, one in state["factors"].items()},
            [TermRecipe.of_state(one) for one in state["terms"]],
            state["of_all_rows"],
            state["na"],
            state["row_columns"],
        )


def _as_written(level: Any) -> str:
    """A level in a message: whole numbers without a point."""
    return repr(int(level)) if isinstance(level, float) and level.is_integer() else repr(level)


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:12])) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
