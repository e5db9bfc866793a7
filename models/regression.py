r"""Spike-and-slab regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.poutine.util import is_validation_enabled
from torch import Tensor

from l0bayes import validate
from l0bayes.likelihoods.cox_likelihood import Ties
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.models.regression_options import chosen_likelihood
from l0bayes.models.terms import gate_of_column, term_names
from l0bayes.sites import Inclusion, spike_and_slab

__all__ = ["SlabPrior", "SparseRegression"]

SlabPrior = Literal["normal", "laplace", "student_t"]


class SparseRegression:
    r"""Generalised linear regression with spike-and-slab coefficients.

    .. math::
        z_g \sim \mathrm{Bern}(\pi), \quad \theta_j \sim \text{slab}, \quad a \sim N(0, s_a^2), \quad
        \eta = o + a + X\beta, \quad \beta_j = z_{g(j)}\theta_j

    =====================  ==================================================================
    likelihood             :math:`y` given :math:`\eta` and case weights w
    =====================  ==================================================================
    ``gaussian``           :math:`N(\eta, \sigma^2/w)`
    ``student_t``          :math:`\eta + \sigma\,t_\nu/\sqrt{w}`
    ``bernoulli``          :math:`\mathrm{Bern}(\sigma(\eta))`
    ``binomial``           :math:`\mathrm{Binomial}(m, \sigma(\eta))`, m the ``trials``
    ``poisson``            :math:`\mathrm{Poisson}(e^\eta)`
    ``negative_binomial``  mean :math:`\mu = e^\eta`, variance :math:`\mu + \phi\mu^2`
    ``cox``                partial likelihood of the hazard :math:`h_0(t)\,e^\eta`; ``y`` holds a time and
                           an event indicator (1 seen, 0 censored) a row
    =====================  ==================================================================

    and every other that :func:`l0bayes.likelihoods.register` made known. From ``bernoulli`` on a weight
    multiplies its row's log likelihood (in Cox's also its hazard). Sites: ``beta.gate``, ``beta.slab``,
    ``beta``; ``intercept``, ``noise_variance``, ``df``, ``dispersion``, ``slab_scale`` and ``inclusion``
    where they are sampled; ``y``. Nothing is standardised here: scale the columns so that one slab scale
    suits all.

    Args:
        features: Names of the columns, or their number p.
        likelihood: Name of one of the table, or a :class:`~l0bayes.likelihoods.likelihood.Likelihood`, which
            has its options in itself.
        inclusion: Prior inclusion probability π: a number, a tensor with one a gate, or a gate prior. A
            pair ``(a, b)`` is a latent π ~ Beta(a, b), site ``inclusion``.
        expected_active: Another way to give π: the expected number of open gates, that is of columns, or
            of groups where there are any.
        slab: ``"normal"``, ``"laplace"`` or ``"student_t"``, each around 0.
        slab_scale: Its scale, positive: a number or a tensor of shape (p,); ``"learned"`` for a latent, site
            ``slab_scale``, with a half-Normal prior.
        slab_scaled_by_noise: Whether the slab's scale is in units of the noise's σ.
        slab_df: Degrees of freedom of the Student-t slab.
        slab_scale_prior: Scale of the half-Normal prior of a learned slab scale.
        noise_scale: Scale σ of the noise; ``None`` for :math:`\sigma^2 \sim \mathrm{InverseGamma}(a, b)`.
        noise_prior: a and b; ``"weak"`` for (0.005, 0.0025), a hundredth of an observation of a response of
            variance 1. For a response of another variance give
            :func:`~l0bayes.likelihoods.noise_priors.weak_noise_prior` of it, or standardise it.
        df: Degrees of freedom ν of ``student_t``; ``"learned"`` for
            :math:`\nu \sim \mathrm{Gamma}(2, 0.1)`.
        dispersion: φ of ``negative_binomial``; ``"learned"`` for
            :math:`\phi \sim \mathrm{Exponential}(1)`.
        ties: How ``cox`` counts events at one time, ``"efron"`` or ``"breslow"``.
        intercept_scale: Prior standard deviation of the intercept, which has no gate; ``None`` for no
            intercept. ``cox`` has none, since its baseline takes up any.
        groups: Columns that enter together: index of each column's gate (p whole numbers), or a
            dictionary of terms, see :func:`~l0bayes.models.terms.column_groups`.
        num_data: Number of rows of the data that minibatches come from; scales their log likelihood.
        **options: Options of another likelihood given by name.

    Raises:
        ValueError: If an argument is outside its range, or does not go with the likelihood.

    Example::

        model = SparseRegression(frame.columns, expected_active=5)
        guide = AutoHardConcrete(model, (x, y))
        fit = l0bayes.fit(model, guide, (x, y))
    """

    def __init__(
        self,
        features: int | Sequence[str],
        likelihood: str | Likelihood = "gaussian",
        *,
        inclusion: Inclusion | tuple[float, float] | None = None,
        expected_active: float | None = None,
        slab: SlabPrior = "normal",
        slab_scale: float | Tensor | Literal["learned"] = 1.0,
        slab_scaled_by_noise: bool = False,
        slab_df: float = 3.0,
        slab_scale_prior: float = 1.0,
        noise_scale: float | None = None,
        noise_prior: Literal["weak"] | tuple[float, float] = "weak",
        df: float | Literal["learned"] = 4.0,
        dispersion: float | Literal["learned"] = "learned",
        ties: Ties = "efron",
        intercept_scale: float | None = 10.0,
        groups: Tensor | Sequence[int] | Mapping[str, Sequence[str | int]] | None = None,
        num_data: int | None = None,
        **options: Any,
    ) -> None:
        names = (
            [f"x{i}" for i in range(features)] if isinstance(features, int) else [str(f) for f in features]
        )
        if not names:
            raise ValueError(f"features must name at least one column, got {features!r}")
        if len(set(names)) < len(names):
            double = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"features must have distinct names, got {double} more than once")
        validate.one_of(get_args(SlabPrior), slab=slab)
        validate.positive(slab_df=slab_df, slab_scale_prior=slab_scale_prior)
        validate.positive(**validate.given(intercept_scale=intercept_scale))
        validate.positive_or_learned(slab_scale=slab_scale)
        if isinstance(slab_scale, Tensor) and slab_scale.shape not in ((), (len(names),)):
            raise ValueError(f"slab_scale must have shape ({len(names)},), got {tuple(slab_scale.shape)}")
        if isinstance(inclusion, tuple):
            validate.positive_pair(inclusion=inclusion)
        if inclusion is None and expected_active is None:
            inclusion = 0.5
        self.feature_names = names
        self.likelihood = chosen_likelihood(
            likelihood,
            {"noise_scale": noise_scale, "noise_prior": noise_prior, "df": df, "dispersion": dispersion}
            | {"ties": ties},
            options,
        )
        if slab_scaled_by_noise and not self.likelihood.has_noise:
            raise ValueError(
                "slab_scaled_by_noise=True needs a likelihood with a noise; "
                f"{self.likelihood.name!r} has none"
            )
        validate.at_least(1, **validate.given(num_data=num_data))
        if num_data is not None and not self.likelihood.by_row:
            raise ValueError(
                f"num_data: the {self.likelihood.name} likelihood is one term for all rows, without "
                "minibatches"
            )
        self.inclusion = inclusion
        self.expected_active = expected_active
        self.slab = slab
        self.slab_scale = slab_scale
        self.slab_scaled_by_noise = slab_scaled_by_noise
        self.slab_df = slab_df
        self.slab_scale_prior = slab_scale_prior
        self.intercept_scale = intercept_scale if self.likelihood.takes_intercept else None
        self.num_data = num_data
        self.term_names = term_names(names, groups) if isinstance(groups, Mapping) else None
        self.groups = gate_of_column(names, groups)

    @property
    def coords(self) -> dict[str, Any]:
        """Coordinates for ArviZ."""
        terms = {} if self.term_names is None else {"term": self.term_names}
        return {"feature": self.feature_names, **terms, **self.likelihood.response_labels}

    @property
    def dims(self) -> dict[str, Any]:
        """Dimension names for ArviZ."""
        terms = {} if self.term_names is None else {"beta.gate": ("term",)}
        return {"beta": ("feature",), "y": ("observation", *self.likelihood.response_labels), **terms}

    def __call__(
        self,
        x: Tensor,
        y: Tensor | tuple[Tensor, Tensor] | None = None,
        offset: Tensor | None = None,
        weights: Tensor | None = None,
        trials: Tensor | None = None,
    ) -> Tensor:
        """The Pyro model.

        Args:
            x: Columns, of shape (n, p).
            y: Response, of shape (n,); for ``cox`` the pair ``(time, event)``, or both as the columns of one
                tensor; ``None`` to draw it.
            offset: Known part o of the linear predictor, of shape (n,).
            weights: Case weights w, positive, of shape (n,).
            trials: Number of trials of each row of the ``binomial`` likelihood, of shape (n,).

        Returns:
            The linear predictor, of shape (n,).

        Raises:
            ValueError: If shapes do not match, or something that the likelihood needs is not given.
        """
        observed: Tensor | None = None if y is None else self.likelihood.as_response(y)
        self._check_shapes(x, observed, offset, weights, trials)
        if is_validation_enabled():
            validate.all_finite(
                **validate.given(x=x, y=observed, offset=offset, weights=weights, trials=trials)
            )
        likelihood, inclusion = self.likelihood.with_trials(trials), self.inclusion
        if isinstance(inclusion, tuple):
            inclusion = pyro.sample("inclusion", dist.Beta(float(inclusion[0]), float(inclusion[1])))
        one = x.new_ones(())
        latents = likelihood.latents(one) if self.slab_scaled_by_noise else None
        scale = self._slab_scale(one, latents)
        beta = spike_and_slab(
            "beta",
            inclusion,
            self._slab(scale, one),
            expected_active=self.expected_active,
            groups=self.groups,
        )
        predictor = x @ beta
        if offset is not None:
            predictor = predictor + offset
        if self.intercept_scale is not None:
            predictor = predictor + pyro.sample(
                "intercept", dist.Normal(0.0 * one, self.intercept_scale * one)
            )
        if latents is None:
            latents = likelihood.latents(one)
        law = likelihood.law(predictor, latents, None if likelihood.weights_multiply else weights)
        if not likelihood.by_row:
            pyro.sample("y", law, obs=observed)
            return predictor
        subsample = torch.arange(len(x), device=x.device) if self.num_data is not None else None
        row_weights = weights if likelihood.weights_multiply else None
        with (
            pyro.plate("data", self.num_data or len(x), subsample=subsample),
            poutine.scale(scale=1.0 if row_weights is None else row_weights),
        ):
            pyro.sample("y", law, obs=observed)
        return predictor

    def check_data(
        self,
        x: Tensor,
        y: Tensor | tuple[Tensor, Tensor] | None = None,
        offset: Tensor | None = None,
        weights: Tensor | None = None,
        trials: Tensor | None = None,
    ) -> None:
        """Refuse data that the likelihood does not allow; :func:`l0bayes.fit` calls it with all data.

        Args:
            x: Columns.
            y: Response.
            offset: Known part of the linear predictor.
            weights: Case weights.
            trials: Numbers of trials.

        Raises:
            ValueError: If shapes do not match or a value is out of range.
        """
        observed: Tensor | None = None if y is None else self.likelihood.as_response(y)
        self._check_shapes(x, observed, offset, weights, trials)
        validate.all_positive(**validate.given(weights=weights))
        if observed is not None:
            self.likelihood.with_trials(trials).check(observed)
        _check_finite(x, observed, offset, weights, trials)

    def _check_shapes(self, x: Tensor, y: Tensor | None, *others: Tensor | None) -> None:
        p = len(self.feature_names)
        if x.dim() != 2 or x.shape[1] != p:
            raise ValueError(f"x must have shape (n, {p}), one column a feature; got {tuple(x.shape)}")
        wanted = (len(x), *self.likelihood.response_shape)
        if y is not None and y.shape != wanted:
            raise ValueError(f"y must have shape {wanted} as x has rows; got {tuple(y.shape)}")
        named = dict(zip(("offset", "weights", "trials"), others, strict=True))
        validate.has_shape(wanted[:1], **validate.given(**named))

    def _slab_scale(self, one: Tensor, latents: dict[str, Tensor] | None) -> Tensor:
        if isinstance(self.slab_scale, str):
            scale = pyro.sample("slab_scale", dist.HalfNormal(self.slab_scale_prior * one))
        else:
            scale = self.slab_scale * one
        return scale if latents is None else scale * latents["noise"]

    def _slab(self, scale: Tensor, one: Tensor) -> Any:
        law: Any
        if self.slab == "laplace":
            law = dist.Laplace(0.0 * one, scale)
        elif self.slab == "student_t":
            law = dist.StudentT(self.slab_df * one, 0.0 * one, scale)
        else:
            law = dist.Normal(0.0 * one, scale)
        return law.expand([len(self.feature_names)]).to_event(1)


def _check_finite(*values: Tensor | None) -> None:
    names = ("x", "y", "offset", "weights", "trials")
    validate.all_finite(**validate.given(**dict(zip(names, values, strict=True))))
