r"""Lines that fit a terminal of a hundred columns, and what the acts need to be installed."""

from __future__ import annotations

import textwrap

__all__ = ["PACKAGES", "WIDTH", "labelled", "wrapped"]

WIDTH = 100
"""Columns of a line, at most."""

PACKAGES = ("sklearn", "matplotlib", "PIL", "safetensors", "h5py", "h5netcdf", "pandas")
"""Packages of extras that an act reads data, draws and writes with."""

_LABEL = 10


def labelled(label: str, words: str) -> str:
    """Words after a label, the later lines as far in as the first.

    Args:
        label: The label, of at most nine letters.
        words: The words.
    """
    return textwrap.fill(
        words,
        WIDTH,
        initial_indent=f"{label:<{_LABEL}}",
        subsequent_indent=" " * _LABEL,
        break_long_words=False,
    )


def wrapped(words: str) -> str:
    """Words in lines that are not too long.

    Args:
        words: The words.
    """
    return textwrap.fill(words, WIDTH, break_long_words=False)
