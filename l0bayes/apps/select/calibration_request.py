r"""What ``--calibrate`` asks for."""

from __future__ import annotations

from l0bayes.apps.select.row_columns import RowNumbers

__all__ = ["check_calibration", "data_sets_of"]

_DATA_SETS = 200


def data_sets_of(asked: bool, count: int | None) -> int | None:
    """Number of data sets to draw and fit; ``None`` where none were asked for.

    Args:
        asked: Whether ``--calibrate`` was given.
        count: The number of ``--data-sets``.

    Raises:
        ValueError: If there is a number without ``--calibrate``, or it is too small to compare anything.
    """
    if count is not None and not asked:
        raise ValueError(f"--data-sets is of --calibrate; got {count} without it")
    if count is not None and count < 2:
        raise ValueError(f"--data-sets must be at least 2, got {count}")
    return (count or _DATA_SETS) if asked else None


def check_calibration(data_sets: int | None, rows: RowNumbers) -> None:
    """Refuse what no data can be drawn for.

    Args:
        data_sets: Number of data sets, or ``None``.
        rows: What the columns of rows hold.

    Raises:
        ValueError: If rows have weights: a row of weight w stands for w rows, and these would have responses
            of their own.
    """
    if data_sets is not None and rows.weights is not None and (rows.weights != 1).any():
        raise ValueError(
            "--calibrate draws a response for each row, and a row with --weights stands for several: write "
            "the rows out, or leave --weights out with it"
        )
