"""The tables of "How far can I trust a PIP?", read from what ``benchmarks.selection`` wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["selection_rows"]

ABSENT = "not measured"
PARTS = ("small", "twenty", "glm", "likelihoods", "wide", "calibration", "calibration-likelihoods", "huge")
Part = dict[str, Any]


def selection_rows(results: Path) -> dict[str, str]:
    """The tables as text, and which commands they are from.

    Args:
        results: Folder of the JSON files.
    """
    parts = {}
    for name in PARTS:
        file = results / f"selection-{name}.json"
        if file.is_file():
            parts[name] = json.loads(file.read_text("utf-8"))
    told = [
        f"`{found['command']}` ({found['machine']['processor']}, torch {found['versions']['torch']})"
        for found in parts.values()
    ]
    return {
        "about": "; ".join(told) or ABSENT,
        "errors": _errors(parts),
        "wide": _wide(parts.get("wide")),
        "calibration": _calibration(parts.get("calibration")),
        "likelihoods": _likelihoods(parts.get("calibration-likelihoods")),
        "huge": _huge(parts.get("huge")),
    }


def _errors(parts: dict[str, Part]) -> str:
    lines = []
    for name in ("small", "twenty"):
        if name in parts:
            lines += _enumerated(parts[name])
    lines += _counts(parts["glm"]) if "glm" in parts else []
    lines += _near_duplicates(parts["likelihoods"]) if "likelihoods" in parts else []
    heads = ("data", "columns", "engine", "PIP", "mean", "log evidence", "seconds, median (most)")
    return _table(heads, lines)


def _enumerated(part: Part) -> list[list[str]]:
    rows = part["runs"]
    lines = []
    for noise, p, engine in _kinds(rows, ("noise", "p", "engine")):
        own = [r for r in rows if (r["noise"], r["p"], r["engine"]) == (noise, p, engine)]
        known = "unknown" if noise is None else "known"
        evidence = [r["evidence_error"] for r in own if r["evidence_error"] is not None]
        lines.append(
            [
                f"Gaussian, noise {known}, {_fits(own)}",
                str(p),
                f"`{engine}` ({', '.join(sorted({r['used'] for r in own}))})",
                _small(max(r["pip_error"] for r in own)),
                _small(max(r["mean_error"] for r in own)),
                _small(max(evidence)) if evidence else "—",
                _seconds(own),
            ]
        )
    return lines


def _counts(part: Part) -> list[list[str]]:
    lines = []
    for kind, p in _kinds(part["runs"], ("kind", "p")):
        own = [r for r in part["runs"] if (r["kind"], r["p"]) == (kind, p)]
        error = _small(max(r["pip_error"] for r in own))
        known = [r["reference_se"] for r in own if "reference_se" in r]
        if known:
            error += f" (reference ± {max(known):.4f})"
        engines = ", ".join(sorted({r["engine"] for r in own}))
        about = f"{kind}, {own[0]['n']} rows, {_fits(own)}"
        lines.append([about, str(p), f"`auto` ({engines})", error, "", "", _seconds(own)])
    return lines


def _near_duplicates(part: Part) -> list[list[str]]:
    lines = []
    for kind, engine in _kinds(part["runs"], ("likelihood", "engine")):
        own = [r for r in part["runs"] if (r["likelihood"], r["engine"]) == (kind, engine)]
        about = f"{kind}, near-duplicates, {part['rows']} rows, {_fits(own)}"
        error = _small(max(r["pip_error"] for r in own))
        lines.append([about, str(part["columns"]), f"`{engine}`", error, "", "", _seconds(own)])
    return lines


def _wide(part: Part | None) -> str:
    if part is None:
        return ABSENT
    lines = []
    ours = [r for r in part["runs"] if r["what"] != "millipede"]
    for n, p, what in _kinds(ours, ("n", "p", "what")):
        own = [r for r in ours if (r["n"], r["p"], r["what"]) == (n, p, what)]
        single = [one for r in own for one in r["single"]]
        ratios = [
            r
            for r in part.get("ratios", [])
            if (r["n"], r["p"]) == (n, p) and what.startswith("slab scaled by noise")
        ]
        lines.append(
            [
                f"{n} × {p}",
                what,
                _small(max(one["pip_error"] for one in single)),
                f"{max(r['reference_se'] for r in own):.4f}",
                _seconds(single),
                ", ".join(f"{'' if r['reached'] else '> '}{r['ratio']:.0f}" for r in ratios) or "—",
            ]
        )
    heads = (
        "rows × columns",
        "model",
        "PIP error",
        "reference ±",
        "seconds, median (longest)",
        "`millipede`",
    )
    return _table(heads, lines)


def _calibration(part: Part | None) -> str:
    if part is None:
        return ABSENT
    lines = [[run["setting"], *_discoveries(run)] for run in part["runs"]]
    return _table(("prior", *_DISCOVERIES), lines)


def _likelihoods(part: Part | None) -> str:
    if part is None:
        return ABSENT
    lines = [[run["likelihood"], str(run["data_sets"]), *_discoveries(run)] for run in part["runs"]]
    return _table(("likelihood", "data sets", *_DISCOVERIES), lines)


_DISCOVERIES = ("selected", "FDR promised", "FDR realised", "ECE of PIPs")


def _discoveries(run: Part) -> list[str]:
    return [
        str(run["selected"]),
        f"{100 * run['promised_fdr']:.1f} %",
        f"{100 * run['realised_fdr']:.1f} ± {100 * run['realised_fdr_se']:.1f} %",
        f"{run['ece']:.3f}",
    ]


def _huge(part: Part | None) -> str:
    if part is None:
        return ABSENT
    lines = [
        [
            f"{run['p']:,}",
            f"{run['seconds_per_epoch']:.2f}",
            f"{run['data_bytes'] / 2**20:.0f}",
            f"{run['guide_bytes'] / 2**20:.1f}",
            f"{run['peak_minus_baseline_bytes'] / 2**20:.0f}",
            f"{run['recovered']} of {len(run['largest'])}",
        ]
        for run in part["runs"]
    ]
    heads = ("columns", "seconds an epoch", "data, MiB", "guide, MiB", "peak, MiB", "effects found")
    return _table(heads, lines)


def _kinds(rows: list[Part], names: tuple[str, ...]) -> list[tuple[Any, ...]]:
    return list(dict.fromkeys(tuple(row[name] for name in names) for row in rows))


def _fits(rows: list[Part]) -> str:
    return "1 fit" if len(rows) == 1 else f"{len(rows)} fits"


def _small(value: float) -> str:
    return f"{value:.4f}" if value >= 1e-4 else f"{value:.0e}"


def _seconds(rows: list[Part]) -> str:
    ordered = sorted(row["seconds"] for row in rows)
    return f"{ordered[len(ordered) // 2]:.1f} ({ordered[-1]:.1f})"


def _table(heads: tuple[str, ...], lines: list[list[str]]) -> str:
    if not lines:
        return ABSENT
    rows = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(rows + ["| " + " | ".join(line) + " |" for line in lines])
