r"""From a fit to ArviZ: plain xarray datasets with names, wrapped last."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

import l0bayes.posterior.sampling as sampling
from l0bayes.infer.loop.fit_result import Fit
from l0bayes.infer.model_abilities import ModelAbilities
from l0bayes.posterior.arviz_data import wrap_groups
from l0bayes.posterior.constant_data import constant_data
from l0bayes.posterior.model_sites import ModelSites, model_trace
from l0bayes.posterior.variable_names import VariableNames

__all__ = ["to_arviz"]

_MAX_ELEMENTS = 20_000


def to_arviz(
    fit: Fit,
    data: Any = None,
    *,
    num_draws: int = 1000,
    seed: int = 0,
    coords: Mapping[str, Sequence[Any]] | None = None,
    dims: Mapping[str, Sequence[str]] | None = None,
    var_names: Sequence[str] | None = None,
    chunk_size: int | None = 100,
) -> Any:
    """Everything known of a fit as ArviZ data, one chain a restart.

    ========================  ======================================================================
    group                     content
    ========================  ======================================================================
    ``posterior``             gates (with exact zeros), slabs, effective weights, other latents
    ``posterior_predictive``  new data, where the likelihood can be drawn from (Cox's cannot)
    ``log_likelihood``        of every observation, for ``az.loo``
    ``observed_data``         the data
    ``constant_data``         analytic PIP, P(z = 1) and prior inclusion of every gate, ELBO a chain
    ``sample_stats``          ``log_p`` and ``log_q`` of the hardened draws
    ========================  ======================================================================

    Attributes say which objective was trained, whether it is a bound, relaxation, slab family,
    versions and seeds. One chain a restart makes R-hat ask whether restarts agree. Density plots
    smear the atoms of gates; use bars or the gate table for them.

    Args:
        fit: What :func:`l0bayes.fit` returned, or ``Fit.of(model, guide, data)``.
        data: The model's arguments, all data; default: what was fitted, which must then be a tuple.
        num_draws: Draws a chain.
        seed: Seed of the draws.
        coords: Coordinate values by dimension name; added to those of the model (``model.coords``).
        dims: Dimension names by variable name (without chain and draw). Those of an effective weight
            hold for its slab, and for its gate where the shapes agree.
        var_names: Sites to keep in ``posterior``; default all of at most 20,000 elements. The
            attribute ``left_out`` names the others.
        chunk_size: Draws computed at a time, to bound memory; ``None`` for all.

    Returns:
        ``arviz.InferenceData`` with ArviZ 0.x, ``xarray.DataTree`` with 1.x.

    Raises:
        ValueError: If ``data`` is needed and not given, a name is unknown, or dimensions do not match.
        TypeError: If ``data`` is a loader.
    """
    arguments = _arguments(fit, data)
    trace = model_trace(fit.best, arguments)
    sites = ModelSites.of(trace)
    sizes = {name: shape.numel() for name, shape in {**sites.latents, **sites.weights}.items()}
    unknown = sorted(set(var_names or ()) - set(sizes))
    if unknown:
        raise ValueError(f"var_names {unknown} are no sites of the model; its sites are {sorted(sizes)}")
    keep = (
        set(var_names) if var_names is not None else {n for n, size in sizes.items() if size <= _MAX_ELEMENTS}
    )
    left_out = sorted(set(sizes) - keep)
    names = VariableNames(fit.best.model, coords, dims, trace)
    chains = [
        sampling.draw_posterior(
            run.model,
            run.guide,
            arguments,
            num_draws=num_draws,
            seed=seed + index,
            keep=keep,
            chunk_size=chunk_size,
        )
        for index, run in enumerate(fit.restarts)
    ]
    groups = {
        "posterior": names.dataset(
            {**_stack(chains, "latent"), **_stack(chains, "weight")}, leading=("chain", "draw")
        ),
        "posterior_predictive": names.dataset(_stack(chains, "predictive"), leading=("chain", "draw")),
        "log_likelihood": names.dataset(
            _stack(chains, "log_likelihood"), leading=("chain", "draw"), likelihood=True
        ),
        "observed_data": names.dataset(sites.observed, leading=()),
        "constant_data": constant_data(fit, arguments, names, trace),
        "sample_stats": names.dataset(
            {name: np.stack([getattr(c, name).cpu().numpy() for c in chains]) for name in ("log_p", "log_q")},
            leading=("chain", "draw"),
        ),
    }
    attributes = _attributes(fit, seed, left_out)
    for dataset in groups.values():
        dataset.attrs.update(attributes)
    return wrap_groups({name: ds for name, ds in groups.items() if ds.data_vars}, attributes)


def _arguments(fit: Fit, data: Any) -> tuple[Any, ...]:
    if data is None:
        if not isinstance(fit.data, tuple | Tensor):
            raise ValueError("the fit ran on a loader; give all data as data=(x, y)")
        data = fit.data
    if not isinstance(data, tuple | Tensor):
        raise TypeError(
            f"data must be a tuple of all the model's arguments, or a tensor; got {type(data).__name__}"
        )
    return data if isinstance(data, tuple) else (data,)


def _stack(chains: list[sampling.Draws], group: str) -> dict[str, Any]:
    first: dict[str, Tensor] = getattr(chains[0], group)
    # Adding 0 turns the -0.0 of a shut gate times a negative slab into 0.0.
    return {name: np.stack([getattr(c, group)[name].cpu().numpy() + 0 for c in chains]) for name in first}


def _attributes(fit: Fit, seed: int, left_out: list[str]) -> dict[str, Any]:
    import arviz

    summary = ModelAbilities(fit.model).cost_summary
    return {
        **({} if summary is None else summary(fit.guide)),
        "inference_library": "l0bayes",
        "inference_library_version": version("l0bayes"),
        "pyro_version": str(fit.config.get("pyro", "")),
        "torch_version": str(torch.__version__),
        "arviz_version": arviz.__version__,
        "objective": fit.objective.name,
        "is_bound": int(fit.objective.is_bound),  # NetCDF has no booleans
        "objective_note": fit.objective.note,
        "relaxation": fit.objective.relaxation,
        "slab": fit.objective.slab,
        "seed": int(fit.config.get("seed", 0)),
        "draws_seed": seed,
        "config": json.dumps(fit.config),
        "left_out": json.dumps(left_out),
    }
