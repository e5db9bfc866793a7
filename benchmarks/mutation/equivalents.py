"""Mutants that were looked at by hand, and cannot change a result: what they change is said for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["why_equivalent"]

_REASONS: dict[tuple[str, str, str], str] = {}
"""File below ``l0bayes``, operator and line of source, to the reason."""


def why_equivalent(row: Mapping[str, Any]) -> str | None:
    """Why a mutant cannot change a result; ``None`` where it was not found that it cannot.

    Args:
        row: Its file, operator and source.
    """
    return _REASONS.get((row["file"].removeprefix("l0bayes/"), row["operator"], row["source"]))
