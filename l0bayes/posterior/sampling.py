r"""Draws from a guide, pushed through its model."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import prune_subsample_sites
from torch import Tensor
from torch.distributions import Independent

from l0bayes.distributions import GatePrior
from l0bayes.infer.objectives.gate_parts import gate_laws
from l0bayes.infer.objectives.hardened_elbo import StrictPriors
from l0bayes.infer.objectives.latent_draws import Given, draw_latents, map_draws
from l0bayes.infer.objectives.site_densities import unscaled_log_density
from l0bayes.infer.randomness import private_randomness
from l0bayes.posterior.hardened_densities import hardened_densities
from l0bayes.sites import gate_record, site_kind, slab_record

__all__ = ["Draws", "draw_posterior", "prior_inclusion"]


@dataclass
class Draws:
    """Posterior draws of one guide; every tensor has a leading dimension of draws.

    Attributes:
        log_p: Joint log density of the hardened draw under the strict model, in nats.
        log_q: Log density of the hardened draw under the hardened guide, in nats.
        latent: Gates, slabs and other latent sites.
        weight: Effective weights and other deterministic sites.
        predictive: New data of every observed site whose law can be drawn from.
        log_likelihood: Elementwise log likelihood of every observed site.
    """

    log_p: Tensor
    log_q: Tensor
    latent: dict[str, Tensor] = field(default_factory=dict)
    weight: dict[str, Tensor] = field(default_factory=dict)
    predictive: dict[str, Tensor] = field(default_factory=dict)
    log_likelihood: dict[str, Tensor] = field(default_factory=dict)


def draw_posterior(
    model: Any,
    guide: Any,
    data: tuple[Any, ...],
    *,
    num_draws: int,
    seed: int,
    keep: set[str],
    chunk_size: int | None,
) -> Draws:
    r"""Draw latents, weights, new data, and the densities of the hardened draws.

    The hardened draw is :math:`[z > \text{threshold}]` of the same gates; it follows
    :math:`\mathrm{Bern}(q(z \ne 0))` exactly. Its densities are those of the law in which a slab
    behind a shut gate follows its prior, so that such slabs cancel and are left out of both.

    Args:
        model: A Pyro model.
        guide: Its guide.
        data: The model's arguments.
        num_draws: Number of draws.
        seed: Seed of the draws.
        keep: Names of latent and deterministic sites to return.
        chunk_size: Draws batched at a time.
    """
    thresholds = {name: law.activity_threshold for name, law in gate_laws(guide).items()}

    def one(values: dict[str, Tensor]) -> dict[str, Tensor]:
        with Given(values):
            guide_trace = prune_subsample_sites(poutine.trace(guide).get_trace(*data))
            model_trace = prune_subsample_sites(poutine.trace(model).get_trace(*data))
        found: dict[str, Tensor] = {}
        sites: dict[str, Any] = model_trace.nodes
        for name, site in sites.items():
            kind = site_kind(site)
            if kind == "deterministic" and name in keep:
                found[f"weight:{name}"] = site["value"]
            if kind == "observed":
                found[f"log_likelihood:{name}"] = unscaled_log_density(site)
                with suppress(NotImplementedError):  # a partial likelihood has no draws
                    found[f"predictive:{name}"] = site["fn"].sample()
        hard = {name: (values[name] > at).to(values[name].dtype) for name, at in thresholds.items()}
        with Given({**values, **hard}), StrictPriors():
            strict_trace = prune_subsample_sites(poutine.trace(model).get_trace(*data))
        found["log_p:"], found["log_q:"] = hardened_densities(strict_trace.nodes, guide_trace.nodes)
        return found

    latents = draw_latents(guide, data, num_draws, seed)
    values = map_draws(one, latents, seed, chunk_size)
    draws = Draws(values.pop("log_p:"), values.pop("log_q:"))
    draws.latent = {name: value for name, value in latents.items() if name in keep}
    for key, value in values.items():
        group, name = key.split(":", 1)
        getattr(draws, group)[name] = value
    return draws


def prior_inclusion(model: Any, data: tuple[Any, ...], *, num_draws: int = 2000) -> dict[str, Tensor]:
    """Prior inclusion probability of every gate site: π, or its prior mean where it is latent.

    Args:
        model: A Pyro model.
        data: The model's arguments.
        num_draws: Prior draws for the mean of a latent π.
    """

    def one() -> dict[str, Tensor]:
        trace = poutine.trace(_SlabsAtZero()(model)).get_trace(*data)
        sites: dict[str, Any] = trace.nodes
        found = {}
        for name, site in sites.items():
            if site["type"] == "sample" and gate_record(site) is not None:
                base = site["fn"].base_dist if isinstance(site["fn"], Independent) else site["fn"]
                prior = base.inclusion_probability if isinstance(base, GatePrior) else base.prob_active
                found[name] = prior.expand(site["value"].shape)
        return found

    with torch.no_grad(), private_randomness(0), pyro.get_param_store().scope(), poutine.block():
        first, second = one(), one()
        fixed = all(torch.equal(first[name], second[name]) for name in first)
        draws = [first] if fixed else [first, second, *(one() for _ in range(num_draws - 2))]
    return {name: torch.stack([draw[name] for draw in draws]).mean(0) for name in first}


def _start(fn: Any) -> Tensor:
    """Any value of the prior's shape, precision and device."""
    try:
        value: Tensor = fn.sample()
    except NotImplementedError:
        value = fn.mean
    return value


class _SlabsAtZero(Messenger):
    """Slabs at 0: inclusion needs none, and a penalty has no draws."""

    def _pyro_sample(self, msg: Any) -> None:
        if slab_record(msg) is not None:
            msg["value"] = torch.zeros_like(_start(msg["fn"]))
            msg["done"] = True
