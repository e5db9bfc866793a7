r"""What to do about a file that is no table that can be read, in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

__all__ = ["of_names_twice", "of_unknown_kind", "of_unreadable_csv", "without_rows"]

_SHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
_OF_PROGRAMS = {
    ".rds": "R: write.csv(table, 'table.csv', row.names = FALSE)",
    ".rdata": "R: write.csv(table, 'table.csv', row.names = FALSE)",
    ".sav": "SPSS: File, Save As, CSV",
    ".dta": "Stata: export delimited using table.csv",
    ".sas7bdat": "SAS: proc export ... dbms=csv",
    ".json": "pandas: pandas.read_json(...).to_csv('table.csv', index=False)",
    ".pkl": "pandas: table.to_csv('table.csv', index=False)",
}
_FIELDS = re.compile(r"Expected \d+ fields in line \d+, saw \d+")


def of_unknown_kind(path: Path, accepted: Sequence[str]) -> str:
    """That the ending of a file's name says no kind that can be read.

    Args:
        path: The file.
        accepted: Endings of those that can be.
    """
    ending = path.suffix.lower()
    if ending in _SHEETS:
        todo = "Save the sheet as CSV from the program that made it"
    elif ending in _OF_PROGRAMS:
        todo = f"Write it as CSV; {_OF_PROGRAMS[ending]}"
    else:
        todo = "Text in columns can be named .csv, whatever separates them"
    return f"{str(path)!r} must end in one of {list(accepted)}, so that its kind is known. {todo}"


def of_unreadable_csv(path: Path, reason: str) -> str:
    """That a file cannot be read as CSV.

    Args:
        path: The file.
        reason: What pandas said.
    """
    if "No columns to parse" in reason:
        reason = "it is empty. The first line names the columns, and each line after it is a case"
    elif fields := _FIELDS.search(reason):
        reason = (
            f"{fields[0]}. Put quotes around text that holds the separator, and see that every line has a "
            "field for each column"
        )
    return f"{str(path)!r} cannot be read as CSV: {reason}"


def of_names_twice(path: Path, names: Sequence[str]) -> str:
    """That several columns of a file have one name.

    Args:
        path: The file.
        names: The names.
    """
    return f"rename columns of {str(path)!r} in its header: several have the same name: {list(names)}"


def without_rows(path: Path, rows: int, columns: int, aim: str) -> str:
    """That a table has no rows, or no columns.

    Args:
        path: The file.
        rows: Number of rows.
        columns: Number of columns.
        aim: What the table is for, in a word.
    """
    todo = "" if rows else ". Each line after the header is a case"
    return f"{str(path)!r} has {rows} rows and {columns} columns: nothing to {aim}{todo}"
