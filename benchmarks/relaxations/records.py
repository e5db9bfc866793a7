"""Finished runs in a file, so that a study goes on where it was interrupted; and their summary."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

__all__ = ["Records", "interval", "read_results"]


class Records:
    """Results of runs by what they were runs of, one JSON object a line.

    Args:
        file: The file, made where missing; ``None`` to keep nothing.
    """

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self._found: dict[str, dict[str, Any]] = {}
        if file is None:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists():
            for line in file.read_text("utf-8").splitlines():
                try:
                    entry = json.loads(line)
                except json.JSONDecodeError:  # a line that was cut off
                    continue
                self._found[_text(entry["key"])] = entry["result"]

    def find(self, key: dict[str, Any]) -> dict[str, Any] | None:
        """The result of a run, if it is there.

        Args:
            key: All that the result depends on.
        """
        return self._found.get(_text(key))

    def get(self, key: dict[str, Any], run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result of a run, which is made now where it is not there.

        Args:
            key: All that the result depends on.
            run: Makes it.
        """
        found = self.find(key)
        if found is None:
            found = self._found[_text(key)] = run()
            if self.file is not None:
                with self.file.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps({"key": key, "result": found}) + "\n")
        return found


def _text(key: dict[str, Any]) -> str:
    return json.dumps(key, sort_keys=True)


def interval(values: list[float | None]) -> dict[str, Any] | None:
    """Mean and 95 % t-interval over seeds.

    Args:
        values: One a seed; ``None`` where there is none.

    Returns:
        ``mean``, ``half_width`` (``None`` for a single value) and ``all``; ``None`` without a value.
    """
    from scipy.stats import t

    there = [value for value in values if value is not None]
    if not there:
        return None
    count = len(there)
    half = float(t.ppf(0.975, count - 1)) * stdev(there) / math.sqrt(count) if count > 1 else None
    return {"mean": mean(there), "half_width": half, "all": values}


def read_results(file: Path) -> dict[str, Any]:
    """What a part of the study wrote, with the names of today.

    Args:
        file: The file; one from before ``gate_law`` was called so has ``family`` in its place.
    """
    results: dict[str, Any] = json.loads(file.read_text("utf-8"))
    for one in results["candidates"]:
        one.setdefault("gate_law", one.pop("family", None))
    return results
