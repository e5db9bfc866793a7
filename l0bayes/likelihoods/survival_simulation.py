r"""Survival times of which the partial likelihood is the exact law of what is seen."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["simulated_survival"]


def simulated_survival(eta: Tensor, num_events: int) -> Tensor:
    r"""Order of events under hazards :math:`h_0(t)\,e^{\eta_i}`, with rows lost from sight on the way.

    The next event is row i with probability :math:`e^{\eta_i} / \sum_{j\,\text{at risk}} e^{\eta_j}`,
    whatever :math:`h_0` is; after it rows are lost at random among those at risk, as many as were allotted to
    it before (progressive type II censoring). Losses then say nothing of the rows, and the product of these
    probabilities, the partial likelihood, is the law of the order that is seen. Times are the number of the
    event; of lost rows half a unit more than the last event's.

    Args:
        eta: η, shape ``(n,)``.
        num_events: Events that are seen, from 1 to n.

    Returns:
        Times and events, shape ``(n, 2)``.
    """
    count = len(eta)
    # Exponential times of unit baseline hazard, by their logarithms: only their order counts.
    order = torch.argsort(torch.empty_like(eta).exponential_().log() - eta)
    lost_after = torch.bincount(torch.randint(num_events, (count - num_events,)), minlength=num_events)
    found = torch.zeros(count, 2, dtype=eta.dtype)
    at_risk = order.tolist()
    for number, lost in enumerate(lost_after.tolist(), start=1):
        found[at_risk.pop(0)] = found.new_tensor([number, 1.0])
        for _ in range(lost):
            row = at_risk.pop(int(torch.randint(len(at_risk), (1,))))
            found[row] = found.new_tensor([number + 0.5, 0.0])
    return found
