r"""The Bayesian false discovery rate."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["fdr_q_values"]


def fdr_q_values(pip: Tensor) -> Tensor:
    r"""Bayesian false discovery rate of the smallest selection that holds each gate.

    .. math:: q_g = \frac{\sum_h (1 - \mathrm{PIP}_h)\,1[\mathrm{PIP}_h \ge \mathrm{PIP}_g]}
        {\sum_h 1[\mathrm{PIP}_h \ge \mathrm{PIP}_g]}

    Args:
        pip: Posterior inclusion probability of every gate, shape ``(G,)``.
    """
    order = torch.argsort(pip, descending=True)
    ordered = pip[order]
    # Gates of one probability are taken or left together: up to the last of them.
    last = torch.searchsorted(-ordered.contiguous(), -ordered, right=True)
    rates = (1.0 - ordered).cumsum(0)[last - 1] / last
    return torch.empty_like(rates).index_copy_(0, order, rates)
