"""Mutants that were looked at by hand, and cannot change a result; ``equivalents.json`` says why of each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["why_equivalent"]


def why_equivalent(row: Mapping[str, Any]) -> str | None:
    """Why a mutant cannot change a result; ``None`` where it was not found that it cannot.

    Args:
        row: Its file, operator and source.
    """
    return _reasons().get((row["file"].removeprefix("l0bayes/"), row["operator"], row["source"]))


@cache
def _reasons() -> dict[tuple[str, str, str], str]:
    """File below ``l0bayes``, operator and line of source, to the reason."""
    listed = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
    return {(one["file"], one["operator"], one["source"]): one["why"] for one in listed}
