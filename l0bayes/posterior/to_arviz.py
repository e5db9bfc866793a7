r"""From a fit to ArviZ: plain xarray datasets with names, wrapped last."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pyro
import torch
from pyro import poutine
from torch import Tensor

import l0bayes.posterior.sampling as sampling
from l0bayes.infer.loop.fit_result import Fit, Restart
from l0bayes.infer.objectives.gate_parts import gate_laws
from l0bayes.infer.objectives.latent_draws import Given
from l0bayes.infer.randomness import private_randomness
from l0bayes.posterior.arviz_data import wrap_groups
from l0bayes.sites import site_kind, slab_record

if TYPE_CHECKING:
    import xarray as xr

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
        coords: Coordinate values by dimension name; added to those the model knows (``model.coords``).
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
    trace = _one_trace(fit.best, arguments)
    latents, weights, observed = _site_shapes(trace)
    sizes = {name: int(np.prod(shape)) for name, shape in {**latents, **weights}.items()}
    unknown = sorted(set(var_names or ()) - set(sizes))
    if unknown:
        raise ValueError(f"var_names {unknown} are no sites of the model; its sites are {sorted(sizes)}")
    keep = (
        set(var_names) if var_names is not None else {n for n, size in sizes.items() if size <= _MAX_ELEMENTS}
    )
    left_out = sorted(set(sizes) - keep)
    names = _Names(fit.best.model, coords, dims, trace)
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
        "observed_data": names.dataset(observed, leading=()),
        "constant_data": _constant_data(fit, arguments, names, trace),
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


def _one_trace(run: Restart, arguments: tuple[Any, ...]) -> Any:
    with torch.no_grad(), private_randomness(), poutine.block(), pyro.get_param_store().scope():
        guide_trace = poutine.trace(run.guide).get_trace(*arguments)
        with Given.sampled_in(guide_trace):
            return poutine.trace(run.model).get_trace(*arguments)


def _site_shapes(trace: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    latents: dict[str, Any] = {}
    weights: dict[str, Any] = {}
    observed: dict[str, Any] = {}
    for name, site in trace.nodes.items():
        kind = site_kind(site)
        if kind == "deterministic":
            weights[name] = site["value"].shape
        elif kind == "observed":
            observed[name] = site["value"].detach().cpu().numpy()
        elif kind == "latent":
            latents[name] = site["value"].shape
    return latents, weights, observed


def _stack(chains: list[sampling.Draws], group: str) -> dict[str, Any]:
    first: dict[str, Tensor] = getattr(chains[0], group)
    # Adding 0 turns the -0.0 of a shut gate times a negative slab into 0.0.
    return {name: np.stack([getattr(c, group)[name].cpu().numpy() + 0 for c in chains]) for name in first}


class _Names:
    """Dimension names and coordinates of every variable."""

    def __init__(
        self,
        model: Any,
        coords: Mapping[str, Sequence[Any]] | None,
        dims: Mapping[str, Sequence[str]] | None,
        trace: Any,
    ) -> None:
        self.coords = {**getattr(model, "coords", {}), **(coords or {})}
        self.dims = {
            name: tuple(names) for name, names in {**getattr(model, "dims", {}), **(dims or {})}.items()
        }
        unknown = sorted(name for name in dims or {} if name not in trace.nodes)
        if unknown:
            raise ValueError(f"dims names {unknown}, which are no sites of the model")
        for name, site in trace.nodes.items():
            record = slab_record(site) if site["type"] == "sample" else None
            if record is None:
                continue
            shape = tuple(site["value"].shape)
            shared = self.dims.get(record.weight, _numbered(record.weight, shape))
            self.dims.setdefault(record.weight, shared)
            self.dims.setdefault(name, shared)
            for link in record.gates:
                if tuple(trace.nodes[link.site]["value"].shape) == shape:
                    self.dims.setdefault(link.site, shared)
        known = {
            dim for name, site in trace.nodes.items() if "value" in site for dim in self._dims(name, site)
        }
        unknown = sorted(set(coords or ()) - known)
        if unknown:
            raise ValueError(f"coords names {unknown}, which no variable has; there are {sorted(known)}")

    def _dims(self, name: str, site: Any) -> tuple[str, ...]:
        if site["type"] != "sample" or poutine.util.site_is_subsample(site):
            return ()
        return self.dims.get(name, _numbered(name, site["value"].shape))

    def of(self, name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
        """Dimension names of a variable of this shape."""
        names = self.dims.get(name, _numbered(name, shape))
        if len(names) != len(shape):
            raise ValueError(f"dims of {name!r} are {names}, but its shape is {shape}")
        for dim, size in zip(names, shape, strict=True):
            if dim in self.coords and len(self.coords[dim]) != size:
                raise ValueError(
                    f"coords of {dim!r} hold {len(self.coords[dim])} values, but {name!r} has {size} there"
                )
        return names

    def dataset(
        self, values: Mapping[str, Any], leading: tuple[str, ...], *, likelihood: bool = False
    ) -> xr.Dataset:
        """Arrays with ``leading`` dimensions as a dataset."""
        import xarray as xr

        variables: dict[str, Any] = {}
        used: set[str] = set()
        for name, value in values.items():
            array = np.asarray(value)
            shape = array.shape[len(leading) :]
            # An observation with event dimensions has one log likelihood for all of them.
            own = self.dims.get(name)
            if likelihood and own is not None and len(own) > len(shape):
                dims = own[: len(shape)]
            else:
                dims = self.of(name, shape)
            variables[name] = ((*leading, *dims), array)
            used.update((*leading, *dims))
        coords = {dim: list(values) for dim, values in self.coords.items() if dim in used}
        sizes = {d: n for dims, array in variables.values() for d, n in zip(dims, array.shape, strict=True)}
        return xr.Dataset(variables, {**{d: np.arange(sizes[d]) for d in used}, **coords})


def _numbered(name: str, shape: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"{name}_dim_{i}" for i in range(len(shape)))


def _constant_data(fit: Fit, arguments: tuple[Any, ...], names: _Names, trace: Any) -> xr.Dataset:
    import xarray as xr

    if not gate_laws(fit.guide):
        return xr.Dataset()
    prior = sampling.prior_inclusion(fit.model, arguments)
    per_chain: dict[str, Any] = {"elbo": np.array([run.elbo for run in fit.restarts])}
    fixed: dict[str, Any] = {}
    links: dict[str, list[str]] = {}
    with torch.no_grad():
        laws = [gate_laws(run.guide) for run in fit.restarts]
        for name in laws[0]:
            dims = names.of(name, tuple(laws[0][name].batch_shape))
            for quantity in ("pip", "prob_one"):
                names.dims[f"{name}.{quantity}"] = dims
            names.dims[f"{name}.prior"] = dims
            per_chain[f"{name}.pip"] = np.stack([law[name].prob_active.cpu().numpy() for law in laws])
            per_chain[f"{name}.prob_one"] = np.stack([law[name].prob_one.cpu().numpy() for law in laws])
            fixed[f"{name}.prior"] = prior[name].cpu().numpy()
    for site in trace.nodes.values():
        record = slab_record(site) if site["type"] == "sample" else None
        if record is None or record.weight not in trace.nodes:
            continue  # no slab, or one whose effective weight is no site
        links[record.weight] = [link.site for link in record.gates]
        if len(record.gates) == 1 and record.gates[0].groups is not None:
            fixed[f"{record.weight}.group"] = record.gates[0].groups.cpu().numpy()
            names.dims[f"{record.weight}.group"] = names.dims[record.weight]
    dataset = names.dataset(per_chain, leading=("chain",)).merge(names.dataset(fixed, leading=()))
    dataset.attrs["gates_of_weights"] = json.dumps(links)
    dataset.attrs["activity_thresholds"] = json.dumps(
        {n: law.activity_threshold for n, law in laws[0].items()}
    )
    return dataset


def _attributes(fit: Fit, seed: int, left_out: list[str]) -> dict[str, Any]:
    import arviz

    cost = getattr(fit.model, "cost_summary", None)  # of models that know what they cost
    return {
        **({} if cost is None else cost(fit.guide)),
        "inference_library": "l0bayes",
        "inference_library_version": version("l0bayes"),
        "pyro_version": str(fit.config.get("pyro", "")),
        "torch_version": str(torch.__version__),
        "arviz_version": arviz.__version__,
        "objective": fit.objective.name,
        "is_bound": int(fit.objective.is_bound),  # NetCDF knows no booleans
        "objective_note": fit.objective.note,
        "relaxation": fit.objective.relaxation,
        "slab": fit.objective.slab,
        "seed": int(fit.config.get("seed", 0)),
        "draws_seed": seed,
        "config": json.dumps(fit.config),
        "left_out": json.dumps(left_out),
    }
