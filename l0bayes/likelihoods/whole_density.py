r"""The log density of all rows together, where rows have none of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

__all__ = ["WholeDensity"]


class WholeDensity(ABC):
    r"""A log density :math:`\ell(\eta)` of n rows that does not fall into a sum over rows; concave in η."""

    @abstractmethod
    def value(self, eta: Tensor) -> Tensor:
        """ℓ, shape ``(M,)``.

        Args:
            eta: η, shape ``(M, n)``.
        """

    @abstractmethod
    def rows(self, eta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        r"""ℓ, its gradient in η, and the part of :math:`-\nabla^2\ell` on the diagonal that is positive.

        Args:
            eta: η, shape ``(M, n)``.

        Returns:
            Shapes ``(M,)``, ``(M, n)`` and ``(M, n)``.
        """

    @abstractmethod
    def curvature(self, eta: Tensor, columns: Tensor) -> Tensor:
        r""":math:`-X'\,\nabla^2\ell\,X`, shape ``(M, s, s)``.

        Args:
            eta: η, shape ``(M, n)``.
            columns: X by its columns, shape ``(M, s, n)``.
        """

    @abstractmethod
    def second_order(self, eta: Tensor, white: Tensor) -> tuple[Tensor, Tensor]:
        r"""Terms of Laplace's method of the next order, in coordinates in which the curvature is 1.

        With :math:`T_{abc}` and :math:`T_{abcd}` the third and fourth derivatives of ℓ along the columns,

        .. math:: c = \tfrac18 \sum_{ab} T_{aabb} + \tfrac18 \sum_c \Bigl(\sum_a T_{aac}\Bigr)^2
            + \tfrac1{12} \sum_{abc} T_{abc}^2

        Args:
            eta: η, shape ``(M, n)``.
            white: The columns, shape ``(M, s, n)``.

        Returns:
            c, shape ``(M,)``, and :math:`\sum_a T_{aac}`, shape ``(M, s)``.
        """
