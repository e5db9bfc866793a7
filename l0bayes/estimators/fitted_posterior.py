r"""How the posterior of a fitted estimator is read: tables, sets, draws."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from l0bayes.estimators.frame_coding import FrameCoding
from l0bayes.estimators.inference_data import inference_data
from l0bayes.estimators.input_tables import Array
from l0bayes.estimators.noise_and_fit import noise_and_fit
from l0bayes.estimators.original_scale import OriginalScalePosterior
from l0bayes.estimators.summary_tables import joint_table, models_table, size_table, summary_table
from l0bayes.estimators.training_table import prediction_table
from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.problem.verdict import Trust
from l0bayes.selection.summaries.credible_sets import CredibleSet, credible_sets
from l0bayes.selection.trust.likelihood_fit import LikelihoodCheck

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FittedPosterior"]


class FittedPosterior:
    """What a fitted estimator gives to read; base of all of them."""

    pip_: Array
    coef_: Array
    intercept_: float
    log_evidence_: float
    engine_: str
    trust_: Trust
    likelihood_checks_: list[LikelihoodCheck]
    posterior_: SelectionPosterior
    original_scale_: OriginalScalePosterior
    unseen: str
    _coding: FrameCoding
    _response_seen: Tensor
    _data: Any

    @property
    def columns_(self) -> list[str]:
        """Names of the columns that have coefficients: a factor has one for each level, ``region[north]``."""
        check_is_fitted(self)
        return list(self.original_scale_.names)

    @property
    def findings_(self) -> OriginalScalePosterior:
        """Another name of ``original_scale_``, for scripts that have it so."""
        check_is_fitted(self)
        return self.original_scale_

    @property
    def coef_conditional_(self) -> Array:
        """Posterior mean of each coefficient given that its gate is open, shape ``(p,)``."""
        check_is_fitted(self)
        return self.original_scale_.conditional[0].numpy()

    @property
    def inference_data_(self) -> Any:
        """Draws of the posterior as ArviZ data, made when first asked for.

        See :func:`l0bayes.estimators.inference_data.inference_data`.
        """
        check_is_fitted(self)
        if self._data is None:
            self._data = inference_data(self.original_scale_, self._observed(), self._attributes())
        return self._data

    def summary(
        self, hdi_prob: float = 0.94, *, credible_set_prob: float = 0.95, min_correlation: float = 0.5
    ) -> pd.DataFrame:
        r"""What is known of every column, the most probable first, on the user's scale.

        ====================  ======================================================================
        column                content
        ====================  ======================================================================
        ``pip``               posterior inclusion probability; of a group for each of its columns
        ``pip_mcse``          its Monte Carlo standard error, 0 where all models were taken
        ``prior``             prior inclusion probability
        ``log10_bf``          log10 of posterior odds over prior odds of inclusion, a Bayes factor: below
        ``mean``, ``sd``      of the coefficient, zeros included
        ``cond_mean``,        of the coefficient given that its gate is open
        ``cond_sd``
        ``cond_hdi_low``,     narrowest interval that holds ``hdi_prob`` of the posterior given that
        ``cond_hdi_high``     the gate is open
        ``p_positive``        probability that the coefficient is positive given that its gate is open
        ``in_median_model``   whether ``pip`` is above one half
        ``bfdr_q``            mean of 1 − PIP over the gates at least as probable: the Bayesian false
                              discovery rate of a selection that goes down to this one
        ``group``             name of the gate
        ``credible_set``      number of the credible set, if it is in one; see
                              :func:`~l0bayes.selection.summaries.credible_sets.credible_sets`
        ====================  ======================================================================

        **The Bayes factor** compares how probable the data are with the gate open and with it shut, each
        averaged over the prior of the other gates,

        .. math:: \mathrm{BF}_g = \frac{P(\gamma_g = 1 \mid D)}{P(\gamma_g = 0 \mid D)} \Big/
            \frac{P(\gamma_g = 1)}{P(\gamma_g = 0)}
            = \frac{p(D \mid \gamma_g = 1)}{p(D \mid \gamma_g = 0)}, \qquad
            p(D \mid \gamma_g) = \sum_{\gamma_{-g}} p(D \mid \gamma)\, p(\gamma_{-g} \mid \gamma_g).

        With given inclusion probabilities gates are independent, and the two averages have the same weights.
        Under a Beta prior they have not: the share of open gates is learned, an open gate is evidence for
        a larger share, and the factor depends on the other gates through it. Where many others are open it is
        above 1 for a column that the data hold nothing about. It is infinite where a sampled PIP is 0 or 1.

        ``attrs`` of the table hold ``engine``, ``trust``, ``trust_reasons``, ``expected_model_size``,
        ``log_evidence``, ``num_gates``, ``hdi_prob``; where the response is Normal, also the posterior mean
        and interval of σ, ``sigma``, ``sigma_low``, ``sigma_high``, and of the share of the response's
        variance that is explained, ``r2``, ``r2_low``, ``r2_high``
        (:func:`~l0bayes.estimators.noise_and_fit.noise_and_fit`). Of a slab scale that is learned
        ``slab_scale`` is the median, and ``slab_scale_low`` and ``slab_scale_high`` are the ends of the
        equal-tailed interval, by default of 94 %: from its 3 % to its 97 % quantile.

        Args:
            hdi_prob: Share of the posterior that intervals hold: of coefficients, given that they are in.
            credible_set_prob: Probability that one of a credible set is open.
            min_correlation: Least absolute correlation between two columns of a credible set.

        Returns:
            A table with one row a column of X, indexed by its name.
        """
        check_is_fitted(self)
        return summary_table(
            self.original_scale_,
            hdi_prob=hdi_prob,
            set_prob=credible_set_prob,
            min_correlation=min_correlation,
            attributes={**self._attributes(), **self._noise_attributes(hdi_prob), "hdi_prob": hdi_prob},
        )

    def top_models(self, k: int = 10) -> pd.DataFrame:
        """The most probable models: probability, size, and the gates that are open.

        Args:
            k: How many at most.

        Returns:
            A table with the columns ``probability``, ``cumulative``, ``size`` and ``variables``.
        """
        check_is_fitted(self)
        return models_table(self.original_scale_, k)

    def model_size(self) -> pd.DataFrame:
        """Probability of every number of open gates: columns ``posterior`` and ``prior``."""
        check_is_fitted(self)
        return size_table(self.original_scale_)

    def joint_inclusion(self) -> pd.DataFrame:
        """Probability that two gates are open together; of each by itself on the diagonal."""
        check_is_fitted(self)
        return joint_table(self.original_scale_)

    def credible_sets(self, coverage: float = 0.95, *, min_correlation: float = 0.5) -> list[CredibleSet]:
        """Sets of gates with one signal: :func:`~l0bayes.selection.summaries.credible_sets.credible_sets`.

        Args:
            coverage: Least probability that one of a set is open.
            min_correlation: Least absolute correlation between two columns of a set.
        """
        check_is_fitted(self)
        return credible_sets(self.posterior_, coverage=coverage, min_correlation=min_correlation)

    def _observed(self) -> Tensor | None:
        """The responses of the rows; ``None`` where these are not known."""
        return self._response_seen

    def _attributes(self) -> dict[str, Any]:
        return {
            "created_by": f"l0bayes {version('l0bayes')}",
            "estimator": type(self).__name__,
            "engine": self.engine_,
            "trust": self.trust_.verdict,
            "trust_reasons": " ".join(self.trust_.reasons),
            "expected_model_size": float(self.original_scale_.pip.sum()),
            "log_evidence": self.log_evidence_,
            "num_gates": len(self.original_scale_.gate_names),
        }

    def _noise_attributes(self, hdi_prob: float) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, spread in noise_and_fit(self.original_scale_, hdi_prob).items():
            found |= {name: spread.mean, f"{name}_low": spread.low, f"{name}_high": spread.high}
        return found

    def _columns(self, X: Any) -> Tensor:  # noqa: N803
        """Columns to predict from."""
        check_is_fitted(self)
        coding = self._coding.with_new_levels() if self.unseen == "mean" else self._coding
        return torch.tensor(prediction_table(self, X, coding))
