r"""Spike-and-slab regression of counts, of Poisson's spread or more."""

from __future__ import annotations

from typing import Any, Literal

from l0bayes import validate
from l0bayes.estimators.input_tables import Array
from l0bayes.estimators.poisson import SpikeSlabPoissonRegressor
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.negative_binomial_likelihood import NegativeBinomial

__all__ = ["SpikeSlabCountRegressor"]


class SpikeSlabCountRegressor(SpikeSlabPoissonRegressor):
    r"""Regression of counts in which every column is in or out, with the probability of that.

    With ``standardize=False`` and ``fit_intercept=False`` the model is exactly

    .. math::
        E[y] = \mu = e^{o + X\beta}, \qquad \beta_j = z_j\theta_j, \qquad
        z_j \sim \mathrm{Bern}(\pi), \qquad \theta_j \sim N(0, s^2)

    with s the ``slab_scale``, π the ``inclusion`` and o the offset or the logarithm of the exposure given to
    ``fit``. Counts are Poisson's, or negative binomial with :math:`\operatorname{Var} y = \mu + \phi\mu^2`.
    The dispersion φ is a number, or learned with :math:`\phi \sim \mathrm{Exponential}(1)`: it is integrated
    out, by quadrature over :math:`\log\phi` in every
    model. ``fit_intercept`` adds an intercept that is always in,
    with its own :math:`N(0, t^2)`, t the ``intercept_scale``.

    What is standardised, and how factors are coded, is as in
    :class:`~l0bayes.estimators.poisson.SpikeSlabPoissonRegressor`. Coefficients are integrated out by
    Laplace's method of second order, model by model,
    checked and where needed put right by importance sampling.

    Args:
        likelihood: ``"poisson"``, or ``"negative_binomial"`` for counts that vary more.
        dispersion: φ of the negative binomial: a positive number, or ``"learned"``.
        inclusion: Prior inclusion probability: a number, an array with one a column (or one a group), or a
            tuple ``(a, b)`` for π ~ Beta(a, b), integrated out. The default Beta(1, 1) makes all model
            sizes equally probable, and so pays for looking at many columns.
        slab_scale: Standard deviation of a coefficient that is in; a number or one a column of X.
        intercept_scale: Prior standard deviation of the intercept.
        fit_intercept: Whether there is an intercept.
        standardize: See above.
        groups: Columns that are in or out together: one label a column, or a mapping of a group's name to
            its columns. By default each column is its own.
        gate_law: Law of the gates of a variational fit, for ``engine="svi"``: one of
            :data:`~l0bayes.gate_families.GATE_FAMILIES` that gives every gate a probability of its own.
            ``"bernoulli"`` relaxes nothing.
        engine: ``"exact"`` for all models, to 16 gates; ``"gibbs"`` for sampling; ``"svi"`` for a
            variational fit, not with a learned dispersion; the name of an engine that was registered
            (:func:`l0bayes.selection.register_engine`); ``"auto"`` for the first where there are few gates
            and the second where there are many.
        restarts: Restarts of a variational fit, mixed by their ELBO, for ``engine="svi"``.
        random_state: Seed of the sampler and of draws.
        options: All options of the engine, such as ``l0bayes.selection.ExactOptions(max_gates=18)``.
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
        log_evidence_: :math:`\log P(y)` under the model; NaN where the engine does not give it.
        trust_: How far the PIPs can be trusted, a :class:`~l0bayes.selection.problem.verdict.Trust`.
        inference_data_: Draws for ArviZ.
        engine_: The engine that was used.
        posterior_: What it found, in standardised units.
        original_scale_: The same on the user's scale.
        likelihood_checks_: How the data look beside the likelihood.
        n_features_in_: Number of columns of X.
        feature_names_in_: Names of the columns, where X had any.
    """

    def __init__(
        self,
        likelihood: Literal["poisson", "negative_binomial"] = "poisson",
        dispersion: float | Literal["learned"] = "learned",
        inclusion: Any = (1.0, 1.0),
        slab_scale: Any = 1.0,
        intercept_scale: float = 10.0,
        fit_intercept: bool = True,
        standardize: bool = True,
        groups: Any = None,
        gate_law: str | None = None,
        engine: str = "auto",
        restarts: int | None = None,
        random_state: Any = None,
        options: Any = None,
        always_in: Any = None,
        heredity: str | None = None,
        unseen: str = "refuse",
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
            always_in=always_in,
            heredity=heredity,
            unseen=unseen,
        )
        self.likelihood = likelihood
        self.dispersion: float | Literal["learned"] = dispersion

    def _own_likelihood(self) -> Likelihood:
        validate.one_of(("poisson", "negative_binomial"), likelihood=self.likelihood)
        if self.likelihood == "negative_binomial":
            return NegativeBinomial(self.dispersion)
        if self.dispersion != "learned":
            raise ValueError(
                f"dispersion is of likelihood='negative_binomial'; got {self.dispersion!r} with 'poisson', "
                "whose variance is its mean"
            )
        return super()._own_likelihood()

    def _warn(self, x: Array, y: Array, names: list[str]) -> None:
        if self.likelihood == "poisson":
            super()._warn(x, y, names)
        else:
            self._warn_of_zeros(x, y, names)
