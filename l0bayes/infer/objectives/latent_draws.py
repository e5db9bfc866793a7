r"""Many posterior draws at once: latents in one batch, then functions of them under ``vmap``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import prune_subsample_sites
from torch import Tensor

from l0bayes import validate
from l0bayes.infer.guide_abilities import GuideAbilities
from l0bayes.infer.model_arguments import ModelArguments
from l0bayes.infer.objectives.reading_mode import reading_mode
from l0bayes.infer.randomness import private_randomness

__all__ = ["Given", "draw_latents", "map_draws"]


class Given(Messenger):
    """Effect handler that gives sample sites fixed values and leaves their distributions in place.

    Args:
        values: Value by site name; other sites are sampled as usual.
    """

    def __init__(self, values: dict[str, Tensor]) -> None:
        super().__init__()
        self.values = values

    @classmethod
    def sampled_in(cls, trace: Any) -> Given:
        """The values of all sample sites of a trace, subsample indices of plates included."""
        return cls({name: site["value"] for name, site in trace.nodes.items() if site["type"] == "sample"})

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] in self.values and not msg["is_observed"]:
            msg["value"] = self.values[msg["name"]]
            msg["done"] = True


@torch.no_grad()
def draw_latents(
    guide: Any, data: tuple[Any, ...] | ModelArguments, num_draws: int, seed: int
) -> dict[str, Tensor]:
    """Draws of every latent site of a guide. The global generators are left as they were.

    Args:
        guide: A guide; one with ``draw()`` or ``laws()`` is drawn from in one batch, any other is run, in one
            batch where ``torch.vmap`` can do it and again and again where it cannot.
        data: Its arguments, positional or all.
        num_draws: Number of draws S.
        seed: Seed of the draws.

    Returns:
        Site name to values with a leading dimension of size S. Auxiliary sites are included.

    Raises:
        ValueError: If ``num_draws`` is not positive.
    """
    validate.at_least(1, num_draws=num_draws)
    arguments = ModelArguments.of(data)
    with private_randomness(seed), reading_mode(guide):
        able = GuideAbilities(guide)
        if able.draw is not None:
            return {name: value.detach() for name, value in able.draw(num_draws).items()}
        if able.laws is not None:
            # A Delta's draws are views of its parameter, which carry its gradient even here.
            return {name: law.sample((num_draws,)).detach() for name, law in able.laws().items()}
        return _run_guide(guide, arguments, num_draws, seed)


def _run_guide(guide: Any, arguments: ModelArguments, num_draws: int, seed: int) -> dict[str, Tensor]:
    def one(_: Tensor) -> dict[str, Tensor]:
        trace: Any = prune_subsample_sites(arguments.call(poutine.trace(guide).get_trace))
        return {name: trace.nodes[name]["value"] for name in trace.stochastic_nodes}

    with private_randomness():  # a guide of Pyro's makes its parameters when it is first run
        one(torch.zeros(()))
    index = torch.arange(num_draws)
    with pyro.validation_enabled(False):
        try:
            drawn: dict[str, Tensor] = torch.vmap(one, randomness="different")(index)
        except RuntimeError:
            torch.manual_seed(seed)
            draws = [one(i) for i in index]
            drawn = {name: torch.stack([draw[name] for draw in draws]) for name in draws[0]}
    return {name: value.detach() for name, value in drawn.items()}


@torch.no_grad()
def map_draws(
    function: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    draws: dict[str, Tensor],
    seed: int,
    chunk_size: int | None = None,
) -> dict[str, Tensor]:
    """Apply a function to every draw and stack the results, in the mode in which models are read.

    The draws are batched by ``torch.vmap``; a function that it cannot batch (control flow that depends
    on values, random operations without a batching rule) is called in a loop instead.

    Args:
        function: From site values to tensors by name; it may run Pyro models and draw random numbers.
        draws: Values with a leading dimension of draws.
        seed: Seed of the function's random numbers.
        chunk_size: Draws batched at a time, to bound memory; ``None`` for all.

    Returns:
        Each result with a leading dimension of draws.
    """
    count = len(next(iter(draws.values())))
    quiet = pyro.validation_enabled(False)  # validation would branch on values
    with quiet, private_randomness(seed), reading_mode():
        try:
            batch = torch.vmap(function, randomness="different", chunk_size=chunk_size)(draws)
        except RuntimeError:
            torch.manual_seed(seed)
            results = [function({name: value[i] for name, value in draws.items()}) for i in range(count)]
            batch = {name: torch.stack([result[name] for result in results]) for name in results[0]}
        return {name: value.detach() for name, value in batch.items()}
