r"""Likelihoods of a network's output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from l0bayes import validate

__all__ = ["Likelihood", "LikelihoodName", "Observation"]

LikelihoodName = Literal["categorical", "bernoulli", "gaussian", "poisson"]
Likelihood = LikelihoodName | Callable[[Tensor], Any]
"""A name, or any function from the network's output to a Pyro distribution with one entry an example."""


class Observation(nn.Module):
    r"""The law of a target given the network's output f.

    ===============  ==========================================================
    name             law
    ===============  ==========================================================
    ``categorical``  :math:`y \sim \mathrm{Categorical}(\mathrm{softmax} f)`
    ``bernoulli``    :math:`y_k \sim \mathrm{Bernoulli}(\sigma(f_k))`
    ``gaussian``     :math:`y_k \sim N(f_k, s^2)`
    ``poisson``      :math:`y_k \sim \mathrm{Poisson}(e^{f_k})`
    a function       what it returns; dimensions after the first are joined
    ===============  ==========================================================

    Args:
        likelihood: One of these.
        noise_scale: s, a number, or ``"learned"`` for a parameter that starts at 1.

    Raises:
        ValueError: If the name is unknown, or the noise scale not positive.
    """

    def __init__(self, likelihood: Likelihood, noise_scale: float | Literal["learned"] = 1.0) -> None:
        super().__init__()
        if not callable(likelihood):
            validate.one_of(get_args(LikelihoodName), " or a function", likelihood=likelihood)
        if isinstance(noise_scale, str):
            if noise_scale != "learned":
                raise ValueError(f"noise_scale must be positive or 'learned', got {noise_scale!r}")
            self.log_noise = nn.Parameter(torch.zeros(()))
        elif not noise_scale > 0:
            raise ValueError(f"noise_scale must be positive or 'learned', got {noise_scale!r}")
        self.likelihood = likelihood
        self.noise_scale = noise_scale

    def forward(self, output: Tensor) -> Any:
        """The distribution of the targets, with one entry an example."""
        law = self._law(output)
        return law.to_event(len(law.batch_shape) - 1) if len(law.batch_shape) > 1 else law

    def _law(self, output: Tensor) -> Any:
        if callable(self.likelihood):
            return self.likelihood(output)
        if self.likelihood == "categorical":
            return dist.Categorical(logits=output)
        if self.likelihood == "bernoulli":
            return dist.Bernoulli(logits=output)
        if self.likelihood == "poisson":
            return dist.Poisson(output.exp())
        scale: Any = self.log_noise.exp() if self.noise_scale == "learned" else self.noise_scale
        return dist.Normal(output, scale)

    def check(self, y: Any, output_shape: torch.Size, rows: int) -> None:
        """Refuse targets that cannot be observed.

        Args:
            y: Targets.
            output_shape: Shape of the network's output, of any number of rows.
            rows: Number of examples.

        Raises:
            ValueError: If the shape does not match or values are outside the law's support.
            TypeError: If ``y`` is no tensor.
        """
        if callable(self.likelihood):
            return
        if not isinstance(y, Tensor):
            raise TypeError(f"y must be a tensor, got {type(y).__name__}")
        self.check_shape(y, output_shape, rows)
        outputs = output_shape[-1]
        if self.likelihood == "categorical":
            if y.is_floating_point() or y.is_complex():
                raise ValueError(
                    f"y must hold labels as integers for the categorical likelihood, got {y.dtype}"
                )
            _check_range(
                y, 0, outputs - 1, f"labels 0 to {outputs - 1}, for the network has {outputs} outputs"
            )
        elif self.likelihood == "bernoulli":
            _check_range(y, 0, 1, "values between 0 and 1 for the bernoulli likelihood")
        elif self.likelihood == "poisson":
            _check_range(y, 0, None, "counts, not negative, for the poisson likelihood")

    def check_shape(self, y: Tensor, output_shape: torch.Size, rows: int) -> None:
        """Refuse targets of another shape; see :meth:`check`, which looks at values too."""
        if callable(self.likelihood):
            return
        inner = output_shape[1:-1] if self.likelihood == "categorical" else output_shape[1:]
        expected = (rows, *inner)
        if y.shape != expected:
            raise ValueError(
                f"y must have shape {expected} for the {self.likelihood} likelihood, got {tuple(y.shape)}"
            )


def _check_range(y: Tensor, low: float, high: float | None, wanted: str) -> None:
    bad = (y < low) if high is None else (y < low) | (y > high)
    if bool(bad.any()):
        raise ValueError(
            f"y must hold {wanted}; got {y[bad][0].item()!r} ({int(bad.sum())} values out of range)"
        )
