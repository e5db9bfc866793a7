r"""Which objective a (model, guide) pair is trained on, and whether it is a bound."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pyro.distributions import Delta

from l0bayes.distributions import (
    ConditionalSlab,
    GatedSlab,
    GateLaw,
    JointGateLaw,
    L0Penalty,
)
from l0bayes.infer.model_arguments import ModelArguments
from l0bayes.infer.objectives.pair_traces import PairTraces
from l0bayes.infer.objectives.point_latents import has_point_latents
from l0bayes.infer.objectives.reading_mode import reading_mode
from l0bayes.infer.objectives.score_elbo import elbo_of
from l0bayes.infer.randomness import private_randomness
from l0bayes.sites import inner_law, refuse_hidden

__all__ = ["Objective", "describe_objective", "describe_traces"]


@dataclass(frozen=True)
class Objective:
    """An objective by name.

    Attributes:
        name: What it is called.
        is_bound: Whether it bounds the log evidence of the model as written.
        note: What it bounds, or why it is no bound.
        relaxation: The gates' variational law.
        slab: The slabs' variational law.
        has_points: Whether a slab or another latent is a point, which has no density.
    """

    name: str
    is_bound: bool
    note: str
    relaxation: str
    slab: str
    has_points: bool = False


_POINT = "the slab is a point, so it bounds the joint density of data and weights, not the evidence"
_THRESHOLD = "its gates have no atom at 0 and deployment needs a threshold"
_BIASED = "the gradient of its straight-through gates is biased, so that training does not end at its maximum"
_OBJECTIVES = {
    "none": ("ELBO", True, "mean-field evidence lower bound of a model without gates"),
    "exact": ("ELBO of the strict spike and slab", True, "binary gates: a bound on the log evidence"),
    "mixed": (
        "ELBO with a {prior} prior",
        True,
        "the KL is exact in the mixed measure: a bound for the spike-and-slab-style model as written",
    ),
    "activity": (
        "spike-and-slab VI with relaxed gates (activity KL)",
        False,
        "a bound for the model whose open gates follow the guide's own amplitude; for the strict spike "
        "and slab a surrogate, to be judged by the hardened ELBO",
    ),
    "straight": (
        "ELBO of the strict spike and slab, straight-through gradient",
        True,
        "binary gates: a bound on the log evidence; its gradient is biased, so that training does not end "
        "at its maximum",
    ),
    "surrogate": (
        "VI with gates that never shut (activity KL)",
        False,
        "a surrogate: the gates have no atom at 0, their KL is that of the zero-temperature limit, and "
        "deployment needs a threshold; judge it by the hardened ELBO",
    ),
    "penalty": (
        "L0 objective (Eq. 18)",
        False,
        "the KL of the gates is left out, so it lies below the free energy and is not a bound; its gate "
        "probabilities are not a posterior",
    ),
}


def describe_objective(
    model: Any, guide: Any, data: Any = (), *, kwargs: Mapping[str, Any] | None = None
) -> Objective:
    """Name the objective that :class:`MeanFieldELBO` is for this pair, or the one that the guide asks for.

    Args:
        model: A Pyro model.
        guide: Its guide.
        data: Positional arguments to run both with once.
        kwargs: Keyword arguments of that run.

    Raises:
        ValueError: If the guide does not cover the model, or that hides a gate or a slab.
    """
    arguments = ModelArguments.of(data, kwargs)
    with private_randomness(), torch.no_grad(), reading_mode(model, guide, whole=False):
        traces = elbo_of(guide).traces(model, guide, *arguments.args, **arguments.kwargs)
        refuse_hidden(traces.model.nodes)
        return describe_traces(traces)


def describe_traces(traces: PairTraces) -> Objective:
    """Name the objective of a pair from one run of it.

    Args:
        traces: One run of guide and model.
    """
    model_trace, guide_trace = traces.model, traces.guide
    kinds: set[str] = set()
    laws: set[str] = set()
    slabs: set[str] = set()
    priors: set[str] = set()
    points = has_point_latents(model_trace.nodes, guide_trace.nodes)
    further: set[str] = set()
    for name, site in guide_trace.nodes.items():
        if site["type"] != "sample" or name not in model_trace.nodes:
            continue
        q, p = inner_law(site["fn"]), inner_law(model_trace.nodes[name]["fn"])
        if isinstance(q, GateLaw | JointGateLaw):
            laws.add(type(q).__name__)
            kind = _kind(q, p)
            kinds.add(kind)
            if kind != "surrogate" and not q.has_atom_at_zero:
                further.add(_THRESHOLD)
            if kind != "straight" and q.is_binary and q.has_rsample:
                further.add(_BIASED)
            if kind == "mixed":
                priors.add(_in_words(p))
        elif isinstance(q, GatedSlab):
            slabs.add(type(q.base).__name__)
        elif isinstance(q, ConditionalSlab):
            slabs.add(type(q).__name__)
    # The weakest claim of any gate is the claim of the whole.
    order = ("penalty", "surrogate", "activity", "mixed", "straight", "exact")
    kind = next((kind for kind in order if kind in kinds), "none")
    name, is_bound, note = _OBJECTIVES[kind]
    note = "; ".join([note, *sorted(further)])
    name = name.format(prior=" and ".join(sorted(priors)))
    if Delta.__name__ in slabs:
        if kind in ("activity", "surrogate"):
            name = "Eq. 17 (activity KL, point slab)"
        is_bound, note = False, note if kind == "penalty" else f"{_POINT}; {note}"
    elif points:
        is_bound, note = False, f"some latents are points, so it bounds no evidence; {note}"
    has_points = points or Delta.__name__ in slabs
    relaxation, slab = ("+".join(sorted(names)) or "none" for names in (laws, slabs))
    return Objective(name, is_bound, note, relaxation, slab, has_points)


def _in_words(law: GateLaw) -> str:
    """``HardConcrete`` as "hard concrete"."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", type(law).__name__).lower()


def _kind(q: GateLaw, p: Any) -> str:
    if isinstance(p, L0Penalty):
        return "penalty"
    if isinstance(p, GateLaw) and p.has_atom_at_zero and not p.is_binary:
        return "mixed"
    if q.is_binary:
        return "straight" if q.has_rsample else "exact"
    return "activity" if q.has_atom_at_zero else "surrogate"
