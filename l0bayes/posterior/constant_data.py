r"""The group ``constant_data`` of ArviZ data: numbers of a fit that have no draws."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from l0bayes.infer.loop.fit_result import Fit
from l0bayes.infer.objectives.gate_parts import gate_laws
from l0bayes.infer.objectives.model_reading import ModelReading
from l0bayes.posterior.sampling import prior_inclusion
from l0bayes.posterior.variable_names import VariableNames
from l0bayes.sites import slab_links

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["constant_data"]


def constant_data(fit: Fit, reading: ModelReading, names: VariableNames, trace: Any) -> xr.Dataset:
    """Inclusion probabilities, analytic and prior, and the ELBO of every chain; empty without gates.

    Args:
        fit: The fit.
        reading: The model and the guide of the best run at all data.
        names: Dimensions and coordinates; the variables of this group are added to them.
        trace: One run of the model.
    """
    import xarray as xr

    if not gate_laws(fit.guide):
        return xr.Dataset()
    prior = prior_inclusion(reading)
    per_chain: dict[str, Any] = {"elbo": np.array([run.elbo for run in fit.restarts])}
    fixed: dict[str, Any] = {}
    links: dict[str, list[str]] = {}
    with torch.no_grad():
        laws = [gate_laws(run.guide) for run in fit.restarts]
        for name in laws[0]:
            dims, variable = names.of(name, tuple(laws[0][name].batch_shape)), names.variable(name)
            for quantity in ("pip", "prob_one", "prior"):
                names.dims[f"{variable}.{quantity}"] = dims
            per_chain[f"{variable}.pip"] = np.stack([law[name].prob_active.cpu().numpy() for law in laws])
            per_chain[f"{variable}.prob_one"] = np.stack([law[name].prob_one.cpu().numpy() for law in laws])
            fixed[f"{variable}.prior"] = prior[name].cpu().numpy()
            if len(fit.restarts) == 1 and (decision := fit.decision) is not None:
                at, before = f"{variable}.decided_at", f"{variable}.pip_before"
                names.dims[at] = names.dims[before] = dims
                fixed[at] = decision.steps[name].cpu().numpy()
                fixed[before] = decision.probabilities[name].cpu().numpy()
    for slab in slab_links(trace.nodes).values():
        if slab.weight not in trace.nodes:
            continue
        weight = names.variable(slab.weight)
        links[weight] = [names.variable(link.site) for link in slab.gates]
        if len(slab.gates) == 1 and slab.gates[0].groups is not None:
            fixed[f"{weight}.group"] = slab.gates[0].groups.cpu().numpy()
            names.dims[f"{weight}.group"] = names.dims[slab.weight]
    dataset = names.dataset(per_chain, leading=("chain",)).merge(names.dataset(fixed, leading=()))
    dataset.attrs["gates_of_weights"] = json.dumps(links)
    dataset.attrs["activity_thresholds"] = json.dumps(
        {names.variable(name): law.activity_threshold for name, law in laws[0].items()}
    )
    return dataset
