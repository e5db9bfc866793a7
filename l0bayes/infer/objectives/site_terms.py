r"""The terms of an ELBO, site by site: log likelihoods and KLs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from pyro.distributions import Delta
from torch import Tensor

from l0bayes.distributions import GatedSlab
from l0bayes.infer.objectives.site_densities import (
    auxiliary_mask,
    log_density,
    masked,
    open_log_density,
    pair_kl,
)
from l0bayes.sites import inner_law

__all__ = [
    "MONTE_CARLO",
    "ELBOTerms",
    "SiteKL",
    "analytic_kl",
    "check_scales",
    "kl_by_site",
    "log_ratio",
    "terms_at_draw",
]

MONTE_CARLO = "l0bayes_monte_carlo_kl"
"""Key in a guide site's ``infer`` that allows a one-draw estimate of a KL that has no closed form."""

SiteKL = Callable[[str, Any, Any], Tensor]
"""From a site's name, the model's site and the guide's site to its KL, a scalar."""


@dataclass
class ELBOTerms:
    r"""The terms of one ELBO estimate, in nats, still attached to the graph.

    Attributes:
        log_likelihood: Sum over observed sites and factors of their log density at the draw.
        kl: Latent site to its KL from the guide to the model.
    """

    log_likelihood: Tensor | float = 0.0
    kl: dict[str, Tensor] = field(default_factory=dict)

    @property
    def total_kl(self) -> Tensor | float:
        """Sum of the KLs."""
        return sum(self.kl.values(), start=torch.zeros(())) if not self.kl else sum(self.kl.values())


def terms_at_draw(model_trace: Any, guide_trace: Any, site_kl: SiteKL | None = None) -> ELBOTerms:
    """Log likelihood and KLs at one draw.

    Args:
        model_trace: The model, run at the guide's draw.
        guide_trace: The guide.
        site_kl: The KL of a site; default :func:`analytic_kl`.
    """
    terms = ELBOTerms(kl=kl_by_site(model_trace, guide_trace, site_kl))
    for site in model_trace.nodes.values():
        if site["type"] == "sample" and site["is_observed"] and not site["infer"].get("_deterministic"):
            terms.log_likelihood = terms.log_likelihood + log_density(site).sum()
    return terms


def kl_by_site(model_trace: Any, guide_trace: Any, site_kl: SiteKL | None = None) -> dict[str, Tensor]:
    """The KL of every latent site, and the log density of the guide's auxiliary ones.

    Args:
        model_trace: The model, run at the guide's draw.
        guide_trace: The guide.
        site_kl: The KL of a site; default :func:`analytic_kl`.
    """
    kls = {
        name: (site_kl or analytic_kl)(name, site, guide_trace.nodes[name])
        for name, site in model_trace.nodes.items()
        if site["type"] == "sample" and not site["is_observed"]
    }
    for name, site in guide_trace.nodes.items():
        if site["type"] == "sample" and name not in model_trace.nodes:
            # auxiliary: its entropy belongs to a Delta site's density
            kls[name] = masked(log_density(site), auxiliary_mask(name, model_trace.nodes)).sum()
    return kls


def analytic_kl(name: str, model_site: Any, guide_site: Any) -> Tensor:
    """The registered KL of a site; the log ratio at the draw for a point, or where the guide allows it.

    Args:
        name: Name of the site.
        model_site: The model's site.
        guide_site: The guide's site.

    Raises:
        NotImplementedError: If no KL is registered and a sampled one is not allowed.
        ValueError: If the site has different scales in model and guide.
    """
    q, p = guide_site["fn"], model_site["fn"]
    if isinstance(inner_law(q), Delta):
        return log_ratio(model_site, guide_site)
    try:
        kl = pair_kl(q, p)
    except NotImplementedError:
        if guide_site["infer"].get(MONTE_CARLO):
            if isinstance(inner_law(q), GatedSlab):
                return _gated_log_ratio(model_site, guide_site)
            return log_ratio(model_site, guide_site)
        raise NotImplementedError(
            f"site {name!r}: no KL is registered from {_name(q)} to {_name(p)}. Register one with "
            "torch.distributions.register_kl, or allow a one-draw estimate with "
            "infer={l0bayes.infer.MONTE_CARLO: True} at the guide's site"
        ) from None
    check_scales(name, model_site["scale"], guide_site["scale"])
    if kl.shape != q.batch_shape:
        kl = kl.expand(torch.broadcast_shapes(kl.shape, q.batch_shape))
    return masked(kl * guide_site["scale"], guide_site["mask"], model_site["mask"]).sum()


def log_ratio(model_site: Any, guide_site: Any) -> Tensor:
    """Log density under the guide less that under the model, at the guide's draw, of all that is not masked.

    Args:
        model_site: The model's site.
        guide_site: The guide's site.
    """
    log_q, log_p = log_density(guide_site), log_density(model_site, guide_site["value"])
    return masked(log_q, model_site["mask"]).sum() - masked(log_p, guide_site["mask"]).sum()


def _gated_log_ratio(model_site: Any, guide_site: Any) -> Tensor:
    r""":math:`P(z \ne 0)\,(\log q(\theta) - \log p(\theta))` at the draw, of all that is not masked."""
    q, p, value = guide_site["fn"], model_site["fn"], guide_site["value"]
    law, scale = inner_law(q), guide_site["scale"]
    check_scales(guide_site["name"], model_site["scale"], scale)
    log_q = law.log_prob_open(value, law.activity)
    dims = len(q.event_shape) - len(law.event_shape)
    log_q = log_q.sum(tuple(range(-dims, 0))) if dims else log_q
    ratio = log_q - open_log_density(p, value, law.activity)
    return masked(ratio * scale, guide_site["mask"], model_site["mask"]).sum()


def check_scales(name: str, ours: float | Tensor, guides: float | Tensor) -> None:
    """Refuse two scales for one KL. Tensors are not compared: that would branch on values.

    Args:
        name: Name of the site.
        ours: Its scale in the model.
        guides: Its scale in the guide.

    Raises:
        ValueError: If they differ.
    """
    if isinstance(ours, Tensor) or isinstance(guides, Tensor) or math.isclose(ours, guides):
        return
    raise ValueError(
        f"site {name!r} has scale {ours} in the model and {guides} in the guide, so that its KL has none; "
        "put poutine.scale on both, or weight all KLs by kl_weight"
    )


def _name(fn: Any) -> str:
    base = inner_law(fn)
    inner = getattr(base, "base", None)
    return f"{type(base).__name__}({type(inner).__name__})" if inner is not None else type(base).__name__
