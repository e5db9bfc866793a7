r"""The deployed network beside its rivals, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BASELINES", "baseline_table"]

BASELINES = {
    "dense": "dense, from scratch",
    "scratch": "deployed architecture, from scratch",
    "thin": "thinned alike, from scratch",
    "deployed": "deployed",
}
"""The networks that are compared, by the names that files use, and in words."""


def baseline_table(rows: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """The deployed network beside its rivals, a row each.

    Args:
        rows: From :func:`~l0bayes.apps.train.baselines.compare_baselines`.
    """
    import pandas as pd

    found = {}
    for name, words in BASELINES.items():
        if (one := rows.get(name)) is None:
            continue
        row = {f"{part} error %": 100.0 * (1.0 - s["accuracy"]) for part, s in one["scores"].items()}
        row |= {"MACs": one["macs"], "parameters": one["parameters"], "not 0": one["nonzero"]}
        row["training, s"] = float("nan") if one["seconds"] is None else one["seconds"]
        for size, taken in one["latency_ms"].items():
            row[f"ms at batch {size}"] = float("nan") if taken is None else taken
        found[words] = row
    return pd.DataFrame(found).T.rename_axis("network")
