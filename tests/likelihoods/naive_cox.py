"""The partial likelihood written out, event by event."""

import torch


def partial_log_likelihood(eta, y, weights, ties="efron"):
    """Shape (...), of predictors (..., n); times and events (n, 2)."""
    hazard, (time, event) = weights * torch.exp(eta), y.unbind(1)
    total = torch.zeros(eta.shape[:-1], dtype=eta.dtype)
    for at in torch.unique(time[event == 1]):
        risk, dead = time >= at, (time == at) & (event == 1)
        count = int(dead.sum())
        total = total + (weights * eta)[..., dead].sum(-1)
        for place in range(count):
            left = place / count if ties == "efron" else 0.0
            inside = hazard[..., risk].sum(-1) - left * hazard[..., dead].sum(-1)
            if ties == "efron":
                total = total - weights[dead].mean() * inside.log()
            else:
                total = total - weights[dead][place] * inside.log()
    return total
