r"""What priors of a learned slab scale declare."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

__all__ = ["SlabScaleLaw"]


class SlabScaleLaw(ABC):
    r"""Prior of the number s by which all slab scales of independent Normal slabs are multiplied.

    .. math:: \theta_j \mid s \sim N(0, s^2 s_j^2)\ \ [\text{times } \sigma^2], \qquad s \sim p(s)

    A frozen dataclass, one file a law, that is registered by
    :func:`~l0bayes.selection.slab_priors.slab_scale_registry.register_slab_scale_law`.

    Attributes:
        name: What it is called.
    """

    name: ClassVar[str]

    @abstractmethod
    def log_density_of_log(self, log_scale: Tensor) -> Tensor:
        r"""Log density of :math:`u = \log s`, any shape.

        Args:
            log_scale: u.
        """

    @abstractmethod
    def tails(self, log_low: Tensor, log_high: Tensor) -> tuple[Tensor, Tensor]:
        """Log probabilities below one scale and above another.

        Args:
            log_low: Logarithm of the first.
            log_high: Of the second.
        """

    @abstractmethod
    def draw(self) -> Tensor:
        """A scale, by torch's generator as it stands; a scalar."""

    @property
    @abstractmethod
    def words(self) -> str:
        """The law as one reads it, as HTML with ``<sub>`` and no other tag: ``"s ~ half-Cauchy(1)"``."""
