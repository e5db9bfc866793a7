r"""Gradients through gates that are exactly 0 or 1: unbiased estimators from a few evaluations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.distributions.numerics import binary_draws

__all__ = ["GATE_GRADIENT", "GATE_GRADIENTS", "RLOO", "DisARM", "GateGradient"]

GATE_GRADIENT = "l0bayes_gate_gradient"
"""Key in a guide site's ``infer`` under which binary gates name their :class:`GateGradient`."""


class GateGradient(ABC):
    r"""An unbiased estimator of :math:`\nabla_\ell\,E_{z \sim \mathrm{Bern}(\sigma(\ell))}[f(z)]`.

    The function is evaluated at one draw and at ``companions`` of it; gates of all sites change together,
    and everything else, weights and data, stays as it is.
    """

    @property
    def label(self) -> str:
        """What it is called in tables: the class's name in small letters."""
        return type(self).__name__.lower()

    @property
    @abstractmethod
    def num_evaluations(self) -> int:
        """Evaluations of the function, the first included."""

    @abstractmethod
    def companions(self, logits: Tensor, gates: Tensor) -> list[Tensor]:
        """Further values of the gates.

        Args:
            logits: Logit of the probability of being open, broadcastable to ``gates``.
            gates: The first draw, zeros and ones.

        Returns:
            ``num_evaluations - 1`` values of the shape of ``gates``.
        """

    @abstractmethod
    def gradient(self, logits: Tensor, gates: Sequence[Tensor], values: Sequence[Tensor]) -> Tensor:
        """The estimate.

        Args:
            logits: Logits of the gates.
            gates: The values of the gates, the first draw and its companions.
            values: The function there, each broadcastable to the gates.

        Returns:
            Tensor of the shape of a draw.
        """


@dataclass(frozen=True)
class DisARM(GateGradient):
    r"""The antithetic estimator of Dong, Mnih and Tucker (2020); ARM with its noise integrated out.

    With :math:`z = [u < \sigma(\ell)]` and its antithetic companion
    :math:`\tilde z = [1 - u < \sigma(\ell)]` the gradient is

    .. math:: \tfrac12\,(f(z) - f(\tilde z))\,(z - \tilde z)\,\sigma(|\ell|).

    The companion is drawn given z, without u:
    :math:`P(\tilde z = 1 \mid z = 1) = \max(0, 1 - e^{-\ell})` and
    :math:`P(\tilde z = 1 \mid z = 0) = \min(1, e^{\ell})`. A gate whose two draws agree, as those of a
    decided gate do, gets no noise at all.

    Source: arXiv 2006.10680, section 3; the same estimator as U2G (arXiv 2006.07556).
    """

    @property
    def num_evaluations(self) -> int:
        return 2

    def companions(self, logits: Tensor, gates: Tensor) -> list[Tensor]:
        if_open = -torch.expm1(-logits.clamp(min=0.0))
        if_shut = torch.exp(logits.clamp(max=0.0))
        return [binary_draws(torch.where(gates > 0.5, if_open, if_shut))]

    def gradient(self, logits: Tensor, gates: Sequence[Tensor], values: Sequence[Tensor]) -> Tensor:
        (first, second), (at_first, at_second) = gates, values
        return 0.5 * (at_first - at_second) * (first - second) * torch.sigmoid(logits.abs())


@dataclass(frozen=True)
class RLOO(GateGradient):
    r"""The score function with the other draws' mean as baseline (Kool, van Hoof and Welling 2019).

    For K independent draws, with :math:`\nabla_\ell \log q(z) = z - \sigma(\ell)`,

    .. math:: \frac{1}{K - 1} \sum_k \bigl(f(z_k) - \bar f\bigr)\,\bigl(z_k - \sigma(\ell)\bigr).

    Args:
        num_evaluations: K, at least 2.

    Raises:
        ValueError: If there are fewer than two.
    """

    num_evaluations: int = 2

    def __post_init__(self) -> None:
        validate.at_least(2, num_evaluations=self.num_evaluations)

    @property
    def label(self) -> str:
        return f"rloo({self.num_evaluations})"

    def companions(self, logits: Tensor, gates: Tensor) -> list[Tensor]:
        probability = torch.sigmoid(logits).expand_as(gates)
        return [binary_draws(probability) for _ in range(self.num_evaluations - 1)]

    def gradient(self, logits: Tensor, gates: Sequence[Tensor], values: Sequence[Tensor]) -> Tensor:
        mean = torch.stack([torch.as_tensor(value) for value in values]).mean(0)
        open_ = torch.sigmoid(logits)
        terms = ((value - mean) * (gate - open_) for gate, value in zip(gates, values, strict=True))
        return sum(terms, start=torch.zeros_like(gates[0])) / (self.num_evaluations - 1)


GATE_GRADIENTS: dict[str, GateGradient] = {"disarm": DisARM(), "rloo": RLOO()}
"""The estimators by the names by which options choose them."""
