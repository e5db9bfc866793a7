r"""From a fit to ArviZ: plain xarray datasets with names, wrapped last."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

import l0bayes.posterior.sampling as sampling
from l0bayes import validate
from l0bayes.infer.loop.fit_result import Fit
from l0bayes.infer.loop.restart_agreement import RestartWarning, disagreement_of_restarts
from l0bayes.infer.model_abilities import ModelAbilities
from l0bayes.infer.objectives.model_reading import ModelReading
from l0bayes.posterior.arviz_data import wrap_groups
from l0bayes.posterior.constant_data import constant_data
from l0bayes.posterior.model_sites import ModelSites
from l0bayes.posterior.sampling import Predictions
from l0bayes.posterior.variable_names import VariableNames
from l0bayes.user_warnings import warn_user

__all__ = ["Group", "to_arviz"]

Group = Literal[
    "posterior",
    "posterior_predictive",
    "log_likelihood",
    "observed_data",
    "constant_data",
    "sample_stats",
]
"""The groups of :func:`to_arviz`."""

_MAX_ELEMENTS = 20_000
_PREDICTIONS: dict[Predictions, str] = {
    "free": "free running, not one step ahead: every response is drawn given those drawn before it",
    "one_step": "one step ahead: every response is drawn given the observed ones before it",
}


def to_arviz(
    fit: Fit,
    data: Any = None,
    *,
    kwargs: Mapping[str, Any] | None = None,
    num_draws: int = 1000,
    seed: int = 0,
    coords: Mapping[str, Sequence[Any]] | None = None,
    dims: Mapping[str, Sequence[str]] | None = None,
    var_names: Sequence[str] | None = None,
    chunk_size: int | None = 100,
    groups: Sequence[Group] | None = None,
    restarts: Literal["all", "best"] = "all",
    predictions: Predictions = "free",
) -> Any:
    """Everything known of a fit as ArviZ data, one chain a restart.

    ========================  ======================================================================
    group                     content
    ========================  ======================================================================
    ``posterior``             gates (with exact zeros), slabs, effective weights, other latents
    ``posterior_predictive``  new data, where the likelihood can be drawn from (Cox's cannot)
    ``log_likelihood``        of every observation, for ``az.loo``
    ``observed_data``         the data
    ``constant_data``         analytic PIP, P(z = 1) and prior inclusion of every gate, ELBO a chain; in a fit
                              with ``shrink`` the step at which a gate was decided and its PIP before
    ``sample_stats``          ``log_p`` and ``log_q`` of the hardened draws
    ========================  ======================================================================

    Attributes say which objective was trained, whether it is a bound, relaxation, slab family,
    versions and seeds. One chain a restart makes R-hat ask whether restarts agree. Density plots
    smear the atoms of gates; use bars or the gate table for them. Whatever pools chains (``az.loo``,
    ``az.compare``, ``az.summary``) is of the mixture of all restarts, the bad ones among them:
    ``restarts="best"`` keeps the one with the highest ELBO.

    Dimensions that a plate made have its name. What the model masks is no observation: its rows are left out,
    and those that stay have a dimension of their own, with their places as coordinates. A site whose name
    ArviZ or a file does not take has another (``mean/beta`` is ``mean.beta``, ``draw`` is ``draw_``); the
    attribute ``site_names`` says of which variable.

    Args:
        fit: What :func:`l0bayes.fit` returned, or ``Fit.of(model, guide, data)``.
        data: The model's positional arguments, all data; default: what was fitted, which must then be a
            tuple.
        kwargs: Its keyword arguments; default: those of the fit.
        num_draws: Draws a chain.
        seed: Seed of the draws.
        coords: Coordinate values by dimension name; added to those of the model (``model.coords``).
        dims: Dimension names by variable name (without chain and draw). Those of an effective weight
            hold for its slab, and for its gate where the shapes agree.
        var_names: Sites to keep in ``posterior``; default all of at most 20,000 elements. The
            attribute ``left_out`` names the others.
        chunk_size: Draws computed at a time, to bound memory; ``None`` for all.
        groups: Which of the groups are wanted; default all of them. Without ``sample_stats``, whose densities
            are of all data, ``data`` may be a part of the rows of a plate.
        restarts: ``"all"``, a chain each, or ``"best"``, the one with the highest ELBO alone.
        predictions: How a response is drawn that depends on others, in a time series say: ``"free"``, given
            the others as they were drawn, so that the predictions run on by themselves, as those of Pyro's
            ``Predictive`` do; or ``"one_step"``, given the others as they were observed, one step ahead of
            the data. Responses that do not depend on one another are the same either way.

    Returns:
        ``arviz.InferenceData`` with ArviZ 0.x, ``xarray.DataTree`` with 1.x.

    Raises:
        ValueError: If ``data`` is needed and not given or a plate holds a part of it, a name is unknown, or
            dimensions do not match.
        TypeError: If ``data`` is a loader.

    Warns:
        RestartWarning: If restarts do not agree and all of them are taken.
    """
    validate.one_of(("all", "best"), restarts=restarts)
    validate.one_of(get_args(Predictions), predictions=predictions)
    for group in groups or ():
        validate.one_of(get_args(Group), groups=group)
    whole = groups is None or "sample_stats" in groups
    if data is None and not isinstance(fit.data, tuple | Tensor):
        raise ValueError("the fit ran on a loader; give all data as data=(x, y)")
    arguments = fit.arguments(data, kwargs)
    if restarts == "best":
        fit = replace(fit, restarts=[fit.best])
    elif (differ := disagreement_of_restarts(fit.restarts)) is not None:
        warn_user(
            f"of the {len(fit.restarts)} restarts, {differ}; what averages over chains, such as az.loo, "
            "az.compare and az.summary, is of all of them together. restarts='best' keeps the best",
            RestartWarning,
        )
    readings = [
        ModelReading.of(run.model, run.guide, arguments, run.parameters, whole=whole) for run in fit.restarts
    ]
    best = next(reading for reading, run in zip(readings, fit.restarts, strict=True) if run is fit.best)
    trace = best.traces()[0]
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
            reading,
            num_draws=num_draws,
            seed=seed + index,
            keep=keep,
            chunk_size=chunk_size,
            predictions=predictions,
            densities=whole,
        )
        for index, reading in enumerate(readings)
    ]
    names.rows = _partial_rows(chains)
    found = {
        "posterior": names.dataset(
            {**_stack(chains, "latent"), **_stack(chains, "weight")}, leading=("chain", "draw")
        ),
        "posterior_predictive": names.dataset(_stack(chains, "predictive"), leading=("chain", "draw")),
        "log_likelihood": names.dataset(
            _stack(chains, "log_likelihood"), leading=("chain", "draw"), likelihood=True
        ),
        "observed_data": names.dataset(sites.observed, leading=()),
        "constant_data": constant_data(fit, best, names, trace),
        "sample_stats": names.dataset(
            {name: np.stack([getattr(c, name).cpu().numpy() for c in chains]) for name in ("log_p", "log_q")},
            leading=("chain", "draw"),
        ),
    }
    attributes = _attributes(fit, seed, left_out)
    attributes["site_names"] = json.dumps({v: site for site, v in names.variables.items() if v != site})
    for dataset in found.values():
        dataset.attrs.update(attributes)
    found["posterior_predictive"].attrs["predictions"] = _PREDICTIONS[predictions]
    wanted = get_args(Group) if groups is None else groups
    return wrap_groups({name: found[name] for name in wanted if found[name].data_vars}, attributes)


def _partial_rows(chains: list[sampling.Draws]) -> dict[str, Any]:
    """The rows of observed sites that count, where not all do, and the same ones in every draw."""
    found = {}
    for name, first in chains[0].counted.items():
        rows = first[0]
        same = all(bool((chain.counted[name] == rows).all()) for chain in chains)
        if same and not bool(rows.all()):
            found[name] = rows.cpu().numpy()
    return found


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
