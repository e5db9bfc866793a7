r"""Bayes factors of many models: for every size a smooth function of R², so that a table serves all."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from l0bayes.selection.slab_priors.slab_prior import (
    SlabPrior,
    SlabSetting,
    log_bayes_factor,
    posterior_of_g,
)

__all__ = ["FactorTable"]

_POINTS = 1024
# So many models are computed as they are.
_FEW = 4096
_CHUNK = 8192


class FactorTable:
    r"""Log Bayes factors and mean shrinkages of models by rank and R², of one slab prior.

    For each rank p the functions :math:`\log \mathrm{BF} - \tfrac{\nu}{2} x`, :math:`E[s]` and
    :math:`E[s^2]` with :math:`s = g/(1+g)`, :math:`x = -\log(1 - R^2)`, are kept on a grid even in
    :math:`\log(1 + \nu x)`, and read by cubic Hermite interpolation; the error is below 1e-8, which a
    test holds. Priors with one g a model are computed as they are.

    Args:
        slab: The prior.
        setting: Numbers of rows and columns.
        largest_r2: R² of the model with all columns.
    """

    def __init__(self, slab: SlabPrior, setting: SlabSetting, largest_r2: float) -> None:
        self.slab, self.setting = slab, setting
        span = -math.log1p(-min(largest_r2 + 1e-12, 1.0 - 1e-15))
        self._step = math.log1p(setting.degrees * span) / (_POINTS - 1)
        grid = self._step * torch.arange(_POINTS, dtype=torch.float64)
        self._x = torch.expm1(grid) / setting.degrees
        self._rows = torch.zeros(6, 1, _POINTS, dtype=torch.float64)
        probe = slab.rule(setting, torch.ones(1), torch.full((1,), 0.5, dtype=torch.float64))
        self._single = probe.log_g.shape[-1] == 1

    def log_factors(self, rank: Tensor, r2: Tensor) -> Tensor:
        """Log Bayes factors against the model with every gate shut, of the shape of ``rank``.

        Args:
            rank: Number of independent columns of each model, any shape.
            r2: Their R², of the same shape.
        """
        return self._direct(rank, r2)[0] if self._single else self._table(rank, r2, (0,))[0]

    def exact_factors(self, rank: Tensor, r2: Tensor) -> Tensor:
        """The same without a table where models are few.

        Args:
            rank: Number of independent columns of each model, shape ``(M,)``.
            r2: Their R², shape ``(M,)``.
        """
        return self._direct(rank, r2)[0] if rank.numel() <= _FEW else self.log_factors(rank, r2)

    def shrinkages(self, rank: Tensor, r2: Tensor) -> tuple[Tensor, Tensor]:
        """:math:`E[s]` and :math:`E[s^2]` given each model, of the shape of ``rank``.

        Args:
            rank: Number of independent columns of each model, any shape.
            r2: Their R², of the same shape.
        """
        if self._single:
            _, first, second = self._direct(rank, r2, moments=True)
            return first, second
        first, second = self._table(rank, r2, (1, 2))
        return first, second

    def _direct(self, rank: Tensor, r2: Tensor, *, moments: bool = False) -> list[Tensor]:
        flat_rank, flat_r2 = rank.flatten(), r2.flatten()
        parts: list[list[Tensor]] = [[], [], []]
        size = max(1, len(flat_rank) if self._single else _CHUNK)
        for ranks, shares in zip(flat_rank.split(size), flat_r2.split(size), strict=True):
            parts[0].append(log_bayes_factor(self.slab, self.setting, ranks, shares))
            if moments:
                rule, probability = posterior_of_g(self.slab, self.setting, ranks, shares)
                shrunk = torch.sigmoid(rule.log_g)
                parts[1].append((probability * shrunk).sum(-1))
                parts[2].append((probability * shrunk.square()).sum(-1))
        return [torch.cat(part).reshape(rank.shape) for part in parts if part]

    def _table(self, rank: Tensor, r2: Tensor, which: tuple[int, ...]) -> list[Tensor]:
        most = int(rank.max()) if rank.numel() else 0
        known = self._rows.shape[1]
        if known <= most:
            self._rows = torch.cat(
                [self._rows, *(self._row(one)[:, None] for one in range(known, most + 1))], 1
            )
        x = -torch.log1p(-r2.clamp(0.0, 1.0 - 1e-15))
        place = torch.log1p(self.setting.degrees * x).div_(self._step)
        left = place.floor().clamp_(0.0, _POINTS - 2.0)
        t = place.sub_(left)
        table = self._rows.flatten(1)
        index = rank.long() * _POINTS + left.long()
        found = []
        for number in which:
            value, slope = table[2 * number], table[2 * number + 1]
            a, b = value[index], value[index + 1]
            change = b - a
            da, db = slope[index], slope[index + 1]
            # Hermite's cubic in Horner's form.
            cubic = da + db - 2.0 * change
            result = a + t * (da + t * (change - da - cubic + t * cubic))
            if number == 0:
                result = torch.where(rank > 0, result + 0.5 * self.setting.degrees * x, 0.0)
            found.append(result)
        return found

    def _row(self, rank: int) -> Tensor:
        """Values and slopes of the three functions on the grid, shape ``(6, points)``."""
        r2 = -torch.expm1(-self._x)
        ranks = torch.full((_POINTS,), rank)
        factors, first, second = self._direct(ranks, r2, moments=True)
        rows = []
        for values in (factors - 0.5 * self.setting.degrees * self._x, first, second):
            rows += [values, _slopes(values)]
        return torch.stack(rows)


def _slopes(values: Tensor) -> Tensor:
    """Derivatives by place, of fourth order."""
    slopes = torch.empty_like(values)
    slopes[2:-2] = (values[:-4] - 8.0 * values[1:-3] + 8.0 * values[3:-1] - values[4:]) / 12.0
    ends = values.new_tensor([[-25.0, 48.0, -36.0, 16.0, -3.0], [-3.0, -10.0, 18.0, -6.0, 1.0]]) / 12.0
    slopes[:2] = ends @ values[:5]
    slopes[-2:] = -(ends @ values.flip(0)[:5]).flip(0)
    return slopes
