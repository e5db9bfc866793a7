r"""The log density of a site with its masks and scales: the one place that computes it.

A site may be masked from outside, by ``poutine.mask`` or a handler that applies it (``obs_mask``, masked
plates), and by its law, ``Normal(...).mask(m)``, inside ``to_event`` or out of it. What is masked is not part
of the model: it counts neither in a likelihood, nor in a KL, nor in the density of a draw. A latent's masks
in the *model* hold for its guide too: an automatic guide does not repeat them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from pyro.distributions.torch_distribution import MaskedDistribution
from pyro.distributions.util import scale_and_mask
from torch import Tensor
from torch.distributions import Independent, kl_divergence

from l0bayes.distributions import marginal_of_open
from l0bayes.sites import inner_law

__all__ = [
    "auxiliary_mask",
    "counted_entries",
    "counted_rows",
    "elementwise_log_density",
    "log_density",
    "masked",
    "masks_of",
    "open_log_density",
    "pair_kl",
    "unscaled_log_density",
]


def log_density(site: dict[str, Any], value: Tensor | None = None) -> Tensor:
    """Log density of a site, scaled and masked, of its batch shape.

    Args:
        site: A sample site of a trace.
        value: Value to score; by default the site's own.
    """
    scored = _score(site, value)
    total: Tensor = scale_and_mask(scored, site["scale"], site["mask"])
    return total


def unscaled_log_density(site: dict[str, Any], value: Tensor | None = None) -> Tensor:
    """The same without scales: that of each single observation, or of a draw.

    Args:
        site: A sample site of a trace.
        value: Value to score; by default the site's own.
    """
    return masked(_score(site, value), site["mask"])


def masked(values: Tensor, *masks: Tensor | bool | None) -> Tensor:
    """Values with zeros where a mask says that they do not count.

    Args:
        values: Of a site's batch shape.
        *masks: Masks of sites, which broadcast to it; ``None`` for a site without.
    """
    for mask in masks:
        values = scale_and_mask(values, mask=mask)
    return values


def _score(site: dict[str, Any], value: Tensor | None) -> Tensor:
    scored: Tensor = site["fn"].log_prob(_in_support(site) if value is None else value)
    return scored


def _in_support(site: dict[str, Any]) -> Tensor:
    """An observed value with what is masked replaced by an entry that is not.

    A placeholder such as NaN would come back in the gradient: 0 times NaN is NaN.
    """
    value: Tensor = site["value"]
    if not site["is_observed"] or not isinstance(value, Tensor) or not value.is_floating_point():
        return value
    keep = _outer_mask(site)
    if keep is None or not value.numel():
        return value
    at = value.dim() - len(site["fn"].event_shape)
    event = value.shape[at:]
    batch = torch.broadcast_shapes(keep.shape, value.shape[:at])
    keep, value = keep.expand(batch), value.expand(batch + event)
    first = keep.flatten().to(torch.uint8).argmax()
    entry = value.reshape(-1, *event).index_select(0, first[None])[0]
    return torch.where(_spread(keep, len(event)), value, torch.nan_to_num(entry))


def _outer_mask(site: dict[str, Any]) -> Tensor | None:
    """The mask over the batch of a site, by handlers and by the law as a whole."""
    found, fn = site["mask"], site["fn"]
    keep = found if isinstance(found, Tensor) else None
    while isinstance(fn, MaskedDistribution):
        if isinstance(fn._mask, Tensor):
            keep = fn._mask if keep is None else keep & fn._mask
        fn = fn.base_dist
    return keep


def auxiliary_mask(name: str, nodes: dict[str, Any]) -> Tensor | bool | None:
    """The model's mask on what a guide draws under a name of its own, to make a latent of.

    Args:
        name: Name of the guide's auxiliary site; Pyro's ``AutoNormal`` calls it after its latent.
        nodes: Nodes of a trace of the model.
    """
    latent = nodes.get(name.removesuffix("_unconstrained"))
    return None if latent is None or latent["type"] != "sample" else latent["mask"]


# ---- laws that hold several weights ------------------------------------------------------------------


def masks_of(fn: Any) -> Iterator[tuple[Tensor | bool, int]]:
    """The masks of a law, each with the number of event dimensions that it stands before.

    Args:
        fn: Any law.
    """
    while isinstance(fn, Independent | MaskedDistribution):
        if isinstance(fn, MaskedDistribution):
            yield fn._mask, len(fn.event_shape)
        fn = fn.base_dist


def _spread(mask: Tensor | bool, event_dim: int) -> Tensor:
    whole = torch.as_tensor(mask)
    return whole.reshape(whole.shape + (1,) * event_dim)


def elementwise_log_density(fn: Any, value: Tensor) -> Tensor:
    """Log density of every single entry of a site, of the shape of its value; masked entries have 0.

    Args:
        fn: A law of independent entries, with its ``to_event`` and its masks.
        value: A value of the site.

    Raises:
        NotImplementedError: If the entries are not independent.
    """
    law = inner_law(fn)
    if law.event_shape:
        raise NotImplementedError(f"the entries of {type(law).__name__} are not independent of one another")
    scored: Tensor = law.log_prob(value)
    for mask, event_dim in masks_of(fn):
        scored = scale_and_mask(scored, mask=_spread(mask, event_dim))
    return scored


def open_log_density(fn: Any, value: Tensor, is_open: Tensor) -> Tensor:
    """Log density of the weights of a site that are open, the others integrated out, of the batch shape.

    Args:
        fn: The prior of a slab.
        value: A value of the site.
        is_open: 1 where a weight is open and 0 where it is shut, of the shape of the value.

    Raises:
        NotImplementedError: If the weights depend on one another and their marginals are not known.
    """
    law, dims = inner_law(fn), len(fn.event_shape)
    if law.event_shape:
        marginal = marginal_of_open(law)
        if marginal is None:
            raise NotImplementedError(f"the marginals of {type(law).__name__} are not known")
        scored = marginal(law, value, is_open)
        for mask, event_dim in masks_of(fn):
            scored = scale_and_mask(scored, mask=_spread(mask, event_dim - len(law.event_shape)))
        dims -= len(law.event_shape)
    else:
        scored = elementwise_log_density(fn, value) * is_open
    return scored.sum(tuple(range(-dims, 0))) if dims else scored


def counted_entries(site: dict[str, Any]) -> Tensor:
    """Which entries of an observed site count, a boolean tensor of the shape of its value.

    An entry that is not a number can only count nothing: a law that takes it leaves it out by itself, as
    Pyro's ``NanMaskedNormal`` does.

    Args:
        site: A sample site of a trace.
    """
    value = site["value"]
    keep = ~torch.isnan(value) if value.is_floating_point() else torch.ones_like(value, dtype=torch.bool)
    event_dim = len(site["fn"].event_shape)
    masks = [] if site["mask"] is None else [(site["mask"], event_dim)]
    for mask, inside in (*masks, *masks_of(site["fn"])):
        keep = keep & _spread(mask, inside).to(device=keep.device, dtype=torch.bool)
    return keep.expand(value.shape)


def counted_rows(site: dict[str, Any]) -> Tensor:
    """Which observations of a site count, a boolean tensor of its batch shape.

    Args:
        site: A sample site of a trace.
    """
    value = site["value"]
    keep = torch.ones(site["fn"].batch_shape, dtype=torch.bool, device=value.device)
    if value.is_floating_point() and value.numel():
        there = ~torch.isnan(value)  # see counted_entries
        keep = (
            keep & there.flatten(value.dim() - len(site["fn"].event_shape)).any(-1)
            if (site["fn"].event_shape)
            else keep & there
        )
    for mask in (site["mask"], _outer_mask(site)):
        if mask is not None:
            keep = keep & torch.as_tensor(mask).to(keep)
    return keep


def pair_kl(q: Any, p: Any) -> Tensor:
    """The registered KL from one law to another, of the batch shape, with the masks of both laws.

    Args:
        q: The guide's law.
        p: The prior, of the same event shape.

    Raises:
        NotImplementedError: If there is none.
    """
    masks = [*masks_of(q), *masks_of(p)]
    if not masks:
        found: Tensor = kl_divergence(q, p)
        return found
    inner_q, inner_p = inner_law(q), inner_law(p)
    found = kl_divergence(inner_q, inner_p)
    inside = len(inner_q.event_shape)
    for mask, event_dim in masks:
        found = scale_and_mask(found, mask=_spread(mask, event_dim - inside))
    dims = len(q.event_shape) - inside
    return found.sum(tuple(range(-dims, 0))) if dims else found
