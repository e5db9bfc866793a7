"""The categorical likelihood of several classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.likelihoods.label_law import LabelLaw
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_words import Words

__all__ = ["Categorical"]


class Categorical(Likelihood):
    r"""Classes, with one predictor each: :math:`P(y = k) = \operatorname{softmax}(\eta)_k`.

    Predictors have a last dimension more than responses.

    Args:
        classes: Number of classes; ``None`` where the predictors show it.
        ignore_index: A label that does not count, such as 255 for pixels without one.
        label_smoothing: Share s of every label that is spread over all classes, in [0, 1); see
            :class:`~l0bayes.likelihoods.label_law.LabelLaw`. Above 0 the objective is no bound.

    Raises:
        ValueError: If an option is out of range.
    """

    name = "categorical"
    words = Words(
        kind="a multinomial logistic regression",
        formula="P(y<sub>i</sub> = k) ∝ exp(η<sub>ik</sub>)",
        effects="the log odds",
        summary="several classes by their logits",
    )
    has_classes = True

    def __init__(
        self, classes: int | None = None, ignore_index: int | None = None, label_smoothing: float = 0.0
    ) -> None:
        validate.at_least(2, **validate.given(classes=classes))
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(f"label_smoothing must lie in [0, 1), got {label_smoothing!r}")
        self.classes, self.ignore_index, self.label_smoothing = classes, ignore_index, label_smoothing

    def supports_regression(self) -> str | None:
        return "it needs one predictor for each class, such as the outputs of a network"

    def supports_derivatives(self) -> str | None:
        return "it has several predictors a row"

    def law(self, predictor: Tensor, latents: dict[str, Tensor], weights: Tensor | None = None) -> Any:
        if self.ignore_index is not None or self.label_smoothing:
            return LabelLaw(predictor, self.ignore_index, self.label_smoothing)
        return dist.Categorical(logits=predictor)

    def as_response(self, y: Any) -> Tensor:
        return y.long() if isinstance(y, Tensor) and y.dtype == torch.bool else super().as_response(y)

    @property
    def accepts(self) -> str:
        return "labels 0, 1, ..." if self.classes is None else f"labels 0 to {self.classes - 1}"

    def violations(self, y: Tensor) -> Sequence[tuple[str, Tensor]]:
        found = [("not be negative", ~(y >= 0)), ("be whole numbers", y != y.round())]
        if self.classes is not None:
            found.append((f"be at most {self.classes - 1}", y > self.classes - 1))
        if self.ignore_index is not None:
            found = [(what, wrong & (y != self.ignore_index)) for what, wrong in found]
        return found

    def target_shape(self, output_shape: Sequence[int]) -> tuple[int, ...]:
        return tuple(output_shape[:-1])

    def instead(self, y: Tensor, output_shape: Sequence[int]) -> str:
        if output_shape[-1] == 1:
            return (
                "; a network with one output predicts a number, by likelihood='gaussian' (regression), or "
                "the log odds of two classes, by likelihood='bernoulli', with y of the shape of the output"
            )
        if y.shape[1:] != tuple(output_shape[1:]):
            return ""
        return "; for numbers (regression) give likelihood='gaussian', for one-hot classes y.argmax(-1)"

    def check_targets(self, y: Tensor, output_shape: Sequence[int]) -> None:
        if y.is_floating_point() or y.is_complex():
            raise ValueError(
                f"y must hold labels as integers for the categorical likelihood, got {y.dtype}"
                + (self.instead(y, output_shape) or "; give y.long(), or for numbers likelihood='gaussian'")
            )
        count = output_shape[-1]
        wrong = self.changed(classes=count).impossible(y)
        said = f"labels 0 to {count - 1}, for the network has {count} outputs"
        if self.ignore_index is None and len(output_shape) > 2:  # pixels, of which some have none
            said += "; a label that does not count goes into Categorical(ignore_index=...)"
        self.refuse("y", y, wrong, said + (self.instead(y, output_shape) if count == 1 else ""))

    def link(self, mean: Tensor) -> Tensor:
        return mean.log()

    def inverse_link(self, eta: Tensor) -> Tensor:
        return eta.softmax(-1)

    def variance(self, eta: Tensor) -> Tensor:
        """Variance of the indicator of each class.

        Args:
            eta: Logits, shape ``(..., n, classes)``.
        """
        probabilities = eta.softmax(-1)
        return probabilities * (1.0 - probabilities)
