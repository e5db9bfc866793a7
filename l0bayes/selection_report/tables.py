r"""Tables from files: CSV, Parquet, Feather."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_table"]

_CSV = {".csv": ",", ".tsv": "\t"}
_ARROW = {".parquet": "Parquet", ".pq": "Parquet", ".feather": "Feather", ".arrow": "Feather"}


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table, by the ending of its name.

    Args:
        path: A ``.csv`` (also ``.csv.gz`` and the like), ``.tsv``, ``.parquet`` or ``.feather`` file.

    Returns:
        The table, with the names of its columns as they stand in the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the kind of file is unknown, the file cannot be read as one, it has no rows, two of
            its columns have one name, or a column has none.
        ModuleNotFoundError: If the file needs the extra ``tables``.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    endings = [ending.lower() for ending in path.suffixes]
    kind = next((ending for ending in reversed(endings) if ending in {**_CSV, **_ARROW}), None)
    if kind is None:
        raise ValueError(f"{str(path)!r} must end in one of {[*_CSV, *_ARROW]}, so that its kind is known")
    table = _read_csv(path, _CSV[kind]) if kind in _CSV else _read_arrow(path, _ARROW[kind])
    if table.empty:
        raise ValueError(
            f"{str(path)!r} has {len(table)} rows and {table.shape[1]} columns: nothing to select"
        )
    return table.reset_index(drop=True)


def _read_csv(path: Path, separator: str) -> pd.DataFrame:
    import pandas as pd

    try:
        # Read by itself: read_csv renames the second of two columns of one name.
        header = pd.read_csv(path, sep=separator, header=None, nrows=1, dtype=str, keep_default_na=False)
        _check_names(path, header.iloc[0].tolist())
        table: pd.DataFrame = pd.read_csv(path, sep=separator, low_memory=False)
        return table
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{str(path)!r} cannot be read as CSV: {_line(error)}") from None


def _read_arrow(path: Path, kind: str) -> pd.DataFrame:
    try:
        import pyarrow
        import pyarrow.feather
        import pyarrow.parquet
    except ImportError:
        raise ModuleNotFoundError(
            f"{kind} files need pyarrow, which is not installed: pip install 'l0bayes[tables]'"
        ) from None
    try:
        table = pyarrow.parquet.read_table(path) if kind == "Parquet" else pyarrow.feather.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{str(path)!r} cannot be read as {kind}: {_line(error)}") from None
    _check_names(path, table.column_names)
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _check_names(path: Path, names: list[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice and twice != [""]:
        raise ValueError(f"columns of {str(path)!r} have the same name: {[name for name in twice if name]}")


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
