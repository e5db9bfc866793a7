r"""What the cells of a text file mean: numbers, levels, or nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from l0bayes.apps.select.table_checks import WRITE_AS
from l0bayes.estimators.text_kinds import meant_as

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["USUAL_WORDS", "mask_words", "read_cells", "words_of"]

USUAL_WORDS = (
    "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "none", "<NA>", "n/a", "na", "missing", ".",
    "-", "?",
)  # fmt: skip
"""Words that mean missing in a column that otherwise holds numbers, where nothing else is asked for."""

# Those of them that give a warning where they are levels.
_SUSPECT = frozenset(USUAL_WORDS) - {"none", "-", "."}
_TRUTHS = {"true": True, "false": False}
_DECIMAL_COMMA = re.compile(r"[+-]?(?:\d+(?:,\d*)?|,\d+)(?:[eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+")


def words_of(text: str | None) -> list[str] | None:
    """Words from an option.

    Args:
        text: Such as ``"NA,None"``; empty for no word; ``None`` where nothing was asked for.
    """
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def mask_words(values: pd.Series[Any], words: Sequence[str]) -> pd.Series[Any]:
    """A column in which cells of certain words are missing; words that are numbers stand for these too.

    Args:
        values: The column.
        words: The words.
    """
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype):
        return values.mask(values.isin(list(words)))
    numbers = pd.to_numeric(pd.Series(list(words), dtype=object), errors="coerce").dropna()
    return values.mask(values.isin(numbers.tolist())) if len(numbers) else values


def read_cells(
    table: pd.DataFrame, na: Sequence[str] | None, *, commas_separate: bool
) -> tuple[pd.DataFrame, list[str], dict[str, str]]:
    """Columns as numbers, truth values or text, with what is missing as such.

    An empty cell is missing. Without words of its own, ``na``, so are :data:`USUAL_WORDS` in a column whose
    other cells are numbers; in any other column they are levels, with a warning. Spaces around cells are
    taken away. Numbers with a comma for the decimal point are read where no other reading is possible, or
    where fields are not separated by commas.

    Args:
        table: Columns as ``pandas`` reads them where only empty cells are missing.
        na: Words that mean missing, in every column.
        commas_separate: Whether commas separate the fields of the file.

    Returns:
        The table, what was done, and by column what might have been meant otherwise.
    """
    import pandas as pd

    changed: dict[str, pd.Series[Any]] = {}
    notes: list[str] = []
    doubts: dict[str, str] = {}
    commas, spaces = [], []
    for name in table.columns:
        values = table[name]
        if (
            pd.api.types.is_numeric_dtype(values.dtype)
            and na
            and (masked := mask_words(values, na)) is not values
        ):
            changed[name] = masked
        if not (values.dtype == object or isinstance(values.dtype, pd.StringDtype)):
            continue
        text = values.astype(object)
        stripped = text.map(lambda cell: cell.strip() if isinstance(cell, str) else cell)
        if any(isinstance(cell, str) and cell != cell.strip() for cell in text):
            spaces.append(str(name))
        text = stripped.mask(stripped.map(lambda cell: isinstance(cell, str) and not cell))
        changed[name], comma, doubt = _column(str(name), text, na, commas_separate)
        commas += [str(name)] if comma else []
        doubts |= {str(name): doubt} if doubt else {}
    if commas:
        notes.append(f"Commas are decimal points in {_listed(commas)}.")
    if spaces:
        notes.append(f"Spaces around cells were taken away in {_listed(spaces)}.")
    return table.assign(**changed) if changed else table, notes, doubts


def _column(
    name: str, text: pd.Series[Any], na: Sequence[str] | None, commas_separate: bool
) -> tuple[pd.Series[Any], bool, str]:
    """A column, whether its commas are decimal points, and what may be meant otherwise."""
    if na is not None:
        text = mask_words(text, na)
    words = text.isin(USUAL_WORDS) if na is None else text.isin([])
    rest = text[~words].dropna()
    if not len(rest):
        return text, False, ""
    lowered = rest.map(lambda cell: str(cell).lower())
    if lowered.isin(_TRUTHS).all():
        truths = lowered.map(_TRUTHS).reindex(text.index)
        return truths.astype(object if truths.isna().any() else bool), False, ""
    numbers, comma = _numbers(rest, commas_separate)
    if numbers is not None:
        return numbers.reindex(text.index), comma, ""
    counts = Counter(text[text.isin(_SUSPECT)].tolist() if na is None else ())
    if not counts:
        return text, False, _doubt_of_levels(name, rest)
    held = ", ".join(f"{word!r} in {count} row{'s' if count > 1 else ''}" for word, count in counts.items())
    return text, False, (
        f"column {name!r} holds {held}, taken as the name of a level: if that means missing, say so with "
        f"--na {','.join(counts)}; with --na '' only empty cells are missing"
    )  # fmt: skip


def _doubt_of_levels(name: str, rest: pd.Series[Any]) -> str:
    """That text which is taken as levels looks like something else."""
    kind = meant_as(rest, codes=True)
    if kind is None:
        return ""
    return (
        f"column {name!r} holds text that looks like {kind}, such as {rest.iloc[0]!r}, and is taken as a "
        f"factor; if that is not meant, {WRITE_AS[kind]}"
    )


def _numbers(rest: pd.Series[Any], commas_separate: bool) -> tuple[pd.Series[Any] | None, bool]:
    import pandas as pd

    numbers = pd.to_numeric(rest, errors="coerce")
    if numbers.notna().all():
        return numbers, False
    whole = rest.map(str)
    if not whole.map(lambda cell: _DECIMAL_COMMA.fullmatch(str(cell)) is not None).all():
        return None, False
    # 1,234 alone may be a thousand; 1,5 or 12,3456 cannot be one.
    with_comma = whole[whole.str.contains(",", regex=False)]
    if commas_separate and with_comma.map(lambda cell: _THOUSANDS.fullmatch(str(cell)) is not None).all():
        return None, False
    return pd.to_numeric(whole.str.replace(",", ".", regex=False)), True


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
