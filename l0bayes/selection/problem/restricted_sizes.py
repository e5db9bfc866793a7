r"""The law of gates under a restriction: how probable each is, and how many are open."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.problem.gate_restriction import GateRestriction

__all__ = ["RestrictedSizes", "restricted_sizes"]

# So many gates that others need are gone through one by one; of more, models are drawn.
_MOST_INNER = 16
_CHAINS, _SWEEPS, _WARM_UP = 64, 120, 20


@dataclass(frozen=True)
class RestrictedSizes:
    """What is known of a restricted prior.

    Attributes:
        inclusion: Prior inclusion probability of every gate, shape ``(G,)``.
        sizes: Probabilities of the number of open gates, shape ``(G + 1,)``.
        log_total: Log of the probability that the restriction holds, before it is imposed; 0 where models
            were drawn.
    """

    inclusion: Tensor
    sizes: Tensor
    log_total: float


def restricted_sizes(
    restriction: GateRestriction, log_odds: Tensor | None, beta: tuple[float, float] | None
) -> RestrictedSizes:
    r"""The law of the gates given that a restriction holds.

    Gates that no other needs are independent given the others and π. So only the states of gates that
    others need, of which there are :math:`2^m`, are gone through, and the rest is added up in closed form:
    under a Beta prior all models with as many open gates are equally probable. Beyond 16 such gates models
    are drawn by Gibbs sampling, and probabilities are right to about .01.

    Args:
        restriction: Gates that are always open, and gates that need others.
        log_odds: Log odds of each gate, shape ``(G,)``; ``None`` under a Beta prior.
        beta: ``(a, b)``; ``None`` otherwise.
    """
    inner = restriction.inner.nonzero()[:, 0]
    if len(inner) > _MOST_INNER:
        return _drawn(restriction, log_odds, beta)
    count = len(restriction.always)
    states = torch.zeros(2 ** len(inner), count, dtype=torch.float64)
    states[:, inner] = ((torch.arange(len(states))[:, None] >> torch.arange(len(inner))) & 1).double()
    states[:, restriction.always] = 1.0
    permitted = restriction.permitted(states)
    # Parents may need others themselves.
    kept = (permitted | (states == 0)).all(1)
    states, permitted = states[kept], permitted[kept]
    leaves = restriction.free & ~restriction.inner
    if log_odds is not None:
        return _independent(states, permitted, leaves, inner, log_odds)
    assert beta is not None
    return _exchangeable(states, permitted, leaves, restriction, beta)


def _independent(
    states: Tensor, permitted: Tensor, leaves: Tensor, inner: Tensor, log_odds: Tensor
) -> RestrictedSizes:
    pi = torch.sigmoid(log_odds)
    logs = states[:, inner] @ log_odds[inner] + torch.nn.functional.logsigmoid(-log_odds[inner]).sum()
    # A leaf that may not open is shut, with its probability of that.
    shut = torch.nn.functional.logsigmoid(-log_odds) * leaves
    logs = logs + (~permitted).double() @ shut
    total = torch.logsumexp(logs, 0)
    weights = (logs - total).exp()
    may = permitted & leaves
    inclusion = weights @ (states + may * pi)
    place = states.sum(1).long()
    sizes = torch.zeros(len(states), states.shape[1] + 1, dtype=torch.float64)
    sizes[torch.arange(len(states)), place] = 1.0
    for leaf in leaves.nonzero()[:, 0]:
        chance = (may[:, leaf] * pi[leaf])[:, None]
        sizes = sizes * (1.0 - chance) + sizes.roll(1, 1) * chance
    return RestrictedSizes(inclusion, weights @ sizes, float(total))


def _exchangeable(
    states: Tensor, permitted: Tensor, leaves: Tensor, restriction: GateRestriction, beta: tuple[float, float]
) -> RestrictedSizes:
    a, b = (torch.tensor(part, dtype=torch.float64) for part in beta)
    free, always = int(restriction.free.sum()), int(restriction.always.sum())
    may = permitted & leaves
    opened, room = (states.sum(1) - always).long(), may.sum(1)
    # All models with so many open free gates are equally probable.
    k = torch.arange(free + 1, dtype=torch.float64)
    joint = torch.lgamma(a + k) + torch.lgamma(b + free - k) - torch.lgamma(a + b + free)
    joint = joint - (torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b))
    steps = torch.arange(int(room.max()) + 1, dtype=torch.float64)
    wide = room[:, None].double()
    chosen = torch.lgamma(wide + 1) - torch.lgamma(steps + 1) - torch.lgamma((wide - steps).clamp(min=0) + 1)
    place = opened[:, None] + steps.long()
    logs = torch.where(steps <= wide, chosen + joint[place.clamp(max=free)], -torch.inf)
    total = torch.logsumexp(logs.flatten(), 0)
    mass = (logs - total).exp()
    sizes = torch.zeros(states.shape[1] + 1, dtype=torch.float64)
    sizes.index_add_(0, (place + always).clamp(max=states.shape[1]).flatten(), mass.flatten())
    share = (mass * steps).sum(1) / wide[:, 0].clamp(min=1.0)
    inclusion = mass.sum(1) @ states + share @ may.double()
    return RestrictedSizes(inclusion, sizes, float(total))


def _drawn(
    restriction: GateRestriction, log_odds: Tensor | None, beta: tuple[float, float] | None
) -> RestrictedSizes:
    count = len(restriction.always)
    inner = restriction.inner.nonzero()[:, 0].tolist()
    leaves = restriction.free & ~restriction.inner
    inclusion = torch.zeros(count, dtype=torch.float64)
    sizes = torch.zeros(count + 1, dtype=torch.float64)
    with private_randomness(0):
        gates = restriction.always.expand(_CHAINS, count).clone()
        odds = log_odds if log_odds is not None else torch.zeros(count, dtype=torch.float64)
        for sweep in range(_SWEEPS):
            if beta is not None:
                size = (gates & restriction.free).sum(1).double()
                shares = [torch._standard_gamma(beta[0] + size)]
                shares.append(torch._standard_gamma(beta[1] + int(restriction.free.sum()) - size))
                odds = (shares[0].log() - shares[1].log())[:, None].expand(_CHAINS, count)
            chance = torch.sigmoid(odds.expand(_CHAINS, count))
            for gate in inner:
                movable = restriction.movable(gates.double())[:, gate]
                drawn = torch.rand(_CHAINS, dtype=torch.float64) < chance[:, gate]
                gates[:, gate] = torch.where(movable, drawn, gates[:, gate])
            may = restriction.permitted(gates.double())
            drawn = (torch.rand(_CHAINS, count, dtype=torch.float64) < chance) & may
            gates = torch.where(leaves, drawn, gates)
            if sweep >= _WARM_UP:
                inclusion += torch.where(leaves, chance * may, gates.double()).sum(0)
                sizes += torch.bincount(gates.sum(1), minlength=count + 1).double()
    return RestrictedSizes(inclusion / (_CHAINS * (_SWEEPS - _WARM_UP)), sizes / sizes.sum(), 0.0)
