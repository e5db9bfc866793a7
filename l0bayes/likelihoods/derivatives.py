r"""Likelihoods of a linear predictor, with the derivatives that Laplace's method needs."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

__all__ = ["Bernoulli", "Binomial", "Likelihood", "NegativeBinomial", "Poisson", "supports"]


class Likelihood(ABC):
    r"""Log density of a response given its linear predictor η, log-concave in η."""

    @abstractmethod
    def derivatives(self, y: Tensor, eta: Tensor, order: int) -> tuple[Tensor, ...]:
        r"""Log density and its derivatives :math:`\partial^k \log p(y \mid \eta)/\partial\eta^k`.

        Args:
            y: Response, shape ``(n,)``.
            eta: η, shape ``(..., n)``.
            order: Highest derivative wanted, 0 to 4.

        Returns:
            ``order + 1`` tensors of the shape of ``eta``.
        """

    @abstractmethod
    def check(self, y: Tensor) -> None:
        """See whether a response is possible.

        Args:
            y: Response, shape ``(n,)``.

        Raises:
            ValueError: If it is not.
        """

    @abstractmethod
    def starting_predictor(self, y: Tensor) -> Tensor:
        """A finite η near what each response alone would say, shape ``(n,)``.

        Args:
            y: Response, shape ``(n,)``.
        """

    def log_density(self, y: Tensor, eta: Tensor) -> Tensor:
        """Log density.

        Args:
            y: Response, shape ``(n,)``.
            eta: η, shape ``(..., n)``.
        """
        return self.derivatives(y, eta, 0)[0]


class Binomial(Likelihood):
    r"""Successes in a number of trials, with :math:`\operatorname{logit} P = \eta`.

    .. math:: \log p(y \mid \eta) = \log\binom{N}{y} + y \log\sigma(\eta) + (N - y) \log\sigma(-\eta)

    Args:
        trials: N, a whole number, not negative, or one for each row, shape ``(n,)``. A row of 0 trials says
            nothing.

    Raises:
        ValueError: If a number of trials is negative or not whole, or all are 0.
    """

    def __init__(self, trials: Tensor | int) -> None:
        self.trials = torch.as_tensor(trials, dtype=torch.float64)
        right = (self.trials >= 0) & (self.trials == self.trials.round()) & self.trials.isfinite()
        if not bool(right.all()):
            wrong = self.trials[~right].flatten()[0]
            raise ValueError(f"trials must be whole numbers, not negative; got {wrong:g}")
        if not bool((self.trials > 0).any()):
            raise ValueError("trials must be at least 1 in a row: without any nothing can be learned")

    def derivatives(self, y: Tensor, eta: Tensor, order: int) -> tuple[Tensor, ...]:
        constant = torch.lgamma(self.trials + 1) - torch.lgamma(y + 1) - torch.lgamma(self.trials - y + 1)
        return _logistic(y, self.trials - y, eta, constant, order)

    def check(self, y: Tensor) -> None:
        if self.trials.ndim and self.trials.shape != y.shape:
            raise ValueError(
                f"trials must have shape {tuple(y.shape)} as y has, got {tuple(self.trials.shape)}"
            )
        wrong = y[(y < 0) | (y > self.trials) | (y != y.round())]
        if len(wrong):
            raise ValueError(f"y must hold whole numbers from 0 to the number of trials, got {wrong[0]:g}")

    def starting_predictor(self, y: Tensor) -> Tensor:
        return torch.log((y + 0.5) / (self.trials - y + 0.5))


class Bernoulli(Binomial):
    r"""Zeros and ones, with :math:`\operatorname{logit} P(y = 1) = \eta`."""

    def __init__(self) -> None:
        super().__init__(1)

    def derivatives(self, y: Tensor, eta: Tensor, order: int) -> tuple[Tensor, ...]:
        return _logistic(y, 1.0 - y, eta, None, order)

    def check(self, y: Tensor) -> None:
        wrong = y[(y != 0) & (y != 1)]
        if len(wrong):
            raise ValueError(f"y must hold zeros and ones, got {wrong[0]:g}")


class Poisson(Likelihood):
    r"""Counts, with :math:`\log E[y] = \eta`.

    .. math:: \log p(y \mid \eta) = y\eta - e^\eta - \log y!
    """

    def derivatives(self, y: Tensor, eta: Tensor, order: int) -> tuple[Tensor, ...]:
        mean = torch.exp(eta)
        values = [y * eta - mean - torch.lgamma(y + 1)]
        if order >= 1:
            values.append(y - mean)
        return (*values, *([-mean] * (order - 1)))

    def check(self, y: Tensor) -> None:
        _check_counts(y)

    def starting_predictor(self, y: Tensor) -> Tensor:
        return torch.log(y + 0.5)


class NegativeBinomial(Likelihood):
    r"""Counts that vary more than Poisson's, with :math:`\log E[y] = \eta = \log\mu`.

    .. math:: \operatorname{Var} y = \mu + \alpha\mu^2, \qquad
        \log p(y \mid \eta) = \log\frac{\Gamma(y + r)}{\Gamma(r)\,y!} + y \log\sigma(\eta - \log r)
        + r \log\sigma(\log r - \eta), \qquad r = 1/\alpha

    Args:
        dispersion: α, positive.

    Raises:
        ValueError: If the dispersion is not a positive number.
    """

    def __init__(self, dispersion: float) -> None:
        if not 0 < dispersion < float("inf"):
            raise ValueError(f"dispersion must be a positive number, got {dispersion!r}")
        self.dispersion = float(dispersion)

    def derivatives(self, y: Tensor, eta: Tensor, order: int) -> tuple[Tensor, ...]:
        r = y.new_tensor(1.0 / self.dispersion)
        constant = torch.lgamma(y + r) - torch.lgamma(r) - torch.lgamma(y + 1)
        return _logistic(y, r, eta - torch.log(r), constant, order)

    def check(self, y: Tensor) -> None:
        _check_counts(y)

    def starting_predictor(self, y: Tensor) -> Tensor:
        return torch.log(y + 0.5)


def supports(likelihood: object) -> bool:
    """Whether the engines for generalised linear models know a likelihood.

    They need its first four derivatives in the linear predictor, and that it is log-concave in it.
    Student-t and Cox likelihoods are not among them.

    Args:
        likelihood: What might be one.
    """
    return isinstance(likelihood, Likelihood)


def _logistic(
    success: Tensor, failure: Tensor, eta: Tensor, constant: Tensor | None, order: int
) -> tuple[Tensor, ...]:
    r"""Derivatives of :math:`k\log\sigma(\eta) + m\log\sigma(-\eta)`, without loss where σ is near 0 or 1."""
    small = torch.exp(-eta.abs())
    tail = torch.log1p(small)
    value = success * (eta.clamp(max=0) - tail) - failure * (eta.clamp(min=0) + tail)
    values = [value if constant is None else value + constant]
    if order >= 1:
        share = 1.0 / (1.0 + small)
        positive = eta > 0
        up = torch.where(positive, share, small * share)
        down = torch.where(positive, small * share, share)
        values.append(success * down - failure * up)
        total = success + failure
        product = small * share * share
        if order >= 2:
            second = -total * product
            values.append(second)
        if order >= 3:
            values.append(second * (down - up))
        if order >= 4:
            values.append(second * (1.0 - 6.0 * product))
    return tuple(values)


def _check_counts(y: Tensor) -> None:
    wrong = y[(y < 0) | (y != y.round())]
    if len(wrong):
        raise ValueError(f"y must hold counts 0, 1, 2, ..., got {wrong[0]:g}")
