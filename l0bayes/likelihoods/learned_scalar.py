r"""A positive number of a likelihood that is learned: its name, and its prior."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

__all__ = ["LearnedScalar", "log_gamma_density"]


@dataclass(frozen=True)
class LearnedScalar:
    r"""A positive number s with its prior, as it is integrated over: by its logarithm.

    Attributes:
        name: Its name among the unknowns of the likelihood.
        log_density: Log density of :math:`t = \log s`, so :math:`\log p(s) + t`; from t of any shape.
        start: A value of s to start a search from.
        least, most: Between what t is looked for.
    """

    name: str
    log_density: Callable[[Tensor], Tensor]
    start: float
    least: float = -14.0
    most: float = 14.0


def log_gamma_density(shape: float, rate: float, log_constant: float) -> Callable[[Tensor], Tensor]:
    r"""Log density of the logarithm of a Gamma(a, b) number: :math:`c + a t - b e^t`.

    Args:
        shape: a.
        rate: b.
        log_constant: :math:`c = a \log b - \log\Gamma(a)`.
    """
    return lambda t: log_constant + shape * t - rate * t.exp()
