r"""Linear regression whose slabs have Zellner's prior given g."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from l0bayes.selection.problem.inclusion_prior import InclusionPrior
from l0bayes.selection.problem.level_block import LevelBlock
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.slab_priors.slab_prior import SlabPrior, SlabSetting

__all__ = ["ZellnerProblem", "ZellnerSystem"]

# A column that the others explain but for this share of its variation repeats them.
_REPEATED = 1e-9
# A residual sum of squares below this share of the response's is rounding.
_ROUNDING = 1e-11


@dataclass(frozen=True)
class ZellnerSystem:
    r"""Second moments of the gated columns and of the response, less what the columns without a gate explain.

    Attributes:
        matrix: :math:`A = \tilde X'W\tilde X`, shape ``(p, p)``, with something added in the directions of
            levels that no response shows, so that it is singular only where columns repeat others.
        vector: :math:`b = \tilde X'W\tilde y`, shape ``(p,)``.
        total: :math:`\tilde y'W\tilde y`.
        rows: More rows of X, with y = 0, whose second moments are what was added, shape ``(h, p)``.
        added: Precision that was added in such a direction, by column, shape ``(p,)``; 0 where none was.
        hidden: Number of such directions of every gate, shape ``(G,)``.
        least: Pivots below are rounding, by column, shape ``(p,)``.
        rank: Number of independent columns.
        largest_r2: R² of the model with every gate open.
    """

    matrix: Tensor
    vector: Tensor
    total: float
    rows: Tensor
    added: Tensor
    hidden: Tensor
    least: Tensor
    rank: int
    largest_r2: float


@dataclass(frozen=True, eq=False)
class ZellnerProblem(SelectionProblem):
    r"""A :class:`~l0bayes.selection.problem.selection_problem.SelectionProblem` with a Normal response and a
    slab prior of Zellner's kind, :class:`~l0bayes.selection.slab_priors.slab_prior.SlabPrior`.

    The noise has Jeffreys' prior, and columns without a gate a flat one. The scale of a slab is that of the
    columns themselves: ``slab_scale`` is not asked.

    Args:
        x, y, prior, slab_scale, groups: As there.
        unpenalised, unpenalised_scale, offset, weights: As there; ``unpenalised_scale`` is infinite.
        slab: The prior of the slabs; by keyword.
        blocks: Columns that stand for levels.
        weights_are_counts: Whether a row of weight w stands for w rows like it; otherwise w multiplies the
            precision of its one response.

    Raises:
        ValueError: If shapes do not fit, a number is out of range or not finite, columns are as many as rows,
            or they leave no residual.
    """

    is_gaussian: ClassVar[bool] = True

    slab_scale: Tensor = field(default_factory=lambda: torch.empty(0))
    slab: SlabPrior = field(kw_only=True)
    blocks: tuple[LevelBlock, ...] = field(default=(), kw_only=True)
    weights_are_counts: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if not self.slab_scale.numel():
            object.__setattr__(self, "slab_scale", torch.ones(self.x.shape[1], dtype=torch.float64))
        if not self.unpenalised_scale.numel() and self.unpenalised.numel():
            flat = torch.full((self.unpenalised.shape[1],), torch.inf, dtype=torch.float64)
            object.__setattr__(self, "unpenalised_scale", flat)
        super().__post_init__()
        if not bool(torch.isinf(self.unpenalised_scale).all()):
            raise ValueError(
                "unpenalised_scale must be infinite: columns without a gate have a flat prior here"
            )
        self._refuse_too_many_columns()

    def _refuse_too_many_columns(self) -> None:
        system, name, instead = self.system, f"slab={self.slab.name!r}", "Take slab='normal'"
        left = self.num_observations - self.num_unpenalised
        if system.rank >= left:
            beside = " and an intercept" if self.num_unpenalised == 1 else ""
            raise ValueError(
                f"{name} needs more rows than columns: {system.rank} independent columns{beside} fit "
                f"{self.num_observations:g} rows whatever the response is, and Zellner's prior says nothing "
                f"there. {instead}, whose slabs have a variance of their own, or leave columns out"
            )
        if left < 3:
            raise ValueError(
                f"{name} needs at least three rows more than columns that are always in. {instead}"
            )
        root = float((self.weights * (self.y - self.offset).square()).sum())
        if not system.total > _ROUNDING**2 * root or root == 0.0:
            raise ValueError(
                f"{name} needs a response that varies: here columns without a gate fit it perfectly"
            )
        if system.largest_r2 > 1.0 - _ROUNDING:
            raise ValueError(
                f"{name} needs a response that no model fits without a residual: here the columns fit it "
                f"perfectly, and Bayes factors have no bound. {instead} with noise_prior='weak'"
            )

    @property
    def num_observations(self) -> float:
        """Number of responses: n, or the sum of weights that are counts."""
        return float(self.weights.sum()) if self.weights_are_counts else float(self.num_rows)

    @property
    def mixes_slabs(self) -> str | None:
        instead = "Use 'exact' or 'gibbs', or slab='normal'"
        return f"slabs of slab={self.slab.name!r} depend on one another. {instead}"

    @property
    def noise_variance(self) -> float:
        return math.nan

    def slab_variance(self, variance: Tensor) -> Tensor:
        """Zeros: where the response shows nothing of a column, this prior gives it no variance.

        Args:
            variance: Noise variance σ², any shape.
        """
        return variance.new_zeros(*variance.shape, self.num_columns)

    @property
    def system(self) -> ZellnerSystem:
        """Second moments, computed once and kept."""
        return self.kept(_centred_moments, of_data=True)

    @property
    def setting(self) -> SlabSetting:
        """Numbers of rows and columns."""
        rows = self.num_observations
        return SlabSetting(rows, rows - self.num_unpenalised, self.system.rank)

    def of_columns(self, columns: Tensor, prior: InclusionPrior) -> Self:
        """The same problem with some of the columns, and the g of all of them.

        Args:
            columns: Their places, at least one, shape ``(k,)``; whole groups.
            prior: Prior of the one gate that they share.
        """
        place = {column: number for number, column in enumerate(columns.tolist())}
        blocks = tuple(
            replace(block, columns=tuple(place[column] for column in block.columns))
            for block in self.blocks
            if block.columns[0] in place
        )
        return self.replace(
            x=self.x[:, columns],
            slab_scale=self.slab_scale[columns],
            groups=torch.zeros(len(columns), dtype=torch.long),
            prior=prior,
            blocks=blocks,
            slab=self.slab.at(self.setting),
        )

    @property
    def log_null(self) -> float:
        r"""Log marginal likelihood of the model with every gate shut, flat priors counted as 1,

        .. math:: \log\int\!\!\int N(y; U\alpha, \sigma^2 W^{-1})\,d\alpha\,d\sigma^2/\sigma^2
            = -\tfrac{\nu}{2}\log\pi + \log\Gamma(\tfrac{\nu}{2}) - \tfrac12\log|U'WU|
            - \tfrac{\nu}{2}\log\tilde y'W\tilde y + \tfrac12\textstyle\sum_i \log w_i.
        """
        half = 0.5 * self.setting.degrees
        columns = self.unpenalised * self.weights.sqrt()[:, None]
        spread = float(torch.linalg.slogdet(columns.T @ columns).logabsdet) if self.num_unpenalised else 0.0
        weights = 0.0 if self.weights_are_counts else 0.5 * float(self.weights.log().sum())
        shape = math.lgamma(half) - half * math.log(math.pi) - half * math.log(self.system.total)
        return shape - 0.5 * spread + weights


def _centred_moments(problem: ZellnerProblem) -> ZellnerSystem:
    root = problem.weights.sqrt()
    x, y = problem.x * root[:, None], (problem.y - problem.offset) * root
    before = x.square().sum(0)
    if problem.num_unpenalised:
        basis = torch.linalg.qr(problem.unpenalised * root[:, None]).Q
        for _ in range(2):  # once more for what rounding left
            x, y = x - basis @ (basis.T @ x), y - basis @ (basis.T @ y)
    # A column that those without a gate explain is rounding.
    x = torch.where(x.square().sum(0) > _REPEATED**2 * before, x, 0.0)
    matrix, vector = x.T @ x, x.T @ y
    p = problem.num_columns
    rows, added = [x.new_zeros(0, p)], x.new_zeros(p)
    hidden = x.new_zeros(problem.num_groups, dtype=torch.long)
    for block in problem.blocks:
        if block.degrees == len(block.columns):
            continue
        columns = list(block.columns)
        size = float(matrix.diagonal()[columns].mean())
        identity = torch.eye(len(columns), dtype=x.dtype)
        more = x.new_zeros(len(columns), p)
        more[:, columns] = size**0.5 * (identity - block.effects(identity))
        rows.append(more)
        added[columns] = size
        hidden[problem.groups[columns[0]]] += len(columns) - block.degrees
    extra = torch.cat(rows)
    matrix = matrix + extra.T @ extra
    scale = matrix.diagonal().clamp(min=1e-300).sqrt()
    values, vectors = torch.linalg.eigh(matrix / scale[:, None] / scale)
    real = values > _REPEATED
    projected = (vectors.T @ (vector / scale)).square()
    total = float(y @ y)
    fitted = float((projected / values.clamp(min=1e-300))[real].sum())
    return ZellnerSystem(
        matrix=matrix,
        vector=vector,
        total=total,
        rows=extra,
        added=added,
        hidden=hidden,
        least=_REPEATED * matrix.diagonal(),
        rank=int(real.sum()) - int(hidden.sum()),
        largest_r2=min(1.0, fitted / total) if total > 0 else 0.0,
    )
