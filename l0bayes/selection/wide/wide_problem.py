r"""A linear regression with gates whose columns are read from a source."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from l0bayes.selection.column_sources.column_source import ColumnSource
from l0bayes.selection.column_sources.tensor_columns import TensorColumns
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.inclusion_prior import InclusionPrior
from l0bayes.selection.problem.noise_prior import InverseGamma
from l0bayes.selection.wide.working_prior import working_prior

__all__ = ["WideProblem"]


@dataclass(frozen=True, eq=False)
class WideProblem:
    r"""A :class:`~l0bayes.selection.problem.gaussian_problem.GaussianProblem` whose columns are never
    together in memory.

    The columns of the model are :math:`x_{ij} = (s_{ij} - m_j)/c_j` with s those of the source.

    Args:
        source: The columns as they are stored.
        center: m, shape ``(p,)``.
        divisor: c, positive; infinity makes a column of zeros; shape ``(p,)``.
        y, prior, slab_scale, unpenalised, unpenalised_scale, offset, weights, noise: As there; every column
            has a gate of its own.
        slab_scaled_by_noise, weights_are_counts: As there.
        squares: Weighted sums of squares of the columns of the model, shape ``(p,)``, where they are known.

    Raises:
        ValueError: If shapes do not fit, or a number is out of range or not finite.
    """

    source: ColumnSource
    center: Tensor
    divisor: Tensor
    y: Tensor
    prior: InclusionPrior
    slab_scale: Tensor
    noise: float | InverseGamma
    unpenalised: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    unpenalised_scale: Tensor = field(default_factory=lambda: torch.empty(0))
    offset: Tensor = field(default_factory=lambda: torch.empty(0))
    weights: Tensor = field(default_factory=lambda: torch.empty(0))
    slab_scaled_by_noise: bool = False
    weights_are_counts: bool = False
    squares: Tensor | None = None

    def __post_init__(self) -> None:
        n, p = self.source.num_rows, self.source.num_columns
        if len(self.y) != n:
            raise ValueError(f"y has {len(self.y)} entries, and X has {n} rows")
        for name in ("center", "divisor", "slab_scale"):
            if getattr(self, name).shape != (p,):
                raise ValueError(f"{name} must have one entry for each of {p} columns")
        improper = isinstance(self.noise, InverseGamma) and not self.noise.is_proper
        if improper and not self.slab_scaled_by_noise and p >= n:
            raise ValueError(
                f"noise_prior 'jeffreys' needs data that no model fits perfectly, and {n} rows are fitted by "
                f"{p} columns without a residual: the marginal likelihood would be infinite. Take "
                "noise_prior='weak', or a pair (shape, rate)"
            )
        self.on(
            torch.zeros(1, dtype=torch.long), working_prior(self.prior, torch.zeros(1, dtype=torch.long), p)
        )

    @classmethod
    def of(cls, problem: GaussianProblem) -> WideProblem:
        """The same problem, its columns read from memory.

        Args:
            problem: The problem.
        """
        count = problem.num_columns
        # Columns in the order of their gates.
        order = torch.argsort(problem.groups)
        x = problem.x if torch.equal(order, torch.arange(count)) else problem.x[:, order]
        return cls(
            TensorColumns(x),
            torch.zeros(count, dtype=torch.float64),
            torch.ones(count, dtype=torch.float64),
            y=problem.y,
            prior=problem.prior,
            slab_scale=problem.slab_scale[order],
            noise=problem.noise,
            unpenalised=problem.unpenalised,
            unpenalised_scale=problem.unpenalised_scale,
            offset=problem.offset,
            weights=problem.weights,
            slab_scaled_by_noise=problem.slab_scaled_by_noise,
            weights_are_counts=problem.weights_are_counts,
        )

    @property
    def num_columns(self) -> int:
        """Number of columns p."""
        return self.source.num_columns

    def gather(self, columns: Tensor) -> Tensor:
        """Some columns of the model, in double precision, shape ``(n, k)``.

        Args:
            columns: Their numbers, shape ``(k,)``.
        """
        values = self.source.gather(columns)
        return values.sub_(self.center[columns]).div_(self.divisor[columns])

    def on(self, columns: Tensor, prior: InclusionPrior, x: Tensor | None = None) -> GaussianProblem:
        """The problem of some columns, those of the others left out.

        Args:
            columns: Their numbers, shape ``(k,)``.
            prior: Prior of their gates.
            x: The columns, where they are known already.
        """
        return GaussianProblem(
            x=self.gather(columns) if x is None else x,
            y=self.y,
            prior=prior,
            slab_scale=self.slab_scale[columns],
            noise=self.noise,
            unpenalised=self.unpenalised,
            unpenalised_scale=self.unpenalised_scale,
            offset=self.offset,
            weights=self.weights,
            slab_scaled_by_noise=self.slab_scaled_by_noise,
            weights_are_counts=self.weights_are_counts,
        )
