"""The negative binomial likelihood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.likelihoods.count_support import count_violations
from l0bayes.likelihoods.learned_scalar import LearnedScalar, log_gamma_density
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_words import Words
from l0bayes.likelihoods.logistic_terms import logistic_derivatives
from l0bayes.likelihoods.predictor_precision import PredictorPrecision

__all__ = ["NegativeBinomial"]


class NegativeBinomial(Likelihood):
    r"""Counts that vary more than Poisson's, with :math:`\log E[y] = \eta = \log\mu`.

    .. math:: \operatorname{Var} y = \mu + \phi\mu^2, \qquad
        \log p(y \mid \eta) = \log\frac{\Gamma(y + r)}{\Gamma(r)\,y!} + y \log\sigma(\eta - \log r)
        + r \log\sigma(\log r - \eta), \qquad r = 1/\phi

    Sites: ``dispersion``, where φ is learned.

    Args:
        dispersion: φ, or ``"learned"`` for :math:`\phi \sim \mathrm{Exponential}(1)`.

    Raises:
        ValueError: If the dispersion is not a positive number.
    """

    name = "negative_binomial"
    words = Words(
        kind="a negative binomial regression with the logarithm as link",
        formula="y<sub>i</sub> ~ NegativeBinomial with mean μ<sub>i</sub> = exp(η<sub>i</sub>) "
        "and variance μ<sub>i</sub> + φ μ<sub>i</sub>²",
        effects="the log mean",
        summary="counts that vary more than Poisson's, by their log mean",
    )
    laws = (dist.NegativeBinomial,)
    takes_exposure = True

    def __init__(self, dispersion: float | Literal["learned"] = "learned") -> None:
        validate.positive_or_learned(dispersion=dispersion)
        self.dispersion = dispersion

    @property
    def unknowns(self) -> tuple[str, ...]:
        return ("dispersion",) if isinstance(self.dispersion, str) else ()

    def _known(self) -> float:
        if isinstance(self.dispersion, str):
            raise NotImplementedError(f"the {self.name} likelihood has no derivatives: {self._unknown()}")
        return self.dispersion

    def learned_scalars(self) -> tuple[LearnedScalar, ...]:
        if not self.unknowns:
            return ()
        # Exponential(1), the Gamma(1, 1) law.
        return (LearnedScalar("dispersion", log_gamma_density(1.0, 1.0, 0.0), 0.3),)

    def latents(self, one: Tensor) -> dict[str, Tensor]:
        if isinstance(self.dispersion, str):
            return {"dispersion": pyro.sample("dispersion", dist.Exponential(one))}
        return {"dispersion": self.dispersion * one}

    def law(self, predictor: Tensor, latents: dict[str, Tensor], weights: Tensor | None = None) -> Any:
        # mean = total_count * exp(logits)
        dispersion = latents["dispersion"]
        return dist.NegativeBinomial(dispersion.reciprocal(), logits=predictor + torch.log(dispersion))

    @property
    def accepts(self) -> str:
        return "counts, whole and not negative"

    def violations(self, y: Tensor) -> Sequence[tuple[str, Tensor]]:
        return count_violations(y)

    def derivatives(self, y: Tensor, eta: Tensor, order: int) -> tuple[Tensor, ...]:
        r = y.new_tensor(1.0 / self._known())
        constant = torch.lgamma(y + r) - torch.lgamma(r) - torch.lgamma(y + 1)
        return logistic_derivatives(y, r, eta - torch.log(r), constant, order)

    def starting_predictor(self, y: Tensor) -> Tensor:
        return torch.log(y + 0.5)

    def link(self, mean: Tensor) -> Tensor:
        return torch.log(mean)

    def inverse_link(self, eta: Tensor) -> Tensor:
        return torch.exp(eta)

    def variance(self, eta: Tensor) -> Tensor:
        mean, dispersion = torch.exp(eta), self.dispersion
        if isinstance(dispersion, Tensor):  # of many draws there is one each
            return mean + mean.square() * dispersion
        return mean + self._known() * mean.square()

    @classmethod
    def predictor_of(cls, law: Any) -> Tensor:
        value: Tensor = law.logits + law.total_count.log()
        return value

    @classmethod
    def precision_of(cls, law: Any) -> PredictorPrecision:
        return replace(PredictorPrecision.of_logistic(law), centre=law.total_count.double().log())

    @classmethod
    def parameters_of(cls, law: Any) -> dict[str, Tensor]:
        return {"dispersion": law.total_count}

    @classmethod
    def of_law(cls, law: Any, rows: Callable[[Tensor], Tensor]) -> Self:
        return cls(1.0 / cls.same_in_all_rows("dispersion", rows(law.total_count)))
