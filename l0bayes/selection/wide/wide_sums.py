r"""Weighted sums over the states of wide chains: of anchors at every flip, of all columns at every pass."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from l0bayes.selection.wide.full_pass import BlockConditionals
from l0bayes.selection.wide.wide_chains import WideChains

__all__ = ["BurstSums", "PassSums", "RecordedModels", "anchor_errors", "ratio_errors"]


@dataclass
class RecordedModels:
    """Models of all chains at each flip: their open columns, numbered among all.

    Attributes:
        columns: Open columns of every chain, -1 where there are no more, each of shape ``(C, K)``.
        noise: What is known of every chain's noise, each of shape ``(C,)``.
        weights: Weights of the states, each of shape ``(C,)``.
    """

    columns: list[Tensor] = field(default_factory=list)
    noise: list[Tensor] = field(default_factory=list)
    weights: list[Tensor] = field(default_factory=list)


class BurstSums:
    """Sums over the flips between two passes, and what they add up to.

    Args:
        chains: Number of chains C.
        anchors: Number of anchors A.

    Attributes:
        weight: Weights of every chain, shape ``(C,)``.
        pip: Of conditional probabilities of the anchors, shape ``(C, A)``.
        mean, second: Of moments of their coefficients, shape ``(A,)``.
        outside: Number of open gates that are no anchors, shape ``(C,)``.
        models: The states.
    """

    def __init__(self, chains: int, anchors: int) -> None:
        self.weight, self.outside = torch.zeros(2, chains, dtype=torch.float64)
        self.pip = torch.zeros(chains, anchors, dtype=torch.float64)
        self.mean, self.second = torch.zeros(2, anchors, dtype=torch.float64)
        self.models = RecordedModels()

    def record(self, chains: WideChains) -> None:
        """Count the states that the chains are in.

        Args:
            chains: The chains, their conditionals up to date.
        """
        state, sets, count = chains.state, chains.sets, chains.num_anchors
        weight = 1.0 / state.phi
        share = state.open_[:, :count] * weight[:, None]
        mean, variance = state.mean[:, :count], state.variance[:, :count]
        self.weight += weight
        self.pip += share
        self.mean += (share * mean).sum(0)
        self.second += share.mul_(variance.addcmul(mean, mean)).sum(0)
        gated = sets.held & (sets.place >= sets.fixed)
        local = torch.where(gated, sets.place - sets.fixed, 0)
        self.outside += weight * (gated & (local >= count)).sum(1)
        self.models.columns.append(torch.where(gated, chains.columns[local], -1).to(torch.int32))
        self.models.noise.append(sets.noise_record())
        self.models.weights.append(weight)

    def add(self, other: BurstSums) -> None:
        """Take in those of a further burst.

        Args:
            other: The sums of the burst.
        """
        for name in ("weight", "pip", "mean", "second", "outside"):
            getattr(self, name).add_(getattr(other, name))
        for name in ("columns", "noise", "weights"):
            getattr(self.models, name).extend(getattr(other.models, name))


class PassSums:
    """Sums over passes; of probabilities for every group of chains, which are independent of one another.

    Args:
        groups: Number of groups.
        columns: Number of columns p.

    Attributes:
        weight: Shape ``(groups,)``.
        pip: Shape ``(groups, p)``.
        mean, second: Shape ``(p,)``.
        passes: Number of passes.
    """

    def __init__(self, groups: int, columns: int) -> None:
        self.weight = torch.zeros(groups, dtype=torch.float64)
        self.pip = torch.zeros(groups, columns, dtype=torch.float64)
        self.mean, self.second = torch.zeros(2, columns, dtype=torch.float64)
        self.passes = 0

    def record(self, block: BlockConditionals, weight: Tensor, group: Tensor) -> None:
        """Count a block of a pass.

        Args:
            block: Its conditionals.
            weight: Weights of the states, shape ``(C,)``.
            group: Group of every chain of the pass, shape ``(C,)``.
        """
        share = block.open_ * weight[:, None]
        part = slice(block.first, block.first + share.shape[1])
        self.pip[:, part].index_add_(0, group, share)
        self.mean[part] += (share * block.mean).sum(0)
        self.second[part] += (share * block.variance.addcmul(block.mean, block.mean)).sum(0)

    def add(self, other: PassSums) -> None:
        """Take in those of further passes.

        Args:
            other: The sums of the passes.
        """
        for name in ("weight", "pip", "mean", "second"):
            getattr(self, name).add_(getattr(other, name))
        self.passes += other.passes

    def finish(self, weight: Tensor, group: Tensor) -> None:
        """Count the states of a pass whose blocks are all recorded.

        Args:
            weight: Weights of the states, shape ``(C,)``.
            group: Group of every chain of the pass, shape ``(C,)``.
        """
        self.weight.index_add_(0, group, weight)
        self.passes += 1


def ratio_errors(totals: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Ratios of sums over independent chains, and their standard errors by the delta method.

    Args:
        totals: Numerators, shape ``(C, ...)``.
        weight: Denominators, shape ``(C,)``.

    Returns:
        Ratios and errors, each of shape ``(...)``; errors are NaN of a single chain.
    """
    seen = weight > 0
    if not bool(seen.all()):
        totals, weight = totals[seen], weight[seen]
    ratio = totals.sum(0) / weight.sum()
    own = weight.reshape(-1, *(1 for _ in totals.shape[1:]))
    spread = (totals - ratio * own) / weight.mean()
    return ratio, spread.std(0) / math.sqrt(len(weight))


def anchor_errors(sums: BurstSums, group: Tensor, independent: bool) -> tuple[Tensor, Tensor]:
    """Inclusion probabilities of the anchors and their standard errors, each of shape ``(A,)``.

    Chains of a group work on the same columns beside the anchors. The error is the larger one of those over
    chains, which are many, and over groups, which are independent.

    Args:
        sums: Sums over flips.
        group: Group of every chain, shape ``(C,)``.
        independent: Whether chains are independent within groups, too.
    """
    pip, error = ratio_errors(sums.pip, sums.weight)
    if independent:
        return pip, error
    weight = sums.weight.new_zeros(int(group.max()) + 1).index_add_(0, group, sums.weight)
    totals = sums.pip.new_zeros(len(weight), len(pip)).index_add_(0, group, sums.pip)
    return pip, torch.maximum(error, ratio_errors(totals, weight)[1])
