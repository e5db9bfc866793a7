r"""Predictions averaged over the posterior."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from l0bayes.infer.draws import Given, draw_latents, map_draws

__all__ = ["predict"]


def predict(
    model: Any,
    guide: Any,
    data: tuple[Any, ...],
    *,
    num_draws: int = 100,
    seed: int = 0,
    chunk_size: int | None = 25,
) -> Tensor:
    """What the model returns for draws from the guide: linear predictors, logits, means.

    Args:
        model: A Pyro model that returns a tensor.
        guide: Its guide.
        data: The model's arguments, new inputs among them; responses may be left out.
        num_draws: Number of draws S.
        seed: Seed of the draws.
        chunk_size: Draws computed at a time, to bound memory; ``None`` for all.

    Returns:
        The model's return values with a leading dimension of size S.

    Raises:
        ValueError: If ``num_draws`` is not positive.

    Example::

        probabilities = predict(model, guide, (x,)).softmax(-1).mean(0)
    """

    def one(values: dict[str, Tensor]) -> dict[str, Tensor]:
        with Given(values):
            return {"value": model(*data)}

    latents = draw_latents(guide, data, num_draws, seed)
    with torch.no_grad():
        return map_draws(one, latents, seed, chunk_size)["value"]
