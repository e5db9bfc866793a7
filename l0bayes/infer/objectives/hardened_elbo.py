r"""The hardened guide: binary gates, strict priors, and the bound to compare fits by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pyro.poutine.messenger import Messenger
from torch import Tensor
from torch.distributions import Independent

from l0bayes.distributions import L0Penalty
from l0bayes.infer.guide_abilities import GuideAbilities
from l0bayes.infer.model_arguments import ModelArguments
from l0bayes.infer.objectives.latent_draws import Given, draw_latents, map_draws
from l0bayes.infer.objectives.masked_latents import check_masked_latents
from l0bayes.infer.objectives.model_reading import ModelReading
from l0bayes.infer.objectives.objective import describe_traces
from l0bayes.infer.objectives.score_elbo import elbo_of
from l0bayes.infer.randomness import private_randomness

__all__ = ["HardenedELBO", "StrictPriors", "hardened_elbo"]


@dataclass(frozen=True)
class HardenedELBO:
    r"""ELBO of a guide whose gates were made binary.

    Attributes:
        value: The estimate in nats.
        standard_error: Its Monte Carlo standard error in nats; only the likelihood is sampled, and the KLs
            of gates that depend on one another.
        is_bound: Whether it bounds the log evidence; not where slabs or other latents are points,
            nor where the model scales a site.
        num_draws: Number of draws.
        scaled: Names of the model's sites with a scale (``poutine.scale``), as a likelihood of a part of the
            data has that stands for all.
    """

    value: float
    standard_error: float
    is_bound: bool
    num_draws: int
    scaled: tuple[str, ...] = ()

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        claim = "a lower bound on the log evidence" if self.is_bound else "no bound on the log evidence"
        if self.scaled:
            claim += f": {', '.join(map(repr, self.scaled))} scaled by poutine.scale; give all data, unscaled"
        return f"{self.value:.2f} ± {self.standard_error:.2f} nats, {claim}"


class StrictPriors(Messenger):
    """Effect handler that puts ``Gate(sigmoid(-penalty))`` in the place of every ``L0Penalty``.

    A penalty is no prior; this is the one that charges the same λ nats for an open gate.
    """

    def _pyro_sample(self, msg: Any) -> None:
        fn, reinterpreted = msg["fn"], 0
        if isinstance(fn, Independent):
            fn, reinterpreted = fn.base_dist, fn.reinterpreted_batch_ndims
        if isinstance(fn, L0Penalty):
            msg["fn"] = fn.as_gate().to_event(reinterpreted)


def hardened_elbo(
    model: Any,
    guide: Any,
    data: Any = (),
    *,
    kwargs: Mapping[str, Any] | None = None,
    num_draws: int = 1000,
    seed: int = 0,
) -> HardenedELBO:
    r"""The strict ELBO: the value of the trained guide as a posterior of binary gates.

    .. math::
        E_{\tilde q}[\log p(D \mid z \odot \theta)] - \sum \mathrm{KL}(\mathrm{Bern}\,q(z \ne 0)\,\|\,p)
        - \sum q(z \ne 0)\,\mathrm{KL}(q(\theta)\,\|\,p(\theta)) - \dots

    Every gate becomes :math:`\mathrm{Bern}(q(z \ne 0))`, every ``L0Penalty`` its strict prior. With
    Normal slabs this is a lower bound on the log evidence whatever relaxation and objective the
    guide was trained with, so it is the number to compare fits by. Values of ``pyro.param`` are those in
    Pyro's parameter store. A plate that draws a part of its rows holds all of them here.

    Args:
        model: The Pyro model.
        guide: A guide with ``harden()``, or an ``AutoGuideList`` of such guides and any others.
        data: The model's positional arguments: all data.
        kwargs: Its keyword arguments.
        num_draws: Draws that the likelihood term is averaged over.
        seed: Seed of the draws.

    Returns:
        The estimate with its standard error.

    Raises:
        TypeError: If the guide cannot be hardened.
        ValueError: If ``num_draws`` is less than 2, a plate holds a part of the data, or the model masks a
            latent whose value it uses.
    """
    able = GuideAbilities(guide)
    if able.harden is None:
        raise TypeError(
            "guide must have harden(), as the gate guides do, or be an AutoGuideList of which a part does; "
            f"got {type(guide).__name__}"
        )
    if num_draws < 2:
        raise ValueError(f"num_draws must be at least 2 for a standard error, got {num_draws!r}")
    hard, elbo = able.harden(), elbo_of(guide)
    strict = StrictPriors()(model)

    reading = ModelReading.of(model, guide, ModelArguments.of(data, kwargs))
    arguments = reading.arguments

    def one(values: dict[str, Tensor]) -> dict[str, Tensor]:
        with Given(values):
            terms = elbo.terms_at(elbo.traces(strict, hard, *arguments.args, **arguments.kwargs))
        return {"elbo": torch.as_tensor(terms.log_likelihood - terms.total_kl)}

    with reading.open():
        values = map_draws(one, draw_latents(hard, arguments, num_draws, seed), seed)["elbo"].double()
        with torch.no_grad(), private_randomness():
            traces = elbo.traces(strict, hard, *arguments.args, **arguments.kwargs)

            def model_at(changed: dict[str, Tensor]) -> Any:
                return traces.model_at(strict, arguments.args, dict(arguments.kwargs), changed).nodes

            check_masked_latents(traces.model.nodes, traces.guide.nodes, model_at)
    scaled = tuple(name for name, site in traces.model.nodes.items() if _is_scaled(site))
    is_bound = not (scaled or describe_traces(traces).has_points)
    error = float(values.std() / num_draws**0.5)
    return HardenedELBO(float(values.mean()), error, is_bound, num_draws, scaled)


def _is_scaled(site: dict[str, Any]) -> bool:
    return site["type"] == "sample" and bool((torch.as_tensor(site["scale"]) != 1.0).any())
