r"""Tables from files: CSV, Parquet, Feather."""

from __future__ import annotations

import lzma
import tarfile
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from l0bayes.apps.select.csv_dialect import Dialect, recognise_dialect
from l0bayes.apps.select.decimal_marks import may_be_thousands, two_readings
from l0bayes.apps.select.file_words import (
    of_names_twice,
    of_unknown_kind,
    of_unreadable_csv,
    without_rows,
)
from l0bayes.apps.select.table_cells import USUAL_WORDS, mask_words, read_cells
from l0bayes.apps.select.table_suspicions import check_header, missing_codes
from l0bayes.optional_packages import needed_for
from l0bayes.user_warnings import warn_user

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TableFile", "load_table", "read_table", "text_of_columns"]

_CSV = {".csv": ",", ".tsv": "\t"}
_ARROW = {".parquet": "Parquet", ".pq": "Parquet", ".feather": "Feather", ".arrow": "Feather"}
# What reading may raise besides pandas' own errors: each kind of compression has its own. UnicodeError and
# "several files in the archive" are ValueErrors; a missing library of a compression is an ImportError.
_UNREADABLE = (
    ValueError,
    OSError,
    EOFError,
    ImportError,
    zlib.error,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
)


@dataclass(frozen=True)
class TableFile:
    """A table, and how its file was read.

    Attributes:
        table: The table.
        notes: How it was read, in sentences for a report.
        doubts: By column, what might have been meant otherwise, in a sentence for a warning.
        refused: By column, why it cannot be read in one way only; its cells are left as text.
        guessed: What was guessed of the file as a whole, in sentences for a warning.
    """

    table: pd.DataFrame
    notes: tuple[str, ...] = ()
    doubts: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    guessed: tuple[str, ...] = ()


def read_table(path: str | Path, na: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table: that of :func:`load_table`.

    What might have been meant otherwise is warned of, as are columns that cannot be read in one way only,
    whose cells are left as text.

    Args:
        path: As there.
        na: As there.
    """
    found = load_table(path, na)
    for words in found.doubts.values():
        warn_user(words)
    for why in found.refused.values():
        warn_user(f"{why}; it is left as text")
    return found.table


def load_table(path: str | Path, na: Sequence[str] | None = None, aim: str = "select") -> TableFile:
    """Read a table, by the ending of its name.

    The separator of a text file, its encoding and decimal commas are read off the file; see
    :func:`~l0bayes.apps.select.csv_dialect.recognise_dialect` and
    :func:`~l0bayes.apps.select.table_cells.read_cells`.

    Args:
        path: A ``.csv`` (also ``.csv.gz`` and the like), ``.tsv``, ``.parquet`` or ``.feather`` file.
        na: Words that mean missing beside empty cells. By default those of
            :data:`~l0bayes.apps.select.table_cells.USUAL_WORDS`, in columns of numbers of a text file only.
        aim: What the table is for, in a word, for errors.

    Returns:
        The table, with the names of its columns as they stand in the file, without spaces around them. An
        index with a name that pandas wrote to a Parquet or Feather file is a column like the others.

    Raises:
        FileNotFoundError: If there is no such file.
        IsADirectoryError: If it is a folder.
        ValueError: If the kind of file is unknown, the file cannot be read as one, it has no rows, two of
            its columns have one name, a column has none, or rows are longer than the header.
        ModuleNotFoundError: If the file needs the extra ``tables``.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder, and no table")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    endings = [ending.lower() for ending in path.suffixes]
    kind = next((ending for ending in reversed(endings) if ending in {**_CSV, **_ARROW}), None)
    if kind is None:
        raise ValueError(of_unknown_kind(path, [*_CSV, *_ARROW]))
    found = _load_csv(path, _CSV[kind], na) if kind in _CSV else _load_arrow(path, _ARROW[kind], na)
    if found.table.empty:
        raise ValueError(without_rows(path, *found.table.shape, aim))
    return replace(found, table=found.table.reset_index(drop=True))


def text_of_columns(path: str | Path, names: Sequence[str]) -> dict[str, pd.Series[Any]]:
    """Columns of a text file as they are written there, cells that are empty as missing.

    Args:
        path: The file, which :func:`load_table` has read.
        names: Names of the columns; there are none in a file of another kind.
    """
    path = Path(path)
    kind = next((e.lower() for e in reversed(path.suffixes) if e.lower() in {**_CSV, **_ARROW}), "")
    if kind not in _CSV or not names:
        return {}
    written = _parse_csv(path, recognise_dialect(path, _CSV[kind]), index_col=False, dtype=str)
    written.columns = [unicodedata.normalize("NFC", str(name).strip()) for name in written.columns]
    return {name: written[name].str.strip().replace("", None) for name in names if name in written}


def _load_csv(path: Path, separator: str, na: Sequence[str] | None) -> TableFile:
    try:
        dialect = recognise_dialect(path, separator)
    except _UNREADABLE as error:
        raise ValueError(of_unreadable_csv(path, _line(error))) from None
    # Header and first row by themselves: of a whole table, pandas renames the second of two columns of one
    # name, and takes the first fields of rows that are too long for names of the rows, which shifts the rest.
    long: list[list[str]] = []
    head = _parse_csv(
        path,
        dialect,
        header=None,
        nrows=2,
        dtype=str,
        engine="python",
        on_bad_lines=long.append,
    )
    names = [
        "" if name != name else unicodedata.normalize("NFC", str(name).strip())
        for name in head.iloc[0].tolist()
    ]
    _check_names(path, names)
    if long:
        raise ValueError(_of_long_rows(path, names, long[0]))
    table = _parse_csv(path, dialect, low_memory=False, index_col=False)
    for index, name in enumerate(names):
        if not name:
            raise ValueError(_of_a_nameless_column(path, index, table.iloc[:, index]))
    notes = [*dialect.notes]
    if any(str(name) != str(name).strip() for name, kept in zip(head.iloc[0], names, strict=True) if kept):
        notes.append("Spaces around names in the header were taken away.")
    table.columns = names
    check_header(path, names, table)
    given = table
    table, of_cells, doubts = read_cells(given, na, commas_separate=dialect.separator == ",")
    table, refused, open_ones = _with_one_reading(path, dialect, given, table)
    doubts |= {**missing_codes(table), **open_ones}
    words = ", ".join(USUAL_WORDS) if na is None else ", ".join(na)
    where = " in columns of numbers" if na is None else ""
    missing = f", and the words {words}{where}" if words else " and nothing else"
    notes += [*of_cells, f"Empty cells count as missing{missing} (--na)."]
    return TableFile(table, tuple(notes), doubts, refused, dialect.guessed)


def _with_one_reading(
    path: Path, dialect: Dialect, given: pd.DataFrame, table: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, str], dict[str, str]]:
    """The table, columns whose marks can be read in two ways as text; what is refused, what is doubtful."""
    import pandas as pd

    is_number = pd.api.types.is_numeric_dtype
    shown, again = set(), []
    for number, name in enumerate(table.columns):
        if pd.api.types.is_float_dtype(given[name].dtype):
            values = given[name].to_numpy(float)
            if may_be_thousands(values):
                again.append(number)
            elif (values[np.isfinite(values)] % 1 != 0).any():
                shown.add(".")
    # How numbers were written is not known once they are read.
    written = _parse_csv(path, dialect, usecols=again, index_col=False, dtype=str) if again else table[[]]
    written.columns = [table.columns[number] for number in again]
    texts = {str(name): written[name].where(table[name].notna()) for name in written.columns}
    others = []
    for name in table.columns:
        if name in texts or is_number(given[name].dtype):
            continue
        if is_number(table[name].dtype):
            texts[name] = given[name].where(table[name].notna())
        else:
            others.append(given[name].dropna().map(str).tolist())
    refused, doubtful = two_readings(
        {name: column.dropna().map(str).tolist() for name, column in texts.items()},
        others,
        shown,
        separator=dialect.separator,
    )
    return table.assign(**{name: texts[name] for name in refused}), refused, doubtful


def _parse_csv(path: Path, dialect: Dialect, **options: Any) -> pd.DataFrame:
    import pandas as pd

    try:
        table: pd.DataFrame = pd.read_csv(
            path,
            sep=dialect.separator,
            encoding=dialect.encoding,
            skiprows=dialect.skipped,
            keep_default_na=False,
            na_values=[""],
            **options,
        )
    except _UNREADABLE as error:
        raise ValueError(of_unreadable_csv(path, _line(error))) from None
    return table


def _of_long_rows(path: Path, names: list[str], row: list[str]) -> str:
    fault = f"{str(path)!r} has {len(names)} names in its header and {len(row)} fields in data row 1"
    if any(field.strip() for field in row[len(names) :]):
        above = " Lines above the header, such as a title, are to be deleted." if len(names) < 3 else ""
        return f"{fault}: which field belongs to which name cannot be known.{above}"
    return f"{fault}, the last of them empty: rows end in a separator. Take it away"


def _of_a_nameless_column(path: Path, index: int, values: pd.Series[Any]) -> str:
    fault = f"column {index + 1} of {str(path)!r} has no name"
    if values.isna().all():
        return f"{fault}, and is empty: rows end in a separator. Take it away"
    numbers = np.arange(len(values))
    if any(values.equals(values.__class__(numbers + first, name=values.name)) for first in (0, 1)):
        return (
            f"{fault}: it numbers the rows. Write the table without them (to_csv(..., index=False) in "
            "pandas, row.names = FALSE in R), or give the column a name in the header and leave it out, as "
            "in '. - row'"
        )
    return f"{fault}: give it one in the header"


def _load_arrow(path: Path, kind: str, na: Sequence[str] | None) -> TableFile:
    with needed_for(f"A {kind} file"):
        import pyarrow
        import pyarrow.feather
        import pyarrow.parquet
    try:
        if kind == "Parquet":
            # By itself: the whole table cannot be read where two columns have one name.
            _check_names(path, pyarrow.parquet.read_schema(path).names)
            table = pyarrow.parquet.read_table(path)
        else:
            table = pyarrow.feather.read_table(path)
            _check_names(path, table.column_names)
        frame: pd.DataFrame = table.to_pandas()
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{str(path)!r} cannot be read as {kind}: {_line(error)}") from None
    named = [name for name in frame.index.names if name is not None]
    if named:
        frame = frame.reset_index(level=named)
    if nameless := [index for index, name in enumerate(frame.columns) if not str(name).strip()]:
        raise ValueError(f"column {nameless[0] + 1} of {str(path)!r} has no name")
    if not na:
        return TableFile(frame, ("Cells without a value count as missing, and nothing else (--na).",))
    return TableFile(
        frame.assign(**{name: mask_words(frame[name], na) for name in frame.columns}),
        (f"Cells without a value count as missing, and the words {', '.join(na)} (--na).",),
    )


def _check_names(path: Path, names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1 and name.strip()]
    if twice:
        raise ValueError(of_names_twice(path, twice))


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
