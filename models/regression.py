r"""Spike-and-slab regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import pyro
import pyro.distributions as dist
from torch import Tensor

from l0bayes.sites import Inclusion, spike_and_slab

__all__ = ["RegressionFamily", "SparseRegression"]

RegressionFamily = Literal["gaussian", "bernoulli"]


class SparseRegression:
    r"""Linear or logistic regression with spike-and-slab coefficients.

    .. math::
        z_j \sim \mathrm{Bern}(\pi), \quad \theta_j \sim N(0, s^2), \quad
        \eta = a + X(z \odot \theta), \quad a \sim N(0, s_a^2)

    .. math::
        y \sim N(\eta, \sigma^2), \quad \sigma^2 \sim \mathrm{InverseGamma}(1, 1)
        \qquad\text{or}\qquad y \sim \mathrm{Bern}(\sigma(\eta))

    Sites: ``beta.gate``, ``beta.slab``, ``beta``; ``intercept`` and ``noise_variance`` where they are
    sampled; ``y``. Nothing is standardised here: scale the columns so that one slab scale suits all.

    Args:
        features: Names of the columns, or their number p.
        family: ``"gaussian"`` or ``"bernoulli"``.
        inclusion: Prior inclusion probability π: a number, a tensor of shape (p,), or a gate prior. A
            pair ``(a, b)`` stands for a latent π ~ Beta(a, b), site ``inclusion``.
        expected_active: Another way to say π: the expected number of open gates, that is of columns, or
            of groups where there are any.
        slab_scale: Prior standard deviation s of an active coefficient, positive.
        noise_scale: Standard deviation σ of the noise; ``None`` for the InverseGamma prior on its square.
        intercept_scale: Prior standard deviation of the intercept; ``None`` for no intercept.
        groups: Index of each column's gate, for columns that enter together (``torch.long``, shape (p,)).

    Raises:
        ValueError: If an argument is outside its range.

    Example::

        model = SparseRegression(frame.columns, expected_active=5)
        guide = AutoHardConcrete(model, (x, y))
        fit = l0bayes.fit(model, guide, (x, y))
    """

    def __init__(
        self,
        features: int | Sequence[str],
        family: RegressionFamily = "gaussian",
        *,
        inclusion: Inclusion | tuple[float, float] | None = None,
        expected_active: float | None = None,
        slab_scale: float = 1.0,
        noise_scale: float | None = None,
        intercept_scale: float | None = 10.0,
        groups: Tensor | None = None,
    ) -> None:
        names = (
            [f"x{i}" for i in range(features)] if isinstance(features, int) else [str(f) for f in features]
        )
        if not names:
            raise ValueError(f"features must name at least one column, got {features!r}")
        if len(set(names)) < len(names):
            double = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"features must have distinct names, got {double} more than once")
        if family not in get_args(RegressionFamily):
            raise ValueError(f"family must be one of {', '.join(get_args(RegressionFamily))}; got {family!r}")
        scales = {"slab_scale": slab_scale, "noise_scale": noise_scale, "intercept_scale": intercept_scale}
        for name, value in scales.items():
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, got {value!r}")
        if isinstance(inclusion, tuple) and not (len(inclusion) == 2 and all(v > 0 for v in inclusion)):
            raise ValueError(f"inclusion as a pair must be two positive numbers (a, b), got {inclusion!r}")
        if inclusion is None and expected_active is None:
            inclusion = 0.5
        self.feature_names = names
        self.family = family
        self.inclusion = inclusion
        self.expected_active = expected_active
        self.slab_scale = slab_scale
        self.noise_scale = noise_scale
        self.intercept_scale = intercept_scale
        self.groups = groups

    @property
    def coords(self) -> dict[str, Any]:
        """Coordinates for ArviZ."""
        return {"feature": self.feature_names}

    @property
    def dims(self) -> dict[str, Any]:
        """Dimension names for ArviZ."""
        return {"beta": ("feature",), "y": ("observation",)}

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The Pyro model.

        Args:
            x: Columns, of shape (n, p).
            y: Response, of shape (n,); ``None`` to draw it.

        Returns:
            The linear predictor, of shape (n,).

        Raises:
            ValueError: If shapes do not match.
        """
        p = len(self.feature_names)
        if x.dim() != 2 or x.shape[1] != p:
            raise ValueError(f"x must have shape (n, {p}), one column a feature; got {tuple(x.shape)}")
        if y is not None and y.shape != x.shape[:1]:
            raise ValueError(f"y must have shape ({len(x)},) as x has rows; got {tuple(y.shape)}")
        inclusion = self.inclusion
        if isinstance(inclusion, tuple):
            inclusion = pyro.sample("inclusion", dist.Beta(float(inclusion[0]), float(inclusion[1])))
        one = x.new_ones(())
        slab = dist.Normal(0.0 * one, self.slab_scale * one).expand([p]).to_event(1)
        beta = spike_and_slab(
            "beta", inclusion, slab, expected_active=self.expected_active, groups=self.groups
        )
        predictor = x @ beta
        if self.intercept_scale is not None:
            predictor = predictor + pyro.sample(
                "intercept", dist.Normal(0.0 * one, self.intercept_scale * one)
            )
        likelihood = self._likelihood(predictor, one)
        with pyro.plate("data", len(x)):
            pyro.sample("y", likelihood, obs=y)
        return predictor

    def _likelihood(self, predictor: Tensor, one: Tensor) -> Any:
        if self.family == "bernoulli":
            return dist.Bernoulli(logits=predictor)
        if self.noise_scale is not None:
            return dist.Normal(predictor, self.noise_scale)
        return dist.Normal(predictor, pyro.sample("noise_variance", dist.InverseGamma(one, one)).sqrt())
