"""Draws of a selection as ArviZ data."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from l0bayes.estimators.noise_and_fit import learned_draws
from l0bayes.estimators.original_scale import Draws, OriginalScalePosterior
from l0bayes.posterior.arviz_data import wrap_groups

__all__ = ["inference_data"]

_FEWEST_CHAINS = 4


def inference_data(original: OriginalScalePosterior, y: Tensor | None, attributes: dict[str, Any]) -> Any:
    """The posterior with names, wrapped for ArviZ.

    ====================  ==========================================================================
    group                 content
    ====================  ==========================================================================
    ``posterior``         ``beta`` (with exact zeros), ``gate``, ``intercept``, ``noise_scale``; what the
                          likelihood learns, such as ``dispersion``
    ``observed_data``     ``y``
    ``constant_data``     ``pip`` and ``prior_inclusion`` of every gate, ``group`` of every feature
    ====================  ==========================================================================

    Draws of a sampler of many short chains are pooled into four chains of equal length, each of chains of
    its own, so that R-hat still compares what ran apart; inside a chain the order is random.

    Args:
        original: The posterior on the user's scale.
        y: Response; ``None`` where its rows are not known.
        attributes: Attributes of the data.

    Returns:
        ``arviz.InferenceData`` with ArviZ 0.x, ``xarray.DataTree`` with 1.x.
    """
    import xarray as xr

    draws = original.draws
    chains, length = _shape(draws)
    kept = chains * length

    def of(values: Tensor) -> Any:
        return values[:kept].reshape(chains, length, *values.shape[1:]).numpy()

    coords = {
        "chain": np.arange(chains),
        "draw": np.arange(length),
        "feature": original.names,
        "group": original.gate_names,
    }
    variables: dict[str, Any] = {
        # Adding 0 turns -0.0 into 0.0.
        "beta": (("chain", "draw", "feature"), of(draws.beta) + 0.0),
        "gate": (("chain", "draw", "group"), of(draws.gates)),
    }
    if original.posterior.problem.num_unpenalised:
        variables["intercept"] = (("chain", "draw"), of(draws.intercept))
    if original.gaussian:
        variables["noise_scale"] = (("chain", "draw"), of(draws.noise_scale))
    for name, values in learned_draws(original).items():
        variables[name] = (("chain", "draw"), of(values))
    groups = {
        "posterior": xr.Dataset(variables, coords, attributes),
        "constant_data": xr.Dataset(
            {
                "pip": (("group",), original.pip.numpy()),
                "prior_inclusion": (("group",), original.prior.numpy()),
                "group_of_feature": (("feature",), original.groups.numpy()),
            },
            {"group": original.gate_names, "feature": original.names},
            attributes,
        ),
    }
    if y is not None:
        groups["observed_data"] = xr.Dataset({"y": (("observation",), y.numpy())}, attrs=attributes)
    return wrap_groups(groups, attributes)


def _shape(draws: Draws) -> tuple[int, int]:
    """Number and length of the chains."""
    counts = torch.unique_consecutive(draws.chains, return_counts=True)[1]
    if len(counts) == 1 or bool((counts == counts[0]).all()):
        return len(counts), int(counts[0])
    chains = min(_FEWEST_CHAINS, len(counts))
    return chains, len(draws.chains) // chains
