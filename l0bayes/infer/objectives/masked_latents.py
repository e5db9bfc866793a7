r"""Latents that a model masks though it uses their values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from l0bayes.infer.objectives.site_densities import counted_entries, log_density, masks_of
from l0bayes.infer.randomness import private_randomness
from l0bayes.sites import gate_record, latent_sites, site_kind, slab_record

__all__ = ["check_masked_latents"]


@torch.no_grad()
def check_masked_latents(
    nodes: Mapping[str, Any],
    covered: Collection[str],
    model_at: Callable[[dict[str, Tensor]], Mapping[str, Any]],
) -> None:
    """Refuse masks on latents whose values enter what is not masked.

    What a model masks is no part of it, and its prior and the guide's law of it are left out of every
    objective and density. That is right where nothing else depends on it, as in rows that are padding. Where
    something does, the entropy of the guide would be missing, and the ELBO no bound. It is found by running
    the model again with other values of what is masked.

    Args:
        nodes: Nodes of a trace of the model.
        covered: Names of the guide's sites.
        model_at: From values by site, which take the place of those in the trace, to nodes of a trace.

    Raises:
        ValueError: If there is such a latent, by name.
    """
    latents = {name: site for name, site in latent_sites(dict(nodes)).items() if name in covered}
    others = {}
    for name, site in latents.items():
        if site["mask"] is None and not [*masks_of(site["fn"])]:
            continue
        keep = counted_entries(site)
        if not bool(keep.all()):
            others[name] = torch.where(keep, _value(site), _another(site))
    if not others:
        return
    # With all gates open, since a slab does nothing behind a shut one.
    start = {name: _value(site) for name, site in latents.items()}
    before = _densities(model_at, start)
    for name, value in others.items():
        if _differ(before, _densities(model_at, {**start, name: value})):
            kind = "gate" if gate_record(nodes[name]) else "slab" if slab_record(nodes[name]) else "latent"
            raise ValueError(
                f"the {kind} {name!r} is masked in the model, but what is not masked depends on its value. "
                "What is masked is no part of the model, so that the guide's entropy would be missing and "
                "nothing be bounded. Give it a proper prior in place of the mask, a wide one for a flat one; "
                "or mask what depends on it too"
            )


def _value(site: dict[str, Any]) -> Tensor:
    value: Tensor = site["value"]
    return value if gate_record(site) is None else torch.ones_like(value)


def _another(site: dict[str, Any]) -> Tensor:
    value: Tensor = site["value"]
    if gate_record(site) is not None:
        return torch.zeros_like(value)
    with private_randomness(1):
        try:
            drawn: Tensor = site["fn"].sample()
        except NotImplementedError:  # a penalty has no draws
            drawn = 0.5 * value + 0.25
    return drawn.to(value).expand(value.shape)


def _densities(
    model_at: Callable[[dict[str, Tensor]], Mapping[str, Any]], values: dict[str, Tensor]
) -> dict[str, Tensor]:
    with private_randomness(0):
        nodes = model_at(values)
    return {
        name: log_density(site)
        for name, site in nodes.items()
        if site["type"] == "sample" and site_kind(site) != "deterministic"
    }


def _differ(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    if one.keys() != other.keys():
        return True
    return any(
        value.shape != other[name].shape
        or not torch.allclose(value, other[name], rtol=1e-6, atol=0.0, equal_nan=True)
        for name, value in one.items()
    )
