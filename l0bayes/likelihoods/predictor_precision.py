"""How well a linear predictor can be read back from a law."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import torch
from torch import Tensor

__all__ = ["PredictorPrecision"]


@dataclass(frozen=True)
class PredictorPrecision:
    r"""Range and rounding error of a predictor η that is computed from the parameters of a law.

    A law given by probabilities or rates holds a function of η, which saturates or overflows: beyond a limit
    η cannot be recovered, and before it its rounding error grows.

    Attributes:
        relative: Relative rounding error of the law's parameters.
        limit: Largest :math:`|\eta - c|` that can be recovered.
        growth: How the absolute error of η grows with :math:`|\eta - c|`: ``"none"`` where the law holds η
            itself, ``"linear"`` for its exponential, ``"exponential"`` for its logistic function.
        centre: c, where the error is smallest; a number, or a tensor of the shape of the law's entries.
        advice: What to give to the law instead, for error messages.
    """

    relative: float
    limit: float = math.inf
    growth: Literal["none", "linear", "exponential"] = "none"
    centre: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    advice: str = ""

    @classmethod
    def direct(cls, dtype: torch.dtype) -> Self:
        """Of a law that holds the predictor itself.

        Args:
            dtype: Precision of its parameters.
        """
        return cls(torch.finfo(dtype).eps)

    @classmethod
    def of_rates(cls, dtype: torch.dtype) -> Self:
        r"""Of a law that holds :math:`e^{\eta}` or :math:`e^{-\eta}`.

        Args:
            dtype: Precision of its parameters.
        """
        info = torch.finfo(dtype)
        return cls(info.eps, 0.9 * math.log(info.max), "linear")

    @classmethod
    def of_probabilities(cls, dtype: torch.dtype) -> Self:
        r"""Of a law that holds :math:`\sigma(\eta)`.

        Args:
            dtype: Precision of its parameters.
        """
        eps = torch.finfo(dtype).eps
        advice = (
            "probabilities next to 0 and 1 hold few digits of it: give the law logits= rather than probs="
        )
        return cls(eps, math.log(0.01 / eps), "exponential", advice=advice)

    @classmethod
    def of_logistic(cls, law: Any) -> Self:
        """Of a law with ``logits`` and ``probs``, whichever of them it was given.

        Args:
            law: Bernoulli, binomial or negative binomial.
        """
        by_probabilities = "probs" in vars(law)
        dtype = law.logits.dtype
        return cls.of_probabilities(dtype) if by_probabilities else cls.direct(dtype)

    def recoverable(self, eta: Tensor) -> Tensor:
        """What can be recovered of a predictor: its distance from the centre, cut off at the limit.

        Args:
            eta: η, of a shape that broadcasts with the centre.
        """
        return (eta.double() - self.centre).clamp(-self.limit, self.limit)

    def rounding_error(self, eta: Tensor) -> Tensor:
        """Absolute rounding error of a predictor that is read from the law.

        Args:
            eta: η, of a shape that broadcasts with the centre.
        """
        distance = self.recoverable(eta).abs()
        if self.growth == "none":
            return 8.0 * self.relative * self.centre.abs().expand_as(distance)
        grown = distance if self.growth == "linear" else distance.exp()
        return 8.0 * self.relative * (grown + self.centre.abs())
