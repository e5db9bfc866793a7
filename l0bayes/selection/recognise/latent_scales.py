r"""A latent scale, of ungated columns or of the noise, over which a posterior is averaged by quadrature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.selection.recognise.fixed_laws import demand
from l0bayes.selection.recognise.model_runs import ModelRuns, NotLinearError, Run

__all__ = ["LatentScale", "read_latent_scale"]

_POINTS = (0.05, 0.3, 1.0, 2.0, 7.0)


@dataclass(frozen=True)
class LatentScale:
    """A latent that scales the prior of others, or the noise.

    Attributes:
        name: Its name.
        value: Its value at which the problem was read.
        columns: Whether it scales each ungated column, shape ``(k,)``; ``None`` where it is of the noise.
        power: The power of it that the scale is proportional to.
        log_prior: Its log prior density at values of any shape.
    """

    name: str
    value: float
    columns: Tensor | None
    power: float
    log_prior: Callable[[Tensor], Tensor]


def read_latent_scale(
    runs: ModelRuns, name: str, columns: Tensor | None = None, power: float = 1.0
) -> LatentScale:
    """Read a scale's prior.

    Args:
        runs: Runs of the model.
        name: The latent.
        columns: The ungated columns that it scales; ``None`` for the noise.
        power: The power of it that the scale is proportional to.

    Raises:
        NotLinearError: If the prior is not of one number, or depends on latents.
    """
    value = runs.base.values[name]
    law = runs.base.law(name)
    if len(law.event_shape):
        raise NotLinearError(f"the scale {name!r} has a prior that is not of one number")

    def log_prior(values: Tensor) -> Tensor:
        found: Tensor = law.log_prob(values.to(value)).double()
        return found

    points = torch.tensor(_POINTS, dtype=torch.float64)

    def reading(run: Run) -> list[Tensor]:
        return [torch.nan_to_num(run.law(name).log_prob(points.to(value)).double(), neginf=-1e9)]

    demand(runs, f"prior of the scale {name!r}", reading)
    return LatentScale(name, float(value), columns, power, log_prior)
