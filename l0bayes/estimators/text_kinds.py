r"""What text may be meant as, where it is not meant as names of levels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

__all__ = ["meant_as"]

_SHARE = 0.9
_DATE = re.compile(
    r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}(?:[ T]\d{1,2}:\d{2}.*)?|\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?"
)
# Digits in groups, with a sign, a currency or a unit of a few signs around them, or in parentheses, as
# accountants write what is negative.
_NUMBER = re.compile(
    r"[^\w\s]?\s?[+\u2212-]?\d+(?:[., '\u2019\u00a0\u2009\u202f]\d+)*\s?[^\d\s]{0,3}"
    r"|\([^\w\s]?\d+(?:[., '\u2019\u00a0\u2009\u202f]\d+)*\)"
)
_WHOLE = re.compile(r"\d+|[^\W\d_]{0,3}\d+[^\W\d_]{0,3}")


def meant_as(cells: Iterable[Any], *, codes: bool) -> str | None:
    """``"dates or times"``, ``"numbers in another notation"`` or ``None``, by nine cells in ten.

    Args:
        cells: Text.
        codes: Whether whole numbers by themselves or beside letters, such as ``12`` and ``7a``, count as
            names.
    """
    texts = [str(cell).strip() for cell in cells]
    least = _SHARE * len(texts)
    if not texts:
        return None
    if sum(_DATE.fullmatch(text) is not None for text in texts) >= least:
        return "dates or times"
    names = codes and sum(_WHOLE.fullmatch(text) is not None for text in texts) > len(texts) - least
    numbers = sum(_NUMBER.fullmatch(text) is not None for text in texts) >= least
    return "numbers in another notation" if numbers and not names else None
