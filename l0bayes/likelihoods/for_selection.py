r"""What engines of variable selection ask of a likelihood."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from l0bayes.likelihoods.learned_scalar import LearnedScalar
from l0bayes.likelihoods.whole_density import WholeDensity

__all__ = ["ForSelection"]


class ForSelection:
    """Numbers that are learned, and the shape of a log density, for integrals over coefficients.

    Attributes:
        log_concave: Whether its log density is concave in η.
        has_bound: Whether it has :meth:`curvature_bound` where it is not.
    """

    log_concave: ClassVar[bool] = True
    has_bound: ClassVar[bool] = False

    @property
    @abstractmethod
    def unknowns(self) -> tuple[str, ...]:
        """Numbers without a given value."""

    @abstractmethod
    def changed(self, **options: Any) -> Self:
        """A copy with other options."""

    @abstractmethod
    def supports_derivatives(self) -> str | None:
        """Why rows have no derivatives, if so."""

    @abstractmethod
    def supports_draws(self) -> str | None:
        """Why no responses can be drawn, if so."""

    @abstractmethod
    def latents(self, one: Tensor) -> dict[str, Tensor]:
        """What the law needs beside the predictor."""

    @abstractmethod
    def law(self, predictor: Tensor, latents: dict[str, Tensor], weights: Tensor | None = None) -> Any:
        """The law of the responses."""

    def supports_simulation(self) -> str | None:
        """Why no data can be simulated under which the likelihood is right, if so."""
        return self.supports_draws()

    def simulated(self, eta: Tensor, like: Tensor) -> Tensor:
        """Responses of simulated data, of the shape of ``like``.

        Args:
            eta: η, shape ``(n,)``.
            like: A response of the same design, of which only that is taken which no law gives, such as how
                many events are seen.
        """
        found: Tensor = self.law(eta, self.latents(torch.ones((), dtype=eta.dtype))).sample()
        return found.to(eta.dtype)

    def supports_selection(self) -> str | None:
        """Why the engines of variable selection cannot integrate out coefficients, if so."""
        return self.supports_expansion()

    def supports_expansion(self) -> str | None:
        """Why its log density, given what is learned, cannot be expanded in the predictor, if so."""
        if not (self.log_concave or self.has_bound):
            return (
                "its log density is not concave in the linear predictor, so that coefficients may have "
                "several modes"
            )
        if not self.unknowns:
            return self.supports_derivatives()
        learned = {scalar.name: 1.0 for scalar in self.learned_scalars()}
        if any(name not in learned for name in self.unknowns):
            return f"{self.unknowns[0]} is a latent of its own; give a number"
        return self.given(learned).supports_derivatives()

    def learned_scalars(self) -> tuple[LearnedScalar, ...]:
        """The unknowns that selection integrates over, by quadrature over their logarithms; one or two."""
        return ()

    def given(self, values: Mapping[str, Any]) -> Self:
        """The likelihood with numbers for what is learned.

        Args:
            values: By the names of :meth:`learned_scalars`: positive numbers, or tensors for :meth:`mean` and
                :meth:`variance` of many draws.
        """
        return self.changed(**values)

    def curvature_bound(self, y: Tensor, eta: Tensor) -> Tensor:
        r"""A positive curvature c(η) whose parabola lies below the log density, whatever its sign of ℓ'':

        .. math:: \log p(y \mid \eta') \ge \log p(y \mid \eta) + \ell'(\eta)(\eta' - \eta)
            - \tfrac12 c(\eta)(\eta' - \eta)^2

        Args:
            y: Response, shape ``(n,)``.
            eta: η, shape ``(..., n)``.
        """
        raise NotImplementedError("the likelihood has no bound of its curvature")

    def check_offset(self, offset: Tensor) -> None:
        """Refuse offsets under which numbers hold no likelihood; by default none.

        Args:
            offset: Offset of each row, shape ``(n,)``.

        Raises:
            ValueError: By the first row.
        """

    def whole_density(self, y: Tensor, weights: Tensor) -> WholeDensity:
        """The log density of all rows together with its derivatives, where not ``by_row``.

        Args:
            y: Responses, shape ``(n, *response_shape)``.
            weights: Case weights, shape ``(n,)``.
        """
        raise NotImplementedError(f"the likelihood has no derivatives: {self.supports_derivatives()}")
