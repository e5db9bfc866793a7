r"""Discrete latents that are summed over, as Pyro's ``TraceEnum_ELBO`` does, instead of being drawn.

A latent that is marked with ``infer={"enumerate": "parallel"}`` (or by ``config_enumerate``) and that the
guide does not draw is given all its values at once, each along a dimension of its own to the left of all
plates. What depends on it is summed over them, within plates and along Markov chains,

.. math:: \log \sum_k p(k \mid z, \theta)\, p(D \mid k, z, \theta),

and stands in the trace as one factor, so that whatever reads traces has nothing to know of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from pyro.distributions import Unit
from pyro.distributions.torch_distribution import TorchDistributionMixin
from pyro.ops import packed
from pyro.ops.contract import contract_tensor_tree
from pyro.poutine.enum_messenger import EnumMessenger
from pyro.poutine.util import prune_subsample_sites, site_is_subsample
from torch import Tensor

from l0bayes.infer.objectives.log_sums import LogSums, dims_of
from l0bayes.infer.objectives.site_densities import unscaled_log_density

__all__ = [
    "MARGINAL",
    "BatchedEnumeration",
    "enumerated_in",
    "first_free_dim",
    "is_enumerated",
    "row_likelihoods",
    "run_enumerated",
    "summed_out",
]

MARGINAL = "l0bayes_marginal"
"""Name of the factor that holds what was summed over."""


class BatchedEnumeration(EnumMessenger):
    """Pyro's effect handler, which also works on values that are given, in Markov chains too, and on values
    that ``torch.vmap`` batches."""

    def _pyro_sample(self, msg: Any) -> None:
        # Pyro's own passes over values that are given, and misses them later on in a chain.
        known: Any = {**msg, "done": False, "is_observed": True}
        super()._pyro_sample(known if msg["done"] else msg)

    def _pyro_post_sample(self, msg: Any) -> None:
        value = msg["value"]
        if value is None or not isinstance(msg["fn"], TorchDistributionMixin):
            return
        shape = value.shape[: value.dim() - msg["fn"].event_dim]
        dims = msg["infer"].setdefault("_dim_to_id", {})
        dims.update(self._param_dims.get(msg["name"], {}))
        self._value_dims[msg["name"]] = {
            dim: one for dim, one in dims.items() if len(shape) >= -dim and shape[dim] > 1
        }


def is_enumerated(site: Any) -> bool:
    """Whether a site is marked to be summed over.

    Args:
        site: A latent site of a trace.
    """
    return site["infer"].get("enumerate") == "parallel" and bool(site["fn"].has_enumerate_support)


def enumerated_in(model_trace: Any, drawn: Iterable[str]) -> list[str]:
    """Names of the latents of a model that are to be summed over.

    Args:
        model_trace: A trace of the model.
        drawn: Names of the sites that the guide draws.
    """
    known = set(drawn)
    return [
        name
        for name, site in model_trace.nodes.items()
        if site["type"] == "sample"
        and not site["is_observed"]
        and not site_is_subsample(site)
        and name not in known
        and is_enumerated(site)
    ]


def first_free_dim(*traces: Any) -> int:
    """The dimension to the left of all plates of some traces.

    Args:
        *traces: Traces of a model and its guide.
    """
    frames = [
        frame
        for trace in traces
        for site in trace.nodes.values()
        if site["type"] == "sample"
        for frame in site["cond_indep_stack"]
        if frame.vectorized
    ]
    leftmost: int = min([0, *(frame.dim for frame in frames)])
    return leftmost - 1


def run_enumerated(run: Callable[[], Any], first_dim: int) -> Any:
    """A trace of a model in which the marked latents are summed over.

    Args:
        run: Traces the model at the guide's draw.
        first_dim: The first dimension that is free for enumeration; see :func:`first_free_dim`.

    Raises:
        ValueError: If what is summed over has more than one scale, or decides on the prior of a latent that
            is drawn.
    """
    with BatchedEnumeration(first_available_dim=first_dim):
        trace = run()
    return summed_out(prune_subsample_sites(trace))


def summed_out(trace: Any) -> Any:
    """A trace without the latents that were enumerated in it, and with a factor for all that depends on them.

    Observed sites that depend on them stay, masked.

    Args:
        trace: A trace of the model, run under ``EnumMessenger``, without the subsamples of plates.

    Raises:
        ValueError: If what is summed over has more than one scale, or decides on the prior of a latent that
            is drawn.
    """
    if not any(_enum_dim(site) is not None for site in trace.nodes.values()):
        return trace
    trace.symbolize_dims()
    samples = {name: site for name, site in trace.nodes.items() if site["type"] == "sample"}
    enumerated = {name for name, site in samples.items() if _enum_dim(site) is not None}
    factors: dict[str, Tensor] = {
        name: _pack(samples[name], samples[name]["fn"].log_prob(samples[name]["value"]))
        for name in samples
        if name in enumerated
    }
    plates = {symbol for site in samples.values() for symbol in _ordinal(trace, site)}
    summed = {symbol for factor in factors.values() for symbol in _dims(factor)} - plates
    touched = []
    for name, site in samples.items():
        if name in enumerated or site["infer"].get("_deterministic"):
            continue
        if not _depends(site, summed):
            continue
        if not site["is_observed"]:
            raise ValueError(
                f"the prior of latent {name!r} depends on {sorted(enumerated)}, which are enumerated, so "
                "that it has no KL of its own; write it with the mixture as its prior"
            )
        scored = _pack(site, unscaled_log_density(site))
        if summed & _dims(scored):
            factors[name] = scored
            touched.append(name)
    total = _contracted(trace, samples, factors, summed)
    found = trace.copy()
    for name in enumerated:
        found.remove_node(name)
    for name in touched:
        found.nodes[name] = {**samples[name], "mask": False}
    found.add_node(
        MARGINAL,
        name=MARGINAL,
        type="sample",
        fn=Unit(total),
        value=total.new_empty(0),
        is_observed=True,
        scale=1.0,
        mask=None,
        infer={},
        cond_indep_stack=(),
    )
    return found


def _contracted(trace: Any, samples: dict[str, Any], factors: dict[str, Tensor], summed: set[str]) -> Tensor:
    """The sum of the marginals of all connected groups of factors, scaled, a scalar."""
    scales = {name: samples[name]["scale"] for name in factors}
    numbers = {float(scale) for scale in scales.values() if not isinstance(scale, Tensor)}
    tensors = [scale for scale in scales.values() if isinstance(scale, Tensor)]
    if len(numbers) + bool(tensors) > 1 or any(scale is not tensors[0] for scale in tensors):
        raise ValueError(
            f"enumerated sites and what depends on them must have one scale, got {scales}; put poutine.scale "
            "around all of them, or enumerate within the plate that draws a part of its rows"
        )
    tree: OrderedDict[Any, list[Tensor]] = OrderedDict()
    for name, factor in factors.items():
        tree.setdefault(_ordinal(trace, samples[name]), []).append(factor)
    contracted = contract_tensor_tree(tree, summed, ring=LogSums())
    total = sum((term.sum() for terms in contracted.values() for term in terms), torch.zeros(()))
    scale = tensors[0] if tensors else next(iter(numbers), 1.0)
    found: Tensor = total * scale
    return found


def row_likelihoods(trace: Any) -> dict[str, Tensor]:
    """Log likelihoods of single rows, summed over enumerated latents that belong to one row alone.

    Observed sites that share enumerated latents among their rows, or with other sites, are left out.

    Args:
        trace: A trace of the model, run under ``EnumMessenger``, without the subsamples of plates.
    """
    trace.symbolize_dims()
    samples = {name: site for name, site in trace.nodes.items() if site["type"] == "sample"}
    latent = {
        name: _pack(site, site["fn"].log_prob(site["value"]))
        for name, site in samples.items()
        if _enum_dim(site) is not None
    }
    plates = {symbol for site in samples.values() for symbol in _ordinal(trace, site)}
    summed = {symbol for factor in latent.values() for symbol in _dims(factor)} - plates
    observed = {
        name: _pack(site, unscaled_log_density(site))
        for name, site in samples.items()
        if site["is_observed"] and not site["infer"].get("_deterministic") and _depends(site, summed)
    }
    found = {}
    for name, factor in observed.items():
        own = _reached(_dims(factor) & summed, latent.values(), summed)
        if any(own & _dims(other) for key, other in observed.items() if key != name):
            continue
        tree: OrderedDict[Any, list[Tensor]] = OrderedDict()
        ordinal = _ordinal(trace, samples[name])
        tree.setdefault(ordinal, []).append(factor)
        for key, other in latent.items():
            if own & _dims(other):
                tree.setdefault(_ordinal(trace, samples[key]), []).append(other)
        contracted = contract_tensor_tree(tree, own, ring=LogSums())
        if [*contracted] == [ordinal] and len(contracted[ordinal]) == 1:
            found[name] = packed.unpack(contracted[ordinal][0], trace.symbol_to_dim)
    return found


def _reached(symbols: set[str], factors: Iterable[Tensor], summed: set[str]) -> set[str]:
    """All summed dimensions that are joined to some by factors."""
    factors, before = list(factors), None
    while before != symbols:
        before = set(symbols)
        for factor in factors:
            if symbols & _dims(factor):
                symbols = symbols | (_dims(factor) & summed)
    return symbols


def _dims(factor: Tensor) -> set[str]:
    return set(dims_of(factor))


def _enum_dim(site: Any) -> int | None:
    found: int | None = site["infer"].get("_enumerate_dim") if site["type"] == "sample" else None
    return found


def _ordinal(trace: Any, site: Any) -> frozenset[str]:
    stack = site["cond_indep_stack"]
    return frozenset(trace.plate_to_symbol[frame.name] for frame in stack if frame.vectorized)


def _pack(site: Any, scored: Tensor) -> Tensor:
    found: Tensor = packed.pack(scored, site["infer"]["_dim_to_symbol"])
    return found


def _depends(site: Any, summed: set[str]) -> bool:
    """Whether the law of a site has a dimension over which is summed."""
    symbols, shape = site["infer"]["_dim_to_symbol"], site["fn"].batch_shape
    wide = {dim - len(shape) for dim, size in enumerate(shape) if size > 1}
    if site["is_observed"]:
        return any(symbols.get(dim) in summed for dim in wide)
    # Pyro does not note the dimensions of a latent that is given; all but those of plates are summed ones.
    return bool(wide - {frame.dim for frame in site["cond_indep_stack"] if frame.vectorized})
