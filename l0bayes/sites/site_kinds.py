"""The kinds of sites in a trace: one definition for everything that reads traces."""

from __future__ import annotations

from typing import Any, Literal

from pyro.distributions import Delta, Unit
from pyro.distributions.torch_distribution import MaskedDistribution
from pyro.poutine.util import site_is_subsample
from torch.distributions import Independent

from l0bayes.sites.site_records import gate_record, slab_record

__all__ = ["SiteKind", "inner_law", "latent_sites", "site_kind"]

SiteKind = Literal["latent", "observed", "fixed", "factor", "deterministic", "subsample", "other"]
"""A latent; data; a gate or slab that was conditioned on; a ``pyro.factor``; a value that follows from others
(``pyro.deterministic``, or a site that was reparameterised); the indices of a plate; no sample site.
"""


def site_kind(site: Any) -> SiteKind:
    """The kind of a trace's node.

    Args:
        site: A node of a Pyro trace, or a message.
    """
    if site["type"] != "sample":
        return "other"
    if site_is_subsample(site):
        return "subsample"
    if not site["is_observed"]:
        return "latent"
    if isinstance(inner_law(site["fn"]), Unit):
        return "factor"
    # A point is what pyro.infer.reparam leaves in a site's place, with or without a Jacobian.
    if site["infer"].get("_deterministic") or isinstance(inner_law(site["fn"]), Delta):
        return "deterministic"
    return "observed" if gate_record(site) is None and slab_record(site) is None else "fixed"


def inner_law(fn: Any) -> Any:
    """A law out of ``to_event`` and ``mask``.

    Args:
        fn: Any law.
    """
    while isinstance(fn, Independent | MaskedDistribution):
        fn = fn.base_dist
    return fn


def latent_sites(nodes: dict[str, Any]) -> dict[str, Any]:
    """The latent sites of a trace, by name.

    Args:
        nodes: Nodes of a Pyro trace.
    """
    return {name: site for name, site in nodes.items() if site_kind(site) == "latent"}
