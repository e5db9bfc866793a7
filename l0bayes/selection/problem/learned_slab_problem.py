r"""Linear regression whose slabs have a scale that is learned."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.noise_prior import InverseGamma
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.slab_priors.slab_scale_law import SlabScaleLaw

__all__ = ["LearnedSlabProblem"]


@dataclass(frozen=True, eq=False)
class LearnedSlabProblem(SelectionProblem):
    r"""A :class:`~l0bayes.selection.problem.gaussian_problem.GaussianProblem` given a number s.

    .. math:: \theta_j \mid s \sim N(0, s^2 s_j^2)\;\;[\text{times } \sigma^2], \qquad s \sim p(s)

    Given s everything is as there, in closed form; the engine ``"exact"`` integrates over :math:`\log s` on a
    grid, and ``"gibbs"`` moves it with the gates. Draws have it in ``scalars``, one column.

    Args:
        x, y, prior, slab_scale, groups: As there.
        unpenalised, unpenalised_scale, offset, weights: As there.
        noise, slab_scaled_by_noise, weights_are_counts: As there; by keyword.
        slab_law: p(s); by keyword.

    Raises:
        ValueError: If shapes do not fit, a number is out of range or not finite, or if under Jeffreys' prior
            of the noise a model fits without a residual.
    """

    is_gaussian: ClassVar[bool] = True

    noise: float | InverseGamma = field(kw_only=True)
    slab_law: SlabScaleLaw = field(kw_only=True)
    slab_scaled_by_noise: bool = field(default=False, kw_only=True)
    weights_are_counts: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.given  # which refuses what does not go together

    @property
    def given(self) -> GaussianProblem:
        """The problem at s = 1."""
        return self.kept(_given)

    def at(self, scale: Tensor) -> GaussianProblem:
        """The problem at a scale.

        Args:
            scale: s, a scalar.
        """
        return self.given.replace(slab_scale=self.slab_scale * scale)

    @property
    def mixes_slabs(self) -> str | None:
        return "slabs share a scale that is learned. Use the engine 'exact' or 'gibbs'"

    @property
    def noise_variance(self) -> float:
        return self.given.noise_variance

    @property
    def noise_prior(self) -> InverseGamma | None:
        """Prior of σ²; ``None`` where the noise is known."""
        return self.given.noise_prior

    @property
    def times_enumerated(self) -> int:
        return 64


def _given(problem: LearnedSlabProblem) -> GaussianProblem:
    return GaussianProblem(
        **problem.parts(),
        noise=problem.noise,
        slab_scaled_by_noise=problem.slab_scaled_by_noise,
        weights_are_counts=problem.weights_are_counts,
    )
