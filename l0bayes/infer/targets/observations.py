r"""How many observations a log likelihood sums over."""

from __future__ import annotations

from l0bayes.infer.objectives.pair_traces import PairTraces
from l0bayes.infer.objectives.site_densities import counted_rows

__all__ = ["num_observations"]


def num_observations(traces: PairTraces) -> float:
    """Number of observations that the log likelihood sums over, scales of subsampling included.

    Args:
        traces: One run of guide and model.
    """
    total = 0.0
    for site in traces.model.nodes.values():
        if site["type"] == "sample" and site["is_observed"] and not site["infer"].get("_deterministic"):
            total += float((counted_rows(site) * site["scale"]).sum())
    return total
