r"""Draws from a guide, pushed through its model."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from torch import Tensor
from torch.distributions import Independent

from l0bayes.distributions import GatePrior
from l0bayes.infer.objectives.gate_parts import gate_laws
from l0bayes.infer.objectives.hardened_elbo import StrictPriors
from l0bayes.infer.objectives.latent_draws import draw_latents, map_draws
from l0bayes.infer.objectives.model_reading import ModelReading
from l0bayes.infer.objectives.site_densities import counted_rows, unscaled_log_density
from l0bayes.infer.randomness import private_randomness
from l0bayes.posterior.hardened_densities import hardened_densities
from l0bayes.sites import gate_record, site_kind, slab_record

__all__ = ["Draws", "Predictions", "draw_posterior", "prior_inclusion"]

Predictions = Literal["free", "one_step"]
"""Whether new data of a site follow new data of the sites before it, or what was observed of them."""


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
        counted: Which rows of every observed site are not masked.
    """

    log_p: Tensor
    log_q: Tensor
    latent: dict[str, Tensor] = field(default_factory=dict)
    weight: dict[str, Tensor] = field(default_factory=dict)
    predictive: dict[str, Tensor] = field(default_factory=dict)
    log_likelihood: dict[str, Tensor] = field(default_factory=dict)
    counted: dict[str, Tensor] = field(default_factory=dict)


def draw_posterior(
    reading: ModelReading,
    *,
    num_draws: int,
    seed: int,
    keep: set[str],
    chunk_size: int | None,
    predictions: Predictions = "free",
    densities: bool = True,
    data: bool = True,
) -> Draws:
    r"""Draw latents, weights, new data, and the densities of the hardened draws.

    The hardened draw is :math:`[z > \text{threshold}]` of the same gates; it follows
    :math:`\mathrm{Bern}(q(z \ne 0))` exactly. Its densities are those of the law in which a slab
    behind a shut gate follows its prior, so that such slabs cancel and are left out of both.

    Args:
        reading: The model and its guide at all data.
        num_draws: Number of draws.
        seed: Seed of the draws.
        keep: Names of latent and deterministic sites to return.
        chunk_size: Draws batched at a time.
        predictions: Whether new data of an observed site are drawn given new data of the sites before it
            (``"free"``) or given what was observed of them (``"one_step"``).
        densities: Whether ``log_p`` and ``log_q`` are wanted; they are zeros otherwise.
        data: Whether new data and log likelihoods of observed sites are wanted. Without them, enumerated
            latents are drawn only where a site to return depends on them, since they are drawn one by one.
    """
    thresholds = {name: law.activity_threshold for name, law in gate_laws(reading.guide).items()}

    wanted = data or _depend_on_enumerated(reading, keep)

    def one(values: dict[str, Tensor]) -> dict[str, Tensor]:
        summed = reading.enumerated_at(values) if wanted else {}
        model_nodes = reading.model_at(values | summed).nodes
        found = {f"latent:{name}": value for name, value in summed.items() if name in keep}
        rows = reading.row_likelihoods(values) if data else {}
        for name, site in model_nodes.items():
            kind = site_kind(site)
            if kind == "deterministic" and name in keep:
                found[f"weight:{name}"] = site["value"]
            if data and kind == "observed":
                found[f"log_likelihood:{name}"] = rows.get(name, unscaled_log_density(site))
                found[f"counted:{name}"] = counted_rows(site)
                with suppress(NotImplementedError):  # a partial likelihood has no draws
                    found[f"predictive:{name}"] = site["fn"].sample()
        free = data and predictions == "free"
        if free and sum(site_kind(site) == "observed" for site in model_nodes.values()) > 1:
            found |= _new_data(reading, values | summed)
        if not densities:
            return found | {"log_p:": torch.zeros(()), "log_q:": torch.zeros(())}
        guide_nodes = reading.guide_at(values).nodes
        hard = {name: (values[name] > at).to(values[name].dtype) for name, at in thresholds.items()}
        with StrictPriors():
            strict_nodes = reading.model_at({**values, **hard}).nodes
        found["log_p:"], found["log_q:"] = hardened_densities(strict_nodes, guide_nodes)
        return found

    with reading.open():
        latents = draw_latents(reading.guide, reading.arguments, num_draws, seed)
        values = map_draws(one, latents, seed, chunk_size)
    draws = Draws(values.pop("log_p:"), values.pop("log_q:"))
    draws.latent = {name: value for name, value in latents.items() if name in keep}
    for key, value in values.items():
        group, name = key.split(":", 1)
        getattr(draws, group)[name] = value
    return draws


@torch.no_grad()
def _depend_on_enumerated(reading: ModelReading, keep: set[str]) -> bool:
    """Whether a deterministic site has other values for other states, so that it has their dimensions."""
    if reading.first_enum_dim is None:
        return False
    if not keep.isdisjoint(reading.enumerated):
        return True
    with private_randomness(), reading.open():
        guide = reading.guide_at({})
        values = {name: guide.nodes[name]["value"] for name in guide.stochastic_nodes}
        summed, drawn = reading.model_at(values).nodes, reading.traces()[0].nodes
    return any(summed[name]["value"].shape != drawn[name]["value"].shape for name in keep & drawn.keys())


def _new_data(reading: ModelReading, values: dict[str, Tensor]) -> dict[str, Tensor]:
    with _Unobserved() as new:
        nodes = reading.model_at(values).nodes
    return {f"predictive:{name}": nodes[name]["value"] for name in new.drawn}


class _Unobserved(Messenger):
    """Effect handler that draws what is observed, as far as it can be drawn."""

    def __enter__(self) -> Any:
        self.drawn: list[str] = []
        return super().__enter__()

    def _pyro_sample(self, msg: Any) -> None:
        if site_kind(msg) == "observed":
            with suppress(NotImplementedError):
                msg["value"] = msg["fn"].sample()
                self.drawn.append(msg["name"])


def prior_inclusion(reading: ModelReading, *, num_draws: int = 2000) -> dict[str, Tensor]:
    """Prior inclusion probability of every gate site: π, or its prior mean where it is latent.

    Args:
        reading: The model at all data.
        num_draws: Prior draws for the mean of a latent π.
    """

    def one() -> dict[str, Tensor]:
        trace = reading.arguments.call(poutine.trace(_SlabsAtZero()(reading.model)).get_trace)
        sites: Any = trace.nodes
        found = {}
        for name, site in sites.items():
            if site["type"] == "sample" and gate_record(site) is not None:
                base = site["fn"].base_dist if isinstance(site["fn"], Independent) else site["fn"]
                prior = base.inclusion_probability if isinstance(base, GatePrior) else base.prob_active
                found[name] = prior.expand(site["value"].shape)
        return found

    with torch.no_grad(), private_randomness(0), reading.open():
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
