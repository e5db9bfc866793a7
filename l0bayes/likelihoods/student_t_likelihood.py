"""The Student-t likelihood."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.likelihoods.learned_scalar import LearnedScalar, log_gamma_density
from l0bayes.likelihoods.likelihood_words import Words
from l0bayes.likelihoods.location_scale import LocationScale
from l0bayes.likelihoods.noise_priors import weak_noise_prior

__all__ = ["StudentT"]


class StudentT(LocationScale):
    r""":math:`(y - \eta)\sqrt{w}/\sigma \sim t_\nu`, with σ given or of the prior of the base.

    With :math:`r = y - \eta`, and c not depending on η,

    .. math:: \log p(y \mid \eta) = c - \tfrac{\nu + 1}{2} \log(\nu\sigma^2 + r^2)

    Sites: ``df`` where ν is learned, ``noise_variance`` where σ is not given.

    Args:
        noise_scale: σ; ``None`` for the prior.
        noise_prior: a and b, or ``"weak"``.
        df: ν, or ``"learned"`` for :math:`\nu \sim \mathrm{Gamma}(2, 0.1)` (Juárez and Steel 2010).

    Raises:
        ValueError: If a number is not positive or not finite.
    """

    name = "student_t"
    words = Words(
        kind="a linear regression with Student-t noise",
        formula="(y<sub>i</sub> − η<sub>i</sub>)/σ ~ t(ν)",
        effects="the location of the response",
        summary="numbers with outliers: Student-t noise of scale σ",
    )
    laws = (dist.StudentT,)
    log_concave = False
    has_moments = False
    has_bound = True

    def __init__(
        self,
        noise_scale: float | None = None,
        noise_prior: Literal["weak"] | tuple[float, float] = "weak",
        df: float | Literal["learned"] = 4.0,
    ) -> None:
        super().__init__(noise_scale, noise_prior)
        validate.positive_or_learned(df=df)
        self.df = df

    @property
    def unknowns(self) -> tuple[str, ...]:
        return (*super().unknowns, *(("df",) if isinstance(self.df, str) else ()))

    def learned_scalars(self) -> tuple[LearnedScalar, ...]:
        found = []
        if self.noise_scale is None:
            found.append(LearnedScalar("noise_variance", self._log_prior_of_variance, 0.5))
        if isinstance(self.df, str):
            # Gamma(2, 0.1). Beyond e^7 degrees the law is Normal, and nothing changes but the prior.
            prior = log_gamma_density(2.0, 0.1, 2.0 * math.log(0.1))
            found.append(LearnedScalar("df", prior, 5.0, least=-2.5, most=7.0))
        return tuple(found)

    def _log_prior_of_variance(self, t: Tensor) -> Tensor:
        a, b = weak_noise_prior() if isinstance(self.noise_prior, str) else self.noise_prior
        return a * math.log(b) - math.lgamma(a) - a * t - b * torch.exp(-t)

    def given(self, values: Mapping[str, Any]) -> Self:
        known = dict(values)
        if "noise_variance" in known:
            known["noise_scale"] = known.pop("noise_variance") ** 0.5
        return super().given(known)

    def curvature_bound(self, y: Tensor, eta: Tensor) -> Tensor:
        r"""Weight of a row where the law is a mixture of Normal ones: :math:`(\nu + 1)/(\nu\sigma^2 + r^2)`.

        Args:
            y: Response, shape ``(n,)``.
            eta: η, shape ``(..., n)``.
        """
        if self.noise_scale is None or isinstance(self.df, str):
            return super().curvature_bound(y, eta)
        return (self.df + 1.0) / (self.df * self.noise_scale**2 + (y - eta).square())

    def latents(self, one: Tensor) -> dict[str, Tensor]:
        df = pyro.sample("df", dist.Gamma(2 * one, 0.1 * one)) if isinstance(self.df, str) else self.df * one
        return {**super().latents(one), "df": df}

    def law(self, predictor: Tensor, latents: dict[str, Tensor], weights: Tensor | None = None) -> Any:
        return dist.StudentT(latents["df"], predictor, self.scale_of_rows(latents, weights))

    def derivatives(self, y: Tensor, eta: Tensor, order: int) -> tuple[Tensor, ...]:
        if self.noise_scale is None or isinstance(self.df, str):
            return super().derivatives(y, eta, order)
        df, spread = self.df, self.df * self.noise_scale**2
        r = y - eta
        square = r.square()
        total = spread + square
        constant = math.lgamma(0.5 * (df + 1)) - math.lgamma(0.5 * df) + 0.5 * df * math.log(spread)
        values = (
            constant - 0.5 * math.log(math.pi) - 0.5 * (df + 1) * torch.log(total),
            (df + 1) * r / total,
            (df + 1) * (square - spread) / total.square(),
            2 * (df + 1) * r * (square - 3 * spread) / total**3,
            6 * (df + 1) * (square.square() - 6 * spread * square + spread**2) / total**4,
        )
        return values[: order + 1]

    def variance(self, eta: Tensor) -> Tensor:
        if self.noise_scale is None or isinstance(self.df, str):
            return super().variance(eta)
        df = torch.as_tensor(self.df, dtype=eta.dtype)  # of many draws there is a tensor of them
        share = torch.where(df > 2.0, df / (df - 2.0).clamp(min=1e-300), math.inf)
        return (share * self.noise_scale**2).expand_as(eta)

    @classmethod
    def parameters_of(cls, law: Any) -> dict[str, Tensor]:
        return {"number of degrees of freedom": law.df}

    @classmethod
    def of_law(cls, law: Any, rows: Callable[[Tensor], Tensor]) -> Self:
        df = cls.same_in_all_rows("number of degrees of freedom", rows(law.df))
        return super().of_law(law, rows).changed(df=df)
