r"""Likelihoods of a network's output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from l0bayes import validate
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_registry import likelihood_by_name, names, supports
from l0bayes.models.network_precision import full_precision
from l0bayes.network import tensors_by_name

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
        self.classes_second = False
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

    def predictor(self, output: Any) -> Any:
        """The tensor of a network's output that a likelihood takes; the output itself for a function.

        It is the output where that is a tensor, its ``logits`` where it has such an entry or attribute, or
        its only tensor.

        Args:
            output: What the network returned.

        Raises:
            TypeError: If there is none, or it is not clear which.
        """
        if self.likelihood is None or isinstance(output, Tensor):
            return output
        found = {name: x for name, x in tensors_by_name(output, "out").items() if x.is_floating_point()}
        logits = [name for name in found if name in ("out.logits", "out['logits']")]
        names = logits or list(found)
        if len(names) != 1:
            example = f" such as lambda out: dist.Categorical(logits={names[0]})" if names else ""
            raise TypeError(
                f"net returns a {type(output).__name__} of {len(found)} tensors "
                f"({', '.join(found) or 'none'}), of which the {self.likelihood.name} likelihood needs one; "
                f"give a function as likelihood,{example}"
            )
        return found[names[0]]

    def forward(self, output: Any, y: Any = None) -> Any:
        """The distribution of the targets, with one entry an example."""
        if isinstance(output, Tensor):
            output = full_precision(output)
            if self.likelihood is not None and self._classes_are_second(y, output.shape, len(output)):
                output = output.movedim(1, -1)
        law = self._law(output)
        return law.to_event(len(law.batch_shape) - 1) if len(law.batch_shape) > 1 else law

    def _classes_are_second(self, y: Any, shape: Sequence[int], rows: int) -> bool:
        """Whether outputs are ``(rows, classes, ...)``, as torch's losses have them, not ``(..., classes)``.

        By the shape of the targets; where both fit, classes come last.
        """
        likelihood = self.likelihood
        if likelihood is None or not likelihood.has_classes or len(shape) < 3:
            return False
        if not isinstance(y, Tensor):
            return self.classes_second
        last = tuple(y.shape) == likelihood.target_shape((rows, *shape[1:]))
        self.classes_second = not last and tuple(y.shape) == (rows, *shape[2:])
        return self.classes_second

    def _law(self, output: Tensor) -> Any:
        if self.likelihood is None:
            assert self.function is not None
            return self.function(output)
        latents = self.likelihood.latents(output.new_ones(()))
        if self.gives_noise and isinstance(self.noise_scale, str):
            latents["noise"] = self.log_noise.exp()
        return self.likelihood.law(output, latents)

    def as_targets(self, y: Any) -> Any:
        """Targets as the law takes them: for a likelihood that has a name ``True`` and ``False`` are numbers.

        Args:
            y: Targets, as they are given.
        """
        return self.likelihood.as_response(y) if self.likelihood is not None and isinstance(y, Tensor) else y

    def check(self, y: Any, output_shape: Sequence[int], rows: int) -> None:
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
            raise TypeError(f"y must be a tensor, got {type(y).__name__}; give torch.as_tensor(y)")
        self.check_shape(y, output_shape, rows)
        if self._classes_are_second(y, output_shape, rows):
            output_shape = (rows, *output_shape[2:], output_shape[1])
        self.likelihood.check_targets(y, output_shape)

    def check_shape(self, y: Tensor, output_shape: Sequence[int], rows: int) -> None:
        """Refuse targets of another shape; see :meth:`check`, which looks at values too."""
        if self.likelihood is None:
            return
        expected = self.likelihood.target_shape((rows, *output_shape[1:]))
        if y.shape != expected and not self._classes_are_second(y, output_shape, rows):
            several = self.likelihood.has_classes and len(output_shape) > 2
            second = (
                f", or {(rows, *output_shape[2:])} for classes in the second dimension" if several else ""
            )
            raise ValueError(
                f"y must have shape {expected} for the {self.likelihood.name} likelihood{second}, "
                f"got {tuple(y.shape)}" + (self.likelihood.instead(y, output_shape) or _reshaped(y, expected))
            )


def _reshaped(y: Tensor, expected: tuple[int, ...]) -> str:
    if tuple(y.shape) == (*expected, 1):
        return "; give y.squeeze(-1)"
    return "; give y[:, None]" if (*y.shape, 1) == expected and y.dim() == 1 else ""


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
