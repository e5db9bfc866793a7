"""What tests ask of ArviZ and 0.x and 1.x spell differently, with the same meaning on both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import arviz as az
import numpy as np

from l0bayes.posterior.arviz_data import arviz_major, group_of, wrap_groups

__all__ = [
    "elpd_loo",
    "forest_labels",
    "from_groups",
    "group_names",
    "hdi",
    "native_type",
    "psis",
    "with_variable",
]


def native_type() -> type:
    """What ArviZ of this version keeps its data in."""
    if arviz_major() < 1:
        return az.InferenceData
    import xarray as xr

    return xr.DataTree


def group_names(data: Any) -> set[str]:
    return set(data.groups()) if arviz_major() < 1 else set(data.children)


def from_groups(**groups: Mapping[str, Any]) -> Any:
    """ArviZ's own ``from_dict``."""
    return az.from_dict(**groups) if arviz_major() < 1 else az.from_dict(groups)


def with_variable(data: Any, group: str, name: str, value: Any) -> Any:
    """A copy in which one variable of one group is another."""
    groups = {one: group_of(data, one) for one in group_names(data)}
    return wrap_groups({**groups, group: groups[group].assign({name: value})}, data.attrs)


def psis(log_ratios: Any) -> tuple[Any, float]:
    """Smoothed log weights and k-hat.

    1.x takes log likelihoods of left-out points, of opposite sign, and rounds the length of the tail down,
    where 0.x, loo and the paper round it up; an r_eff just below 1 gives it the same tail.
    """
    ratios = np.asarray(log_ratios)
    if arviz_major() < 1:
        weights, k = az.psislw(ratios)
    else:
        import xarray as xr

        count = len(ratios)
        tail = np.ceil(min(count / 5.0, 3.0 * np.sqrt(count)))
        r_eff = 9.0 * count / (tail + 0.5) ** 2 if count > 225 else 1.0
        weights, k = xr.DataArray(-ratios, dims=["sample"]).azstats.psislw(dim="sample", r_eff=r_eff)
    return np.asarray(weights), float(k)


def hdi(draws: Any, prob: float) -> Any:
    """Ends of the narrowest interval of each column; draws are rows."""
    if arviz_major() < 1:
        return az.hdi(np.asarray(draws)[None], hdi_prob=prob)
    return az.hdi(np.asarray(draws), prob=prob, axis=0)


def elpd_loo(data: Any) -> float:
    """Expected log predictive density by leaving one out."""
    found: Any = az.loo(data)
    return float(found.elpd_loo if arviz_major() < 1 else found.elpd)


def forest_labels(data: Any, **options: Any) -> list[str]:
    """What stands beside the lines of a forest plot, drawn by Matplotlib."""
    if arviz_major() < 1:
        (axes,) = az.plot_forest(data, combined=True, **options)
        return [label.get_text() for label in axes.get_yticklabels()]
    plotted = az.plot_forest(data, combined=True, backend="matplotlib", **options)
    figure = plotted.viz["figure"].item()
    return [text.get_text() for axes in figure.axes for text in [*axes.texts, *axes.get_yticklabels()]]
