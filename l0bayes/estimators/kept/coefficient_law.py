r"""What predictions need of a posterior: draws of the coefficients, and moments where they are exact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor

from l0bayes.estimators.original_scale import OriginalScalePosterior
from l0bayes.estimators.scaling import Scaling

__all__ = ["CoefficientLaw"]

_ROW_CHUNK = 8_000_000


@dataclass(frozen=True)
class CoefficientLaw:
    """A posterior of intercept and coefficients, on the user's scale.

    Attributes:
        columns: Places of its k columns among those of the table, shape ``(k,)``.
        mean: Posterior mean of their coefficients, shape ``(k,)``.
        intercept: Posterior mean of the intercept; 0 where there is none.
        entries: Draws of the coefficients that are not 0: draw and column, shape ``(2, m)``.
        values: Their values, shape ``(m,)``.
        intercepts: Draws of the intercept, shape ``(S,)``.
        latents: What else the law of the response needs, by name: a number for each draw, shape ``(S,)``.
        moments: Where the spread of the predictor is known exactly, what it is computed from: ``center`` and
            ``scale`` of the columns, the ``covariance`` of standardised coefficients (an intercept first),
            the response's scale ``unit`` and the mean ``noise`` variance.
    """

    columns: Tensor
    mean: Tensor
    intercept: float
    entries: Tensor
    values: Tensor
    intercepts: Tensor
    latents: Mapping[str, Tensor]
    moments: Mapping[str, Tensor]

    @classmethod
    def of(
        cls, found: OriginalScalePosterior, latents: Mapping[str, Tensor], columns: Tensor, intercept: bool
    ) -> Self:
        """That of a posterior.

        Args:
            found: The posterior on the user's scale.
            latents: As above.
            columns: As above.
            intercept: Whether there is an intercept.
        """
        draws = found.draws
        entries = draws.beta.nonzero().T
        moments: dict[str, Tensor] = {}
        if found.covariance is not None:
            unit = found.mean.new_tensor(found.scaling.response_scale)
            noise = found.mean.new_tensor(found.noise_variance)
            moments = {
                "center": found.scaling.center,
                "scale": found.scaling.scale,
                "covariance": found.covariance,
                "unit": unit,
                "noise": noise,
            }
        return cls(
            columns,
            found.mean,
            float(found.intercept) if intercept else 0.0,
            entries,
            draws.beta[entries[0], entries[1]],
            draws.intercept,
            dict(latents),
            moments,
        )

    def state(self) -> dict[str, Any]:
        """What it is made of, as plain values and tensors."""
        return {
            "columns": self.columns,
            "mean": self.mean,
            "intercept": self.intercept,
            "entries": self.entries.to(torch.int32),
            "values": self.values,
            "intercepts": self.intercepts,
            "latents": dict(self.latents),
            "moments": dict(self.moments),
        }

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> Self:
        """From what :meth:`state` gave.

        Args:
            state: The state.
        """
        return cls(**{**state, "entries": state["entries"].long()})

    @cached_property
    def _used(self) -> tuple[Tensor, Tensor]:
        """Columns that are in some draw, and the draws of their coefficients, shape ``(S, u)``."""
        used, place = torch.unique(self.entries[1], return_inverse=True)
        beta = self.mean.new_zeros(len(self.intercepts), len(used))
        beta[self.entries[0], place] = self.values
        return used, beta

    def center(self, x: Tensor) -> Tensor:
        """Posterior mean of the predictor, shape ``(n,)``.

        Args:
            x: All columns of the table, shape ``(n, p)``.
        """
        return x[:, self.columns] @ self.mean + self.intercept

    def draws(self, x: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Draws of the predictor, a piece of the rows at a time, each of shape ``(m, S)``.

        Args:
            x: All columns of the table, shape ``(n, p)``.
        """
        used, beta = self._used
        size = max(1, _ROW_CHUNK // max(1, len(self.intercepts)))
        for start in range(0, len(x), size):
            rows = slice(start, start + size)
            yield rows, x[rows][:, self.columns[used]] @ beta.T + self.intercepts

    def variance(self, x: Tensor) -> Tensor | None:
        """Posterior variance of the predictor where it is known exactly, shape ``(n,)``.

        Args:
            x: All columns of the table, shape ``(n, p)``.
        """
        if not self.moments:
            return None
        known = self.moments
        columns = Scaling(known["center"], known["scale"]).columns(x[:, self.columns])
        if known["covariance"].shape[0] > columns.shape[1]:
            columns = torch.cat([torch.ones_like(columns[:, :1]), columns], 1)
        spread = ((columns @ known["covariance"]) * columns).sum(1)
        return spread.clamp(min=0.0) * known["unit"].square()
