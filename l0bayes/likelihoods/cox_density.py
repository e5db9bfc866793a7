r"""Cox's log partial likelihood with its derivatives, by cumulated sums over rows in the order of time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.likelihoods.whole_density import WholeDensity

__all__ = ["CoxDensity"]


@dataclass(frozen=True)
class _Risk:
    """At linear predictors, rows in order: hazards, sums at events, and what each row has of all of them."""

    hazard: Tensor  # relative to the largest, with weights, (M, n)
    shift: Tensor  # logarithm of the largest, (M,)
    total: Tensor  # of those at risk at each event, (M, E)
    share: Tensor  # sum over events of their count times the row's share of the risk, (M, n)


class CoxDensity(WholeDensity):
    r"""The log partial likelihood of :class:`~l0bayes.likelihoods.cox_likelihood.CoxPartialLikelihood`.

    Every event e adds :math:`w_e\eta_e - b_e \log S_e`, with :math:`S_e = \sum_j c_{ej} w_j e^{\eta_j}` over
    the rows at risk; :math:`c_{ej}` is 1, or in Efron's form 1 - l/m for the m events of the same time, and
    :math:`b_e` the (mean) weight. With :math:`p_{ej} = c_{ej} w_j e^{\eta_j}/S_e` the derivatives of
    :math:`\log S_e` along columns are the cumulants of the columns under :math:`p_e`.

    Args:
        y: Times and event indicators, shape ``(n, 2)``.
        weights: Weights of the rows, shape ``(n,)``.
        efron: Whether events that share a time are treated by Efron's form; else by Breslow's.
    """

    def __init__(self, y: Tensor, weights: Tensor, *, efron: bool) -> None:
        self.order = torch.argsort(y[:, 0], descending=True, stable=True)
        times, self.events = y[self.order, 0], y[self.order, 1]
        self.weights = weights[self.order]
        self.first = torch.searchsorted(-times, -times)
        self.last = torch.searchsorted(-times, -times, right=True) - 1
        seen = self.events.nonzero()[:, 0]
        self.seen, self.at = seen, self.last[seen]
        count = self._tied(self.events)[seen]
        own = self.events * self.weights
        if efron:
            before = self.events.cumsum(0) - self.events
            self.left = (before[seen] - before[self.first[seen]]) / count
            self.number = self._tied(own)[seen] / count
        else:
            self.left = torch.zeros_like(count)
            self.number = self.weights[seen]
        self.own = own

    def _tied(self, values: Tensor) -> Tensor:
        """Sum over the rows of the same time, along the last dimension."""
        total = torch.zeros_like(values).index_add(-1, self.last, values)
        return total[..., self.last]

    def _at_events(self, values: Tensor) -> Tensor:
        """Sum over those at risk at each event, less the share that Efron's form leaves out, (..., E)."""
        found = values.cumsum(-1)[..., self.at]
        if not bool(self.left.any()):
            return found
        return found - self.left * self._tied(values * self.events)[..., self.seen]

    def _hazards(self, eta: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Predictors in order, and the first three parts of :class:`_Risk`."""
        ordered = eta[:, self.order]
        shift = ordered.amax(1)
        hazard = (ordered - shift[:, None]).exp_().mul_(self.weights)
        return ordered, hazard, shift, self._at_events(hazard)

    def _risk(self, eta: Tensor) -> _Risk:
        _, hazard, shift, total = self._hazards(eta)
        each = self.number / total
        spread = torch.zeros_like(hazard).index_add(1, self.at, each)
        share = spread.flip(1).cumsum(1).flip(1)
        if bool(self.left.any()):
            tied = torch.zeros_like(hazard).index_add(1, self.at, each * self.left)[:, self.last]
            share = share - self.events * tied
        return _Risk(hazard, shift, total, hazard * share)

    def _value(self, ordered: Tensor, shift: Tensor, total: Tensor) -> Tensor:
        value = ordered @ self.own - torch.log(total) @ self.number
        value = value - shift * self.number.sum()
        # Where hazards differ by more than numbers do, there is none.
        return torch.where((total > 0.0).all(1), value, -torch.inf)

    def value(self, eta: Tensor) -> Tensor:
        ordered, _, shift, total = self._hazards(eta)
        return self._value(ordered, shift, total)

    def rows(self, eta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        risk = self._risk(eta)
        back = torch.argsort(self.order)
        value = self._value(eta[:, self.order], risk.shift, risk.total)
        return value, (self.own - risk.share)[:, back], risk.share[:, back]

    def curvature(self, eta: Tensor, columns: Tensor) -> Tensor:
        risk, ordered = self._risk(eta), columns[..., self.order]
        mean = self._at_events(ordered * risk.hazard[:, None]) / risk.total[:, None]
        squares = (ordered * risk.share[:, None]) @ ordered.mT
        return squares - (mean * self.number) @ mean.mT

    def second_order(self, eta: Tensor, white: Tensor) -> tuple[Tensor, Tensor]:
        risk, u, b = self._risk(eta), white[..., self.order], self.number
        # Cumulants do not see a constant; near their middle sums lose no digits.
        u = u - u.mean(-1, keepdim=True)
        s = u.shape[1]
        hazard, total = risk.hazard[:, None], risk.total[:, None]
        square = u.square().sum(1)
        mean = self._at_events(u * hazard) / total  # (M, s, E)
        rows, columns = torch.triu_indices(s, s)
        pairs = self._at_events(u[:, rows] * u[:, columns] * hazard) / total
        full = pairs.new_zeros(len(u), s, s, len(b))
        full[:, rows, columns] = pairs
        full[:, columns, rows] = pairs  # E[u u'] at each event
        cubed = self._at_events(u * (square * risk.hazard)[:, None]) / total  # E[|u|² u]
        spread = torch.diagonal(full, dim1=1, dim2=2).sum(-1)  # E|u|², (M, E)
        size = mean.square().sum(1)
        inner = torch.einsum("mabe,mae->mbe", full, mean)  # E[u u'] m
        fourth = (
            4.0 * (inner * mean).sum(1)
            - 3.0 * size.square()
            - 4.0 * (cubed * mean).sum(1)
            + 2.0 * size * spread
        )
        centred = full - mean[:, :, None] * mean[:, None]
        kurtosis = fourth - (spread - size).square() - 2.0 * centred.square().sum((1, 2))
        quartic = -(risk.share * square.square()).sum(1) - kurtosis @ b
        # Third cumulants, summed over events: E[uuu] - 3 sym(E[uu] m) + 2 mmm.
        cube = torch.einsum("man,mbn,mcn->mabc", u * risk.share[:, None], u, u)
        mixed = torch.einsum("mabe,mce->mabc", full * b, mean)
        mixed = mixed + mixed.permute(0, 1, 3, 2) + mixed.permute(0, 3, 2, 1)
        power = torch.einsum("mae,mbe,mce->mabc", mean * b, mean, mean)
        third = -(cube - mixed + 2.0 * power)
        trace = torch.diagonal(third, dim1=1, dim2=2).sum(-1)
        correction = quartic / 8 + trace.square().sum(1) / 8 + third.square().sum((1, 2, 3)) / 12
        return correction, trace
