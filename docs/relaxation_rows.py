"""The table of "Which relaxation?", read from what ``benchmarks.relaxations`` wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["relaxation_rows"]

ABSENT = "not measured"
WORDS = {
    "hard_concrete": "hard concrete",
    "concrete": "plain concrete",
    "rectified_normal": "rectified Normal (STG)",
    "hard_kumaraswamy": "hard Kumaraswamy",
    "bernoulli": "binary",
    "concrete_dropout": "Concrete Dropout",
}
# Heading, part, design, figure, factor, digits.
COLUMNS: tuple[tuple[str, str, str | None, str, float, int], ...] = (
    ("PIP error, independent", "regression", "independent", "largest_error_exact", 1.0, 2),
    ("PIP error, correlated", "regression", "correlated", "largest_error_exact", 1.0, 2),
    ("ELBO gap, independent", "regression", "independent", "optimum_gap", 1.0, 2),
    ("ELBO gap, correlated", "regression", "correlated", "optimum_gap", 1.0, 2),
    ("digits, error %", "digits", None, "test_error", 100.0, 1),
    ("MNIST, error %", "mnist", None, "test_error", 100.0, 2),
    ("MNIST, deployed MACs %", "mnist", None, "deployed_share", 100.0, 1),
    ("MNIST, expected − deployed %", "mnist", None, "gap", 100.0, 1),
    ("MNIST, undecided %", "mnist", None, "undecided", 100.0, 0),
    ("MNIST, CPU s", "mnist", None, "cpu_seconds", 1.0, 0),
)


def relaxation_rows(results: Path) -> dict[str, Any]:
    """The table as text, and what else the page quotes.

    Args:
        results: Folder of the JSON files.
    """
    parts = {}
    for name in ("regression", "digits", "mnist"):
        file = results / f"relaxations-{name}.json"
        if file.is_file():
            parts[name] = json.loads(file.read_text("utf-8"))
    return {"table": _table(parts), "about": _about(parts), "reach": _reach(parts)}


def _table(parts: dict[str, Any]) -> str:
    order: list[tuple[str, str, str]] = []
    cells: dict[tuple[str, str | None, str], dict[str, Any]] = {}
    for part, found in parts.items():
        for one in found["candidates"]:
            cells[part, one.get("design"), one["name"]] = one["summary"]
            # What was measured before the word was gate law has it as family.
            entry = (one["name"], one.get("gate_law", one.get("family")), one["variant"])
            if entry not in order:
                order.append(entry)
    if not order:
        return ABSENT
    laws = list(WORDS)
    order.sort(key=lambda entry: laws.index(entry[1]))  # stable: variants keep their order
    lines = ["| gate law | setting | " + " | ".join(column[0] for column in COLUMNS) + " |"]
    lines.append("|" + "---|" * (len(COLUMNS) + 2))
    for name, gate_law, variant in order:
        row = [
            _cell(cells.get((part, design, name)), key, factor, digits)
            for _, part, design, key, factor, digits in COLUMNS
        ]
        lines.append(f"| {WORDS[gate_law]} | {variant} | " + " | ".join(row) + " |")
    return "\n".join(lines)


def _cell(summary: dict[str, Any] | None, key: str, factor: float, digits: int) -> str:
    """Mean and half width of the interval; a dash where the study has no such run or the figure no sense."""
    entry = None if summary is None else summary.get(key)
    if entry is None or entry.get("mean") is None:
        return "—"
    text = f"{factor * entry['mean']:.{digits}f}"
    half = entry.get("half_width")
    return text if half is None else f"{text} ± {factor * half:.{digits}f}"


def _about(parts: dict[str, Any]) -> str:
    if not parts:
        return ABSENT
    told = [
        f"`{found['command']}` ({len(found['seeds'])} seeds, {found['machine']['processor']}, torch "
        f"{found['versions']['torch']})"
        for found in parts.values()
    ]
    return "; ".join(told)


def _reach(parts: dict[str, Any]) -> dict[str, str]:
    """What the best factorised gates miss of the exact posterior, by design."""
    reach = {}
    for design in ("independent", "correlated"):
        rows = [p for p in parts.get("regression", {}).get("problems", []) if p["design"] == design]
        for key in ("optimum_largest_error_exact", "optimum_evidence_gap"):
            values = [row[key] for row in rows]
            reach[f"{design}_{key}"] = f"{sum(values) / len(values):.2f}" if values else ABSENT
    return reach
