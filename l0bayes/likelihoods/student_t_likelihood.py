"""The Student-t likelihood."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, Self

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.likelihoods.likelihood_words import Words
from l0bayes.likelihoods.location_scale import LocationScale

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
        share = self.df / (self.df - 2.0) if self.df > 2.0 else math.inf
        return torch.full_like(eta, share * self.noise_scale**2)

    @classmethod
    def parameters_of(cls, law: Any) -> dict[str, Tensor]:
        return {"number of degrees of freedom": law.df}

    @classmethod
    def of_law(cls, law: Any, rows: Callable[[Tensor], Tensor]) -> Self:
        df = cls.same_in_all_rows("number of degrees of freedom", rows(law.df))
        return super().of_law(law, rows).changed(df=df)
