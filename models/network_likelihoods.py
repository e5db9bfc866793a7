r"""Likelihoods of a network's output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from l0bayes import validate
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_registry import likelihood_by_name, names, supports

__all__ = ["NetworkLikelihood", "Observation"]

NetworkLikelihood = str | Likelihood | Callable[[Tensor], Any]
"""A name, a likelihood, or any function from the output to a Pyro distribution with one entry an example."""


class Observation(nn.Module):
    r"""The law of a target given the network's output f.

    ===============  ==========================================================
    name             law
    ===============  ==========================================================
    ``categorical``  :math:`y \sim \mathrm{Categorical}(\mathrm{softmax} f)`
    ``bernoulli``    :math:`y_k \sim \mathrm{Bernoulli}(\sigma(f_k))`
    ``gaussian``     :math:`y_k \sim N(f_k, s^2)`
    ``poisson``      :math:`y_k \sim \mathrm{Poisson}(e^{f_k})`
    another          what :func:`l0bayes.likelihoods.register` made known
    a function       what it returns; dimensions after the first are joined
    ===============  ==========================================================

    Targets of ``bernoulli`` and ``poisson`` need not be whole.

    Args:
        likelihood: One of these.
        noise_scale: s of a likelihood that has a noise and no scale of it: a number, or ``"learned"`` for a
            parameter that starts at 1.

    Raises:
        ValueError: If the name is unknown, the likelihood is not for networks, or the noise scale is not
            positive or given beside a likelihood that has one.
    """

    def __init__(self, likelihood: NetworkLikelihood, noise_scale: float | Literal["learned"] = 1.0) -> None:
        super().__init__()
        if noise_scale != "learned" and (isinstance(noise_scale, str) or not noise_scale > 0):
            raise ValueError(f"noise_scale must be positive or 'learned', got {noise_scale!r}")
        if isinstance(noise_scale, str):
            self.log_noise = nn.Parameter(torch.zeros(()))
        self.noise_scale = noise_scale
        self.likelihood, self.function = _parts(likelihood)
        self.gives_noise = (
            self.likelihood is not None
            and self.likelihood.has_noise
            and self.likelihood.settings["noise_scale"] is None
        )
        if noise_scale != 1.0 and isinstance(likelihood, Likelihood) and not self.gives_noise:
            raise ValueError(
                f"noise_scale: {likelihood!r} has no noise of unknown scale; got {noise_scale!r}"
            )
        if self.likelihood is not None and self.gives_noise:
            number = 1.0 if isinstance(noise_scale, str) else noise_scale
            self.likelihood = self.likelihood.changed(noise_scale=number)

    def forward(self, output: Tensor) -> Any:
        """The distribution of the targets, with one entry an example."""
        law = self._law(output)
        return law.to_event(len(law.batch_shape) - 1) if len(law.batch_shape) > 1 else law

    def _law(self, output: Tensor) -> Any:
        if self.likelihood is None:
            assert self.function is not None
            return self.function(output)
        latents = self.likelihood.latents(output.new_ones(()))
        if self.gives_noise and isinstance(self.noise_scale, str):
            latents["noise"] = self.log_noise.exp()
        return self.likelihood.law(output, latents)

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
        if self.likelihood is None:
            return
        if not isinstance(y, Tensor):
            raise TypeError(f"y must be a tensor, got {type(y).__name__}")
        self.check_shape(y, output_shape, rows)
        self.likelihood.check_targets(y, output_shape)

    def check_shape(self, y: Tensor, output_shape: torch.Size, rows: int) -> None:
        """Refuse targets of another shape; see :meth:`check`, which looks at values too."""
        if self.likelihood is None:
            return
        expected = self.likelihood.target_shape((rows, *output_shape[1:]))
        if y.shape != expected:
            raise ValueError(
                f"y must have shape {expected} for the {self.likelihood.name} likelihood, "
                f"got {tuple(y.shape)}"
            )


def _parts(given: NetworkLikelihood) -> tuple[Likelihood | None, Callable[[Tensor], Any] | None]:
    """The likelihood, or the function; the other is ``None``."""
    if not isinstance(given, str | Likelihood):
        if not callable(given):
            validate.one_of(names("network"), " or a function", likelihood=given)
        return None, given
    if isinstance(given, str):
        if given not in names():
            validate.one_of(names("network"), " or a function", likelihood=given)
        given = likelihood_by_name(given, "network")
    reason = supports(given, "network")
    if reason is not None:
        raise ValueError(f"likelihood {given.name!r} is not for network: {reason}")
    return given.fractional(), None
