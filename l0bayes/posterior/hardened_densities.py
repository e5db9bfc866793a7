r"""Densities of a hardened draw: binary gates, and slabs that follow their prior behind shut ones."""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions import Delta
from torch import Tensor
from torch.distributions import Independent
from torch.nn.functional import logsigmoid

from l0bayes.distributions import GateLaw, SlabLaw
from l0bayes.infer.objectives.site_densities import (
    auxiliary_mask,
    log_density,
    masked,
    open_log_density,
    unscaled_log_density,
)
from l0bayes.sites import inner_law, latent_sites, site_kind, slab_links

__all__ = ["hardened_densities"]


def hardened_densities(model: dict[str, Any], guide: dict[str, Any]) -> tuple[Tensor, Tensor]:
    r"""Log densities of a draw with binary gates under the model, data included, and under the guide.

    .. math:: \log p(D, z, \theta_o, \eta), \qquad \log q(z, \theta_o, \eta)

    Where the guide's law of a slab is one that follows the prior behind a shut gate
    (:class:`~l0bayes.distributions.SlabLaw`), shut weights are integrated out of both. Any other law of a
    slab does not depend on gates, and both densities have all of it. What the model masks is in neither.

    Args:
        model: Nodes of the model's trace at the draw, with strict priors.
        guide: Nodes of the guide's trace, with the laws of the draw.
    """
    log_p, log_q = torch.zeros(()), torch.zeros(())
    links = slab_links(model)
    gates = {link.site: model[link.site]["value"] for slab in links.values() for link in slab.gates}
    for name, site in model.items():
        if site["type"] != "sample":
            continue
        if site_kind(site) != "latent":
            log_p = log_p + log_density(site).sum()
            continue
        drawn = guide[name]
        if name in links and isinstance(inner_law(drawn["fn"]), SlabLaw):
            is_open = links[name].opened(gates, site["value"])
            log_p = (
                log_p
                + masked(
                    open_log_density(site["fn"], site["value"], is_open) * site["scale"], site["mask"]
                ).sum()
            )
            of_guide = _open_density(drawn["fn"], site["value"], is_open)
        else:
            log_p = log_p + log_density(site).sum()
            of_guide = _density(drawn, site["value"])
        log_q = log_q + masked(of_guide, site["mask"], drawn["mask"]).sum()
    for name, site in guide.items():
        if site["type"] == "sample" and name not in model:  # auxiliary
            log_q = (
                log_q + masked(unscaled_log_density(site), auxiliary_mask(name, latent_sites(model))).sum()
            )
    return log_p, log_q


def _open_density(fn: Any, value: Tensor, is_open: Tensor) -> Tensor:
    """Of the guide's law of a slab, of the batch shape."""
    law = inner_law(fn)
    found: Tensor = law.log_prob_open(value, is_open)
    dims = len(fn.event_shape) - len(law.event_shape)
    return found.sum(tuple(range(-dims, 0))) if dims else found


def _density(site: dict[str, Any], value: Tensor) -> Tensor:
    """Of the guide's law of any other latent, of the batch shape."""
    fn = site["fn"]
    law = inner_law(fn)
    if isinstance(law, GateLaw):
        found = logsigmoid(torch.where(value > 0, law.activity_logits, -law.activity_logits))
        dims = fn.reinterpreted_batch_ndims if isinstance(fn, Independent) else 0
        return found.sum(tuple(range(-dims, 0))) if dims else found
    # A Delta is the image of an auxiliary draw, which is compared with itself and not with what was rounded.
    scored: Tensor = fn.log_prob(fn.sample() if isinstance(law, Delta) else value)
    return scored
