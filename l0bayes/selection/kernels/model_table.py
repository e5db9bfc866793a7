r"""Tables of a number for each of all models: priors, sizes and sums, without a matrix of all gates."""

from __future__ import annotations

import torch
from torch import Tensor

from l0bayes.selection.problem.inclusion_prior import InclusionPrior

__all__ = ["GateSums", "gate_sums", "gates_of", "log_priors", "model_sizes", "open_sums"]

_CHUNK = 2**16


def gates_of(numbers: Tensor, count: int) -> Tensor:
    """Models by their numbers, as zeros and ones of shape ``(..., G)``: bit g of a number is gate g.

    Args:
        numbers: Numbers of models, any shape.
        count: Number of gates G.
    """
    return (numbers[..., None] >> torch.arange(count)) & 1


def open_sums(values: Tensor) -> Tensor:
    """Sum over the open gates of every model of a number of each gate, shape ``(2**G,)``.

    Args:
        values: The numbers, shape ``(G,)``.
    """
    sums = values.new_zeros(1)
    for value in values:
        sums = torch.cat([sums, sums + value])
    return sums


def model_sizes(count: int) -> Tensor:
    """Number of open gates of every model, shape ``(2**G,)``.

    Args:
        count: Number of gates G.
    """
    return open_sums(torch.ones(count, dtype=torch.int32))


def log_priors(prior: InclusionPrior, count: int) -> Tensor:
    """Log prior probability of every model, shape ``(2**G,)``.

    Args:
        prior: Prior of the gates.
        count: Number of gates G.
    """
    if not prior.counts_only:
        numbers = torch.arange(2**count).split(_CHUNK)
        return torch.cat([prior.log_prob(gates_of(part, count).double()) for part in numbers])
    if prior.log_odds is None:
        by_size = prior.log_prob(torch.ones(count + 1, count, dtype=torch.float64).tril(-1))
        return by_size[model_sizes(count)]
    return open_sums(prior.log_odds.double()) + prior.log_prob(torch.zeros(count, dtype=torch.float64))


class GateSums:
    """Sums of weights of models over those with gates open or shut.

    Attributes:
        joint: Over models with both of two gates open, shape ``(G, G)``.
        shut: Over models with a gate shut, shape ``(G,)``.
    """

    def __init__(self, joint: Tensor, shut: Tensor) -> None:
        self.joint, self.shut = joint, shut

    @property
    def opened(self) -> Tensor:
        """Over models with a gate open, shape ``(G,)``."""
        return self.joint.diagonal()


def gate_sums(weights: Tensor) -> GateSums:
    """Sums of the weights of all models. Each is added up by itself, so that a small one keeps its digits.

    Args:
        weights: Not negative, shape ``(2**G,)``.
    """
    count = len(weights).bit_length() - 1
    joint, shut = weights.new_zeros(count, count), weights.new_zeros(count)
    for gate in reversed(range(count)):
        without, within = weights[: 2**gate], weights[2**gate :]
        shut[gate] = without.sum()
        weights = without + within
        for other in reversed(range(gate)):
            joint[gate, other] = joint[other, gate] = within[2**other :].sum()
            within = within[: 2**other] + within[2**other :]
        joint[gate, gate] = within[0]
    return GateSums(joint, shut)
