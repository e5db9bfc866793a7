r"""Spike-and-slab linear regression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.base import RegressorMixin
from torch import Tensor

from l0bayes.estimators.arguments import positive
from l0bayes.estimators.by_column import FitsByColumn
from l0bayes.estimators.estimator_base import SpikeSlabEstimator
from l0bayes.estimators.input_tables import Array, ConstantColumnWarning
from l0bayes.estimators.noise_argument import check_noise, noise_prior
from l0bayes.estimators.normal_response import NormalResponse
from l0bayes.estimators.original_scale import Draws
from l0bayes.estimators.row_terms import RowTerms
from l0bayes.estimators.scaling import Scaling
from l0bayes.estimators.slab_arguments import checked_slab, checked_slab_scale
from l0bayes.likelihoods.gaussian_likelihood import Gaussian
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.learned_slab_problem import LearnedSlabProblem
from l0bayes.selection.problem.level_block import LevelBlock
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.problem.zellner_problem import ZellnerProblem
from l0bayes.selection.slab_priors.slab_prior import SlabPrior
from l0bayes.selection.trust.likelihood_fit import LikelihoodCheck, noise_check, tail_check
from l0bayes.user_warnings import warn_user

__all__ = ["SpikeSlabRegressor"]

# A response that varies by less than this share of its size never changes.
_ROUNDING = 1e-13
_OF_NORMAL_SLABS = ("slab_scale", "unpenalised_scale")


class SpikeSlabRegressor(
    FitsByColumn,
    NormalResponse,
    RegressorMixin,  # type: ignore[misc]
    SpikeSlabEstimator,
):
    r"""Linear regression in which every column is in or out, with the probability of that.

    With ``standardize=False`` and ``fit_intercept=False`` the model is exactly

    .. math::
        y \sim N(X\beta, \sigma^2), \qquad \beta_j = z_j\theta_j, \qquad z_j \sim \mathrm{Bern}(\pi), \qquad
        \theta_j \sim N(0, s^2)\ \ [\text{times } \sigma^2 \text{ if } \texttt{slab\_scaled\_by\_noise}]

    with s the ``slab_scale`` and π the ``inclusion``. ``fit_intercept`` adds an intercept that is always in,
    with its own :math:`N(0, t^2)`, t the ``intercept_scale``.

    **What is standardised.** With ``standardize=True`` the model is the same for standardised data,

    .. math:: \tilde x_{ij} = (x_{ij} - \bar x_j)/\operatorname{sd}(x_j), \qquad
        \tilde y_i = (y_i - \bar y)/\operatorname{sd}(y)

    with standard deviations of divisor n (weighted, with the total weight, where there are weights), and the
    arguments ``slab_scale`` and ``intercept_scale`` and the prior of an unknown noise are in these units: a
    slab scale of 1 says that a column one standard deviation up moves y by about one of its own. A number
    given as ``noise_scale`` is in the units of y. Without an intercept nothing is centred,
    only divided. Changing the units of a column or of y then changes no PIP, as long as the noise is not
    fixed. All results are on the user's scale: coefficients per unit of each column, the evidence as a
    density of y.

    **Factors.** A column of text or categories in a data frame becomes a column for each of its L levels, all
    with one gate. Effects of levels are those of an orthonormal coding,

    .. math:: e_l = z\,(\theta_l - \bar\theta), \qquad \theta_l \sim N(0, s^2/c^2), \qquad
        c^2 = \frac{1 - \sum_l p_l^2}{L - 1}

    with :math:`p_l` the share of rows with level l: they add up to 0, and each is read as the difference of
    a level from the mean of all levels. The prior is the same for all levels, and c makes a factor of two
    levels the standardised column of its zeros and ones, so that no result depends on how levels are called
    or coded. Without an intercept, or with ``standardize=False``, each level has an effect of its own,
    :math:`e_l = z\,\theta_l`.

    Args:
        inclusion: Prior inclusion probability: a number, an array with one a column (or one a group), or a
            tuple ``(a, b)`` for π ~ Beta(a, b), integrated out. The default Beta(1, 1) makes all model
            sizes equally probable, and so pays for looking at many columns.
        slab_scale: Standard deviation of a coefficient that is in; a number or one a column of X; or
            ``"learned"`` for one that all share and that the data decide, with ``slab_scale_prior``.
        slab_scaled_by_noise: Whether that is in units of the noise.
        noise_scale: σ, a number in units of y; ``None`` for an unknown one, with the prior ``noise_prior``.
        intercept_scale: Prior standard deviation of the intercept; infinity for a flat prior, under which
            ``log_evidence_`` lacks a constant.
        fit_intercept: Whether there is an intercept.
        standardize: See above.
        groups: Columns that are in or out together: one label a column, or a mapping of a group's name to
            its columns. By default each column is its own.
        gate_law: Law of the gates of a variational fit, for ``engine="svi"``: one of
            :data:`~l0bayes.gate_families.GATE_FAMILIES` that gives every gate a probability of its own.
            ``"bernoulli"`` relaxes nothing.
        engine: ``"exact"`` for all models, to 20 gates; ``"gibbs"`` for collapsed tempered Gibbs sampling;
            ``"wide"`` for that in working sets of any number of columns, which are read as they are;
            ``"svi"`` for a variational fit; the name of an engine that was registered
            (:func:`l0bayes.selection.register_engine`); ``"auto"`` for the first where there are few gates,
            the second where there are many, the third where there are thousands.
        restarts: Restarts of a variational fit, mixed by their ELBO, for ``engine="svi"``.
        random_state: Seed of the sampler and of draws.
        options: All options of the engine, such as ``l0bayes.selection.ExactOptions(max_gates=22)``.
        noise_prior: Prior of an unknown σ², in units of the response as it is modelled (standardised,
            unless ``standardize=False``): ``"weak"``, which counts as 0.01 observations and is centred at
            half of the response's variance
            (:func:`~l0bayes.likelihoods.noise_priors.weak_noise_prior`), for a standardised
            response InverseGamma(0.005, 0.0025); ``"jeffreys"``, :math:`p(\sigma^2) \propto
            1/\sigma^2`, under which ``log_evidence_`` lacks a constant, and which needs data that no model
            fits without a residual, so more rows than columns; or a pair ``(shape, rate)`` of an inverse
            gamma law. Where prior and data conflict, ``fit`` warns. It is of Normal slabs.
        slab: Prior of the coefficients that are in: ``"normal"`` for independent Normal ones, as above;
            ``"g"``, ``"hyper-g"``, ``"hyper-g/n"`` or ``"jzs"`` for Zellner's
            :math:`N(0, g\sigma^2(\tilde X'\tilde X)^{-1})` with the laws of g of
            :class:`~l0bayes.selection.slab_priors.fixed_g.FixedG` and its neighbours, a flat intercept and
            :math:`p(\sigma^2) \propto 1/\sigma^2`; or a name that
            :func:`~l0bayes.selection.slab_priors.slab_registry.register_slab_prior` was given. Under these no
            PIP depends on units or on how factors are coded, and there must be more rows than columns;
            ``slab_scale``, ``intercept_scale``, ``noise_scale`` and ``noise_prior`` have no part in them.
        g: Of ``slab="g"``: ``"unit"`` for n, ``"bric"`` for max(n, p²), ``"eb-local"`` or ``"eb-global"`` for
            the g that makes the data most probable, of each model or of all together, or a number.
        slab_scale_prior: Prior of a learned ``slab_scale``: ``("half-cauchy", b)`` with its median at b, by
            default 1; ``("inverse-gamma", a, b)`` for its square; or a law of
            :class:`~l0bayes.selection.slab_priors.slab_scale_law.SlabScaleLaw`.
        rscale: Scale of ``slab="jzs"``, by default :math:`\sqrt2/4`, BayesFactor's "medium"; 1 is the prior
            of Zellner and Siow.
        always_in: Columns that are in every model, by names or positions; ``inclusion`` is of the others.
        heredity: Whether products and powers need the columns they are made of, told by names such as
            ``a:b`` and ``a^2``: ``"strong"`` all of them, ``"weak"`` one. Models without have no prior
            probability, and ``inclusion`` is the law of the others in proportion.
        unseen: What ``predict`` does about text that no row of ``fit`` had in a factor: ``"refuse"`` it by
            name, or predict the ``"mean"`` of the other levels, with a warning, so that folds of a
            cross-validation by any ``scoring`` have finite scores. ``score`` always does the latter.

    Attributes:
        columns_: Names of the p columns that have coefficients: those of X, of a factor one for each level.
        pip_: Posterior inclusion probability of every column, shape ``(p,)``.
        coef_: Posterior mean of the coefficients, zeros included, shape ``(p,)``.
        coef_conditional_: The same given that the gate is open, shape ``(p,)``.
        intercept_: Posterior mean of the intercept.
        log_evidence_: :math:`\log p(y)` under the model; NaN where the engine does not give it.
        trust_: How far the PIPs can be trusted, a :class:`~l0bayes.selection.problem.verdict.Trust`.
        inference_data_: Draws for ArviZ.
        engine_: The engine that was used.
        posterior_: What it found, in standardised units.
        original_scale_: The same on the user's scale.
        likelihood_checks_: How the data look beside the likelihood.
        n_features_in_: Number of columns of X.
        feature_names_in_: Names of the columns, where X had any.

    Example::

        fit = SpikeSlabRegressor(random_state=0).fit(X, y)
        fit.summary()
    """

    def __init__(
        self,
        inclusion: Any = (1.0, 1.0),
        slab_scale: Any = 1.0,
        slab_scaled_by_noise: bool = False,
        noise_scale: float | None = None,
        intercept_scale: float = 10.0,
        fit_intercept: bool = True,
        standardize: bool = True,
        groups: Any = None,
        gate_law: str | None = None,
        engine: str = "auto",
        restarts: int | None = None,
        random_state: Any = None,
        options: Any = None,
        noise_prior: Any = "weak",
        slab: str = "normal",
        g: Any = "unit",
        rscale: float | None = None,
        always_in: Any = None,
        heredity: str | None = None,
        unseen: str = "refuse",
        slab_scale_prior: Any = None,
    ) -> None:
        super().__init__(
            inclusion=inclusion,
            slab_scale=slab_scale,
            intercept_scale=intercept_scale,
            fit_intercept=fit_intercept,
            standardize=standardize,
            groups=groups,
            gate_law=gate_law,
            engine=engine,
            restarts=restarts,
            random_state=random_state,
            options=options,
            unseen=unseen,
            always_in=always_in,
            heredity=heredity,
        )
        self.slab_scaled_by_noise = slab_scaled_by_noise
        self.noise_scale = noise_scale
        self.noise_prior = noise_prior
        self.slab = slab
        self.g = g
        self.rscale = rscale
        self.slab_scale_prior = slab_scale_prior

    def _check_own(self) -> None:
        self._slab_prior()
        checked_slab_scale(self.slab_scale, self.slab_scale_prior)
        if self.noise_scale is not None:
            positive("noise_scale", self.noise_scale)
        check_noise(self.noise_scale, self.noise_prior)

    def _response(self, y: Any) -> Array:
        response = np.asarray(y, dtype=np.float64)
        # What differs by rounding only is one number: rounding errors are no data to find effects in.
        return np.full_like(response, response[0]) if _is_constant(response) else response

    def _warn_of_rows(self, x: Array, y: Array, names: list[str], terms: RowTerms) -> None:
        left = y if terms.offset is None else y - terms.offset
        if _is_constant(left):
            what = "y is constant" if terms.offset is None else "y - offset is constant"
            warn_user(
                f"{what}, {left[0]:g} in every row that counts: there is nothing to explain, and the "
                "inclusion probabilities mean nothing",
                ConstantColumnWarning,
            )

    def _explained(self, y: Tensor, terms: RowTerms) -> Tensor:
        return y if terms.offset is None else y - torch.from_numpy(terms.offset)

    def _scaling(self, x: Tensor, y: Tensor, weights: Tensor, blocks: Sequence[LevelBlock]) -> Scaling:
        return Scaling.of(x, weights, centered=self.fit_intercept, y=y, blocks=blocks)

    def _slab_prior(self) -> SlabPrior | None:
        """The prior of the slabs; ``None`` for independent Normal ones."""
        return checked_slab(
            self.slab,
            self.g,
            self.rscale,
            slab_scale=self.slab_scale,
            slab_scaled_by_noise=self.slab_scaled_by_noise,
            noise_scale=self.noise_scale,
            noise_prior=self.noise_prior,
        )

    def _problem(
        self, common: dict[str, Any], scaling: Scaling, blocks: Sequence[LevelBlock], terms: RowTerms
    ) -> SelectionProblem:
        common = dict(common)
        if "offset" in common:
            common["offset"] = common["offset"] / scaling.response_scale
        slab = self._slab_prior()
        if slab is not None:
            own = {name: value for name, value in common.items() if name not in _OF_NORMAL_SLABS}
            return ZellnerProblem(slab=slab, blocks=tuple(blocks), weights_are_counts=True, **own)
        noise: Any
        if self.noise_scale is None:
            left, weights = common["y"] - common.get("offset", 0.0), common["weights"]
            noise = noise_prior(self.noise_prior, left, weights, centred=bool(self.fit_intercept))
        else:
            noise = float(self.noise_scale) / scaling.response_scale
        law = checked_slab_scale(self.slab_scale, self.slab_scale_prior)
        kind: Any = GaussianProblem if law is None else partial(LearnedSlabProblem, slab_law=law)
        found: SelectionProblem = kind(
            noise=noise,
            slab_scaled_by_noise=bool(self.slab_scaled_by_noise),
            weights_are_counts=True,
            **common,
        )
        return found

    _learns_slab_scale = True

    def _likelihood_checks(
        self, y: Tensor, eta: Tensor, weights: Tensor, degrees: float, row_name: Callable[[int], str]
    ) -> list[LikelihoodCheck | None]:
        tails = tail_check(y - eta, weights, row_name)
        if self.noise_scale is None:
            return [tails]
        return [noise_check(y - eta, float(self.noise_scale), weights, degrees), tails]

    def _response_law(self) -> Likelihood:
        known = None if self.noise_scale is None else float(self.noise_scale)
        return Gaussian(noise_scale=known)

    def _latents(self, draws: Draws) -> dict[str, Tensor]:
        return {"noise": draws.noise_scale}


def _is_constant(y: Array) -> bool:
    """Whether a response is the same in every row, up to rounding."""
    return bool(np.ptp(y) <= _ROUNDING * np.abs(y).max())
