r"""Gates drawn from their prior."""

from __future__ import annotations

import torch
from torch import Tensor

from l0bayes.selection.problem.inclusion_prior import InclusionPrior

__all__ = ["drawn_gates"]

# Models are drawn until the restriction of a prior holds, so many at a time and at most so often.
_BATCH, _TRIES = 4096, 64


def drawn_gates(prior: InclusionPrior, count: int) -> Tensor:
    """Gates from their prior, shape ``(G,)``.

    Args:
        prior: The prior.
        count: Number of gates G.

    Raises:
        ValueError: If its restriction holds too rarely for draws to find it.
    """
    for _ in range(_TRIES):
        several = 1 if prior.restriction is None else _BATCH
        gates = (torch.rand(several, count, dtype=torch.float64) < _inclusion(prior, several, count)).double()
        if prior.restriction is None:
            return gates[0]
        gates[:, prior.restriction.always] = 1.0
        allowed = gates[prior.restriction.allows(gates)]
        if len(allowed):
            return allowed[0]
    raise ValueError(
        f"none of {_TRIES * _BATCH:,} models drawn from the prior has the parents that heredity asks for: "
        "take fewer products, or heredity='weak'"
    )


def _inclusion(prior: InclusionPrior, several: int, count: int) -> Tensor:
    """Inclusion probabilities, drawn where they have a prior."""
    if prior.log_odds is not None:
        return torch.sigmoid(prior.log_odds).expand(several, count)
    if prior.blocks is not None:
        a, b, index = prior.blocks.a.double(), prior.blocks.b.double(), prior.blocks.index
    else:
        assert prior.beta is not None
        a, b = (torch.tensor([float(part)], dtype=torch.float64) for part in prior.beta)
        index = torch.zeros(count, dtype=torch.long)
    one, other = (torch._standard_gamma(part.expand(several, -1)) for part in (a, b))
    return (one / (one + other))[:, index]
