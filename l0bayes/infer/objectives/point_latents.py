r"""Which latents of a guide are points, that is, have no density."""

from __future__ import annotations

from typing import Any

from pyro.distributions import Delta
from torch.distributions import biject_to

from l0bayes.sites import inner_law

__all__ = ["has_point_latents"]

_OWN = "_unconstrained"


def has_point_latents(model: dict[str, Any], guide: dict[str, Any]) -> bool:
    """Whether a guide has a point where a latent, or what a latent is made of, should have a law.

    A Delta on a latent is a point, unless it is the image of an auxiliary draw, as in Pyro's continuous
    guides. These draw one auxiliary site for each latent (``AutoNormal``), or one for several: then it has as
    many numbers as they have unconstrained ones, and Deltas beyond that are points (an ``AutoDelta`` beside
    it). An auxiliary site that is itself a Delta is a point (``AutoLaplaceApproximation`` in training).

    Args:
        model: Nodes of the model's trace.
        guide: Nodes of the guide's trace.
    """
    sites = {n: s for n, s in guide.items() if s["type"] == "sample" and not s["is_observed"]}
    drawn = images = 0
    for name, site in sites.items():
        is_delta = isinstance(inner_law(site["fn"]), Delta)
        if site["infer"].get("is_auxiliary") or name not in model:
            if is_delta:
                return True
            drawn += 0 if name.endswith(_OWN) else site["value"].numel()
        elif is_delta and f"{name}{_OWN}" not in sites:
            images += _unconstrained_numbers(model[name])
    return images > drawn


def _unconstrained_numbers(site: dict[str, Any]) -> int:
    try:
        shape = biject_to(site["fn"].support).inverse_shape(site["value"].shape)
    except NotImplementedError:  # a discrete latent
        shape = site["value"].shape
    return int(shape.numel())
