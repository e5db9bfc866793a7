"""Tables of how runs grow and what they survive, read from ``benchmarks.scale`` and ``benchmarks.kills``."""

import json
from pathlib import Path
from typing import Any


def scale_rows(results: Path) -> dict[str, str]:
    """Markdown tables by name, ``gates`` and ``rows``, and words for ``steps`` and ``kills``.

    Args:
        results: Folder of the results.
    """
    scale, kills = _read(results / "scale.json"), _read(results / "kills.json")
    unread = "Not measured yet: `python -m benchmarks.scale`."
    return {
        "gates": _gates(scale["gates"]["sizes"]) if "gates" in scale else unread,
        "rows": _rows(scale["rows"]["sizes"]) if "rows" in scale else unread,
        "steps": _steps(scale["steps"]) if "steps" in scale else unread,
        "kills": _kills(kills) if kills else "Not measured yet: `python -m benchmarks.kills`.",
        "where": f"{scale['machine']['processor']}, torch {scale['versions']['torch']}" if scale else "",
    }


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text("utf-8")) if file.is_file() else {}


def _gates(sizes: list[dict[str, Any]]) -> str:
    lines = [
        "| gates | a step (ms) | ns a gate | peak (MB) | bytes a gate | as a multiple |",
        "|" + "---|" * 6,
    ]
    packages = sizes[0]["peak_bytes"]
    for one in sizes:
        count, peak = one["gates"], one["peak_bytes"]
        beyond = peak - packages
        lines.append(
            f"| {count:,} | {_short(one['step_ms'])} | {_short(1e6 * one['step_ms'] / count)} "
            f"| {_short(peak / 1e6)} | {_short(beyond / count) if beyond else ''} "
            f"| {_short(beyond / one['needed_bytes']) if beyond else ''} |"
        )
    return "\n".join(lines)


def _short(value: float) -> str:
    """Three digits, or all of those before the point."""
    return f"{value:,.0f}" if value >= 100.0 else f"{value:.3g}"


def _rows(sizes: list[dict[str, Any]]) -> str:
    lines = ["| rows | a step (ms) | table (MB) | peak beyond what there was (MB) |", "|" + "---|" * 4]
    for one in sizes:
        lines.append(
            f"| {one['rows']:,} | {one['step_ms']:.3g} | {one['table_bytes'] / 1e6:.3g} "
            f"| {one['peak_bytes'] / 1e6:.0f} |"
        )
    return "\n".join(lines)


def _steps(found: dict[str, Any]) -> str:
    memory = found["resident_bytes"]
    late = memory[len(memory) // 10 :]
    change = (late[-1] - late[0]) / 1e6
    return (
        f"{found['steps']:,} steps in {found['minutes']:.0f} minutes, beside other work, with a checkpoint: "
        f"from the first tenth of the time on between {min(late) / 1e6:.0f} and {max(late) / 1e6:.0f} MB, "
        f"at the end {abs(change):.1f} MB {'more' if change > 0 else 'less'} than then."
    )


def _kills(found: dict[str, Any]) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in found["kinds"].items())
    return (
        f"{found['identical']} of {found['runs']} runs that were killed ({kinds}; {found['kills']} kills) "
        "ended bit for bit where runs that were left alone end."
    )
