"""The binomial likelihood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import pyro.distributions as dist
import torch
from torch import Tensor

from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_words import Words
from l0bayes.likelihoods.logistic_terms import logistic_derivatives
from l0bayes.likelihoods.predictor_precision import PredictorPrecision

__all__ = ["Binomial"]

_NO_TRIALS = "numbers of trials are not given; zeros and ones are for bernoulli"


class Binomial(Likelihood):
    r"""Successes in a number of trials, with :math:`\operatorname{logit} P = \eta`.

    .. math:: \log p(y \mid \eta) = \log\binom{m}{y} + y \log\sigma(\eta) + (m - y) \log\sigma(-\eta)

    Args:
        trials: m, a whole number, not negative, or one for each row, shape ``(n,)``; ``None`` where they come
            with the data, by :meth:`with_trials`. A row of 0 trials has no influence.

    Raises:
        ValueError: If a number of trials is negative or not whole, or all are 0.
    """

    name = "binomial"
    words = Words(
        kind="a logistic regression of successes in trials",
        formula="y<sub>i</sub> ~ Binomial(m<sub>i</sub>, 1 / (1 + exp(−η<sub>i</sub>)))",
        effects="the log odds",
        summary="successes in a known number of trials by their log odds",
    )
    laws = (dist.Binomial,)
    takes_trials = True

    def __init__(self, trials: Tensor | int | None = None) -> None:
        self.trials = None if trials is None else torch.as_tensor(trials, dtype=torch.float64)
        if self.trials is not None:
            self._check_trials(self.trials)

    def with_trials(self, trials: Tensor | None) -> Self:
        if trials is not None:
            return self.changed(trials=trials)
        self._known()
        return self

    def supports_derivatives(self) -> str | None:
        return _NO_TRIALS if self.trials is None else None

    def _known(self) -> Tensor:
        if self.trials is None:
            raise ValueError("trials must be given for the binomial likelihood, shape (n,); got None")
        return self.trials

    def law(self, predictor: Tensor, latents: dict[str, Tensor], weights: Tensor | None = None) -> Any:
        # Of the predictor's batch too, without which torch's draws warn under vmap.
        trials = self._known().to(predictor) + torch.zeros_like(predictor)
        return dist.Binomial(total_count=trials, logits=predictor)

    @property
    def accepts(self) -> str:
        return "counts between 0 and the number of trials"

    def violations(self, y: Tensor) -> Sequence[tuple[str, Tensor]]:
        trials = self._known().to(y)
        return [
            ("not be negative", ~(y >= 0)),
            ("not be above the number of trials", y > trials),
            ("be whole numbers", y != y.round()),
        ]

    def check(self, y: Tensor) -> None:
        trials = self._known()
        self._check_trials(trials)
        if trials.ndim and trials.shape != y.shape:
            raise ValueError(f"trials must have shape {tuple(y.shape)} as y has, got {tuple(trials.shape)}")
        super().check(y)

    def _check_trials(self, trials: Tensor) -> None:
        flat = trials.reshape(-1)
        wrong = ~((flat >= 0) & (flat == flat.round()) & flat.isfinite())
        self.refuse("trials", flat, wrong, "whole numbers, not negative")
        if not bool((flat > 0).any()):
            raise ValueError(
                "trials must be at least 1 in a row: without any trial nothing is observed; got 0 in all rows"
            )

    def derivatives(self, y: Tensor, eta: Tensor, order: int) -> tuple[Tensor, ...]:
        trials = self._known()
        constant = torch.lgamma(trials + 1) - torch.lgamma(y + 1) - torch.lgamma(trials - y + 1)
        return logistic_derivatives(y, trials - y, eta, constant, order)

    def starting_predictor(self, y: Tensor) -> Tensor:
        return torch.log((y + 0.5) / (self._known() - y + 0.5))

    def link(self, mean: Tensor) -> Tensor:
        return torch.logit(mean)

    def inverse_link(self, eta: Tensor) -> Tensor:
        return torch.sigmoid(eta)

    def mean(self, eta: Tensor) -> Tensor:
        return self._known() * torch.sigmoid(eta)

    def variance(self, eta: Tensor) -> Tensor:
        return self._known() * torch.sigmoid(eta) * torch.sigmoid(-eta)

    @classmethod
    def predictor_of(cls, law: Any) -> Tensor:
        value: Tensor = law.logits
        return value

    @classmethod
    def precision_of(cls, law: Any) -> PredictorPrecision:
        return PredictorPrecision.of_logistic(law)

    @classmethod
    def parameters_of(cls, law: Any) -> dict[str, Tensor]:
        return {"number of trials": law.total_count}

    @classmethod
    def of_law(cls, law: Any, rows: Callable[[Tensor], Tensor]) -> Self:
        return cls(rows(law.total_count))
