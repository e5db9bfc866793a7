r"""The laws of slabs and of other latents in a guide whose gates are independent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyro.distributions as dist
from torch import Tensor
from torch.distributions import biject_to

from l0bayes.distributions import GatedSlab, GateLaw
from l0bayes.guides.latent import Latent, elementwise

__all__ = ["other_law", "pushed_normal", "slab_given_open", "slab_law"]


def slab_law(latent: Latent, loc: Tensor, scale: Tensor | None, gates: Mapping[str, GateLaw]) -> GatedSlab:
    """The law of a slab, weighted by the probability that its gates are open.

    Args:
        latent: The slab.
        loc: Its location, before it is pushed onto its support.
        scale: Its standard deviation there; ``None`` for a point.
        gates: The laws of the gates by site. A gate that is not among them, since it is hidden from the guide
            and enumerated in the model, counts as open.
    """
    # Only its own gates: a network has as many slabs as gates, and this runs at every step.
    activity = latent.opened({site: gates[site].prob_active for site in latent.gated_by(gates)}, loc)
    return GatedSlab(slab_given_open(latent, loc, scale), activity)


def slab_given_open(latent: Latent, loc: Tensor, scale: Tensor | None) -> Any:
    """A point or a Normal, pushed onto the support of the slab, elementwise.

    Args:
        latent: The slab.
        loc: Its location, before it is pushed.
        scale: Its standard deviation there; ``None`` for a point.
    """
    if latent.law == "normal":
        return dist.Delta(loc) if scale is None else dist.Normal(loc, scale)
    transform = biject_to(elementwise(latent.support))
    if scale is None:
        return dist.Delta(transform(loc))
    if latent.law == "log_normal":
        return dist.LogNormal(loc, scale)
    return dist.TransformedDistribution(dist.Normal(loc, scale), [transform])


def other_law(latent: Latent, loc: Tensor, scale: Tensor) -> Any:
    """The law of a latent that is neither gate nor slab: a Normal pushed onto its support.

    Args:
        latent: The latent.
        loc: Location of the Normal.
        scale: Its standard deviation.
    """
    if latent.law == "normal":
        return dist.Normal(loc, scale)
    if latent.law == "log_normal":
        return dist.LogNormal(loc, scale)
    return pushed_normal(latent, dist.Normal(loc, scale))


def pushed_normal(latent: Latent, normal: Any) -> Any:
    """A Normal pushed through the bijection onto the support of a latent, as a transformed law.

    Args:
        latent: The latent.
        normal: The Normal, elementwise.
    """
    transform = biject_to(latent.support)
    event_dim = latent.event_dim + transform.domain.event_dim - transform.codomain.event_dim
    return dist.TransformedDistribution(normal.to_event(event_dim), [transform])
