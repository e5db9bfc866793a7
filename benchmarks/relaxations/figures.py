"""Pictures of the study, from its results."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

from benchmarks.relaxations.records import read_results
from benchmarks.relaxations.settings import CANDIDATES
from l0bayes.gate_families import GATE_FAMILIES

__all__ = ["draw_figures"]

# Okabe and Ito's palette, which colour-blind readers tell apart; a marker for each gate law besides.
_COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#555555", "#CC79A7")
_MARKERS = ("o", "s", "^", "D", "v", "o", "P")
_LOOK = dict(zip(GATE_FAMILIES, zip(cycle(_COLOURS), cycle(_MARKERS), strict=False), strict=False))
_BINARY = {"disarm": "DisARM", "rloo": "RLOO"}


def draw_figures(folder: Path) -> list[Path]:
    """Draw the pictures for which there are results.

    Args:
        folder: Where ``relaxations-*.json`` are, and where the pictures go.

    Returns:
        The files.
    """
    import matplotlib as mpl

    found = {}
    for name in ("regression", "digits", "mnist"):
        file = folder / f"relaxations-{name}.json"
        if file.is_file():
            found[name] = read_results(file)
    files = []
    with mpl.rc_context({"font.size": 9, "axes.titlesize": 9.5, "svg.fonttype": "none"}):
        if "regression" in found:
            files.append(_regression(found["regression"], folder / "relaxations-regression.png"))
        networks: dict[str, dict[str, Any]] = {
            name: found[name] for name in ("digits", "mnist") if name in found
        }
        if networks:
            files.append(_networks(networks, folder / "relaxations-networks.png", _ERRORS))
            files.append(_networks(networks, folder / "relaxations-gaps.png", _GAPS))
    return files


def _regression(results: dict[str, Any], file: Path) -> Path:
    columns = []
    for design in ("independent", "correlated"):
        rows = [one for one in results["candidates"] if one["design"] == design]
        problems = [one for one in results["problems"] if one["design"] == design]
        columns.append((f"{design} columns", rows, problems))
    panels = [
        ("largest_error_exact", "largest error of an inclusion probability", "linear", "optimum_"),
        ("evidence_gap", "log evidence − strict ELBO, nats", "log", "optimum_"),
    ]
    names = _union([rows for _, rows, _ in columns])
    figure, axes = _grid(len(panels), len(columns), len(names))
    for line, (key, title, scale, prefix) in zip(axes, panels, strict=True):
        for ax, (name, rows, problems) in zip(line, columns, strict=True):
            best = [problem[prefix + key] for problem in problems]
            ax.axvline(sum(best) / len(best), color="black", linestyle="--", linewidth=1, zorder=0)
            _dots(ax, names, rows, key)
            ax.set_xscale(scale)
            ax.set(title=name, xlabel=title)
        if key.startswith("largest_error"):
            for ax in line:
                ax.set_xlim(-0.03, 1.03)
        else:
            _same_limits(line)
    note = "dashed: the best that factorised gates can do"
    return _save(figure, file, f"{note}; mean and 95 % interval over {len(results['seeds'])} data sets")


Panel = tuple[str, str, str, float]
_ERRORS: list[Panel] = [
    ("test_error", "test error of the deployed network, %", "linear", 100.0),
    ("deployed_share", "deployed size, % of MACs", "log", 100.0),
]
_GAPS: list[Panel] = [
    ("gap", "expected − deployed size, % of MACs", "linear", 100.0),
    ("undecided", "undecided gates (0.05 < P < 0.95), %", "linear", 100.0),
]
_NETS = {"digits": "digits, 64-300-100", "mnist": "MNIST, LeNet-300-100"}


def _networks(found: dict[str, dict[str, Any]], file: Path, panels: list[Panel]) -> Path:
    names = _union([results["candidates"] for results in found.values()])
    figure, axes = _grid(len(panels), len(found), len(names))
    for line, (key, title, scale, factor) in zip(axes, panels, strict=True):

        def shown(one: dict[str, Any], key: str = key) -> bool:
            """Tied gates have no target: a network that is not pruned has no place on an axis of gaps."""
            return key != "gap" or not GATE_FAMILIES[one["gate_law"]].tied

        for ax, (name, results) in zip(line, found.items(), strict=True):
            rows = [one for one in results["candidates"] if shown(one) and key in one["summary"]]
            _dots(ax, [one for one in names if shown(one)], rows, key, factor)
            if key == "gap":
                ax.axvline(0.0, color="black", linewidth=0.8, zorder=0)
            if key == "deployed_share":
                share = 100.0 * float(results["settings"]["target"].partition(":")[2])
                ax.axvline(share, color="black", linestyle="--", linewidth=1, zorder=0)
            ax.set_xscale(scale)
            if scale == "log":
                _plain_ticks(ax)
            ax.set(title=_NETS[name], xlabel=title)
    seeds = len(next(iter(found.values()))["seeds"])
    note = f"mean and 95 % interval over {seeds} seeds; "
    tied = ", ".join(law.label for law in GATE_FAMILIES.values() if law.tied)
    return _save(figure, file, note + f"{tied} (hollow):\ntied gates, no target for the size")


def _dots(
    ax: Any, names: list[dict[str, Any]], rows: list[dict[str, Any]], key: str, factor: float = 1.0
) -> None:
    """One line of the picture for each of ``names``, empty where ``rows`` lack it."""
    labels, found = [], {row["name"]: row for row in rows}
    for place, row in enumerate(names):
        law = GATE_FAMILIES[row["gate_law"]]
        colour, marker = _LOOK[law.name]
        variant = _BINARY.get(row["variant"].split(",")[0], row["variant"].split(",")[0])
        sigma = "" if law.unit is None else ", σ"
        labels.append(f"{law.label}{sigma} {variant}{', per example' if row['per_example'] else ''}")
        if place and names[place - 1]["gate_law"] != law.name:
            ax.axhline(place - 0.5, color="#dddddd", linewidth=0.8, zorder=0)
        if row["name"] not in found:
            continue
        value = found[row["name"]]["summary"].get(key)
        if value is None:
            ax.annotate(
                "no value", (0.01, place), xycoords=("axes fraction", "data"), va="center", color=colour
            )
            continue
        mean, half = factor * value["mean"], factor * (value["half_width"] or 0.0)
        hollow = "white" if law.tied else colour
        ax.errorbar(
            mean,
            place,
            xerr=[[_below(ax, mean, half)], [half]],
            color=colour,
            marker=marker,
            markersize=5,
            markerfacecolor=hollow,
            capsize=2,
            linewidth=1.2,
        )
    ax.set_yticks(range(len(names)), labels)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(axis="x", color="#eeeeee")
    ax.set_axisbelow(True)


def _union(lists: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Every candidate once, in the order of the study."""
    order = [one.name for one in CANDIDATES]
    found = {row["name"]: row for rows in lists for row in rows}
    return [found[name] for name in order if name in found]


def _below(ax: Any, mean: float, half: float) -> float:
    """The interval's lower arm, cut where a positive figure would reach zero."""
    return min(half, 0.98 * mean) if mean > 0 else half


def _plain_ticks(ax: Any) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    ax.set_xlim(4.0, 130.0)
    ax.set_xticks([5, 10, 20, 50, 100])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _grid(lines: int, columns: int, rows: int) -> tuple[Any, Any]:
    import matplotlib.pyplot as plt

    height = lines * (0.9 + 0.19 * rows)
    size = (1.7 + 3.4 * columns, height)
    # Rows are the same candidates in every panel of a line: named once.
    return plt.subplots(lines, columns, figsize=size, squeeze=False, sharey="row", layout="constrained")


def _same_limits(line: Any) -> None:
    limits: list[Callable[[], tuple[float, float]]] = [ax.get_xlim for ax in line]
    low, high = min(limit()[0] for limit in limits), max(limit()[1] for limit in limits)
    for ax in line:
        ax.set_xlim(low, high)


def _save(figure: Any, file: Path, note: str) -> Path:
    import matplotlib.pyplot as plt
    from PIL import Image

    figure.supxlabel(note, fontsize=8.5)
    # A palette instead of full colour: a third of the size.
    figure.savefig(file, dpi=110)
    plt.close(figure)
    with Image.open(file) as picture:
        picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(file, optimize=True)
    return file
