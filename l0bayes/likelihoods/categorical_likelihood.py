"""The categorical likelihood of several classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyro.distributions as dist
from torch import Tensor

from l0bayes import validate
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_words import Words

__all__ = ["Categorical"]


class Categorical(Likelihood):
    r"""Classes, with one predictor each: :math:`P(y = k) = \operatorname{softmax}(\eta)_k`.

    Predictors have a last dimension more than responses.

    Args:
        classes: Number of classes; ``None`` where the predictors show it.
    """

    name = "categorical"
    words = Words(
        kind="a multinomial logistic regression",
        formula="P(y<sub>i</sub> = k) ∝ exp(η<sub>ik</sub>)",
        effects="the log odds",
        summary="several classes by their logits",
    )
    has_classes = True

    def __init__(self, classes: int | None = None) -> None:
        validate.at_least(2, **validate.given(classes=classes))
        self.classes = classes

    def supports_regression(self) -> str | None:
        return "it needs one predictor for each class, such as the outputs of a network"

    def supports_derivatives(self) -> str | None:
        return "it has several predictors a row"

    def law(self, predictor: Tensor, latents: dict[str, Tensor], weights: Tensor | None = None) -> Any:
        return dist.Categorical(logits=predictor)

    @property
    def accepts(self) -> str:
        return "labels 0, 1, ..." if self.classes is None else f"labels 0 to {self.classes - 1}"

    def violations(self, y: Tensor) -> Sequence[tuple[str, Tensor]]:
        found = [("not be negative", ~(y >= 0)), ("be whole numbers", y != y.round())]
        if self.classes is not None:
            found.append((f"be at most {self.classes - 1}", y > self.classes - 1))
        return found

    def target_shape(self, output_shape: Sequence[int]) -> tuple[int, ...]:
        return tuple(output_shape[:-1])

    def check_targets(self, y: Tensor, output_shape: Sequence[int]) -> None:
        if y.is_floating_point() or y.is_complex():
            raise ValueError(f"y must hold labels as integers for the categorical likelihood, got {y.dtype}")
        count = output_shape[-1]
        wrong = self.changed(classes=count).impossible(y)
        self.refuse("y", y, wrong, f"labels 0 to {count - 1}, for the network has {count} outputs")

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
