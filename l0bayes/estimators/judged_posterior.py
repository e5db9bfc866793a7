r"""From a problem to a posterior that is kept with the estimator and judged."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from l0bayes.estimators.coded_table import CodedTable
from l0bayes.estimators.correlation import warn_of_correlation
from l0bayes.estimators.fit_callbacks import FitCallbacks
from l0bayes.estimators.input_tables import Array
from l0bayes.estimators.kept.kept_estimator import KeptEstimator
from l0bayes.estimators.original_scale import OriginalScalePosterior
from l0bayes.estimators.scaling import Scaling
from l0bayes.selection.engines.infer_gates import infer_gates
from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.problem.verdict import Trust
from l0bayes.selection.trust.likelihood_fit import LikelihoodCheck, judge_likelihood
from l0bayes.selection.trust.noise_conflict import NoisePriorWarning, noise_conflict
from l0bayes.selection.trust.posterior_trust import trust_of
from l0bayes.user_warnings import warn_user

__all__ = ["JudgedPosterior"]


class JudgedPosterior(FitCallbacks, KeptEstimator):
    """What an estimator does with its problem; base of all of them."""

    engine: str
    random_state: Any
    fit_intercept: bool

    @abstractmethod
    def _engine_options(self) -> Any:
        """The engine's options, or ``None``."""

    @abstractmethod
    def _likelihood_checks(
        self, y: Tensor, eta: Tensor, weights: Tensor, degrees: float, row_name: Callable[[int], str]
    ) -> list[LikelihoodCheck | None]:
        """How the data look beside the likelihood, given the posterior mean of the predictor."""

    def _found(self, problem: SelectionProblem, scaling: Scaling, table: CodedTable, response: Array) -> Self:
        """The posterior of the problem, kept and judged."""
        names, weights = table.names, problem.weights
        x, target = (torch.tensor(values, dtype=torch.float64) for values in (table.values, response))
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        posterior = infer_gates(
            problem, self.engine, options=self._engine_options(), seed=seed, progress=self._tell
        )
        trust = trust_of(posterior, seed=seed)
        original = OriginalScalePosterior(posterior, scaling, names, table.gate_names, seed, table.blocks)
        self._keep(posterior, trust, original, target)
        eta, degrees = original.predictor(x) + problem.offset * scaling.response_scale, original.degrees
        checks = self._likelihood_checks(target, eta, weights, degrees, table.row_name)
        self.likelihood_checks_ = [check for check in checks if check is not None]
        conflict = noise_conflict(problem, posterior, scaling.response_scale)
        if conflict is not None:
            warn_user(conflict, NoisePriorWarning)
            trust = replace(trust, reasons=(*trust.reasons, conflict))
        self.trust_ = judge_likelihood(trust, self.likelihood_checks_)
        return self

    def _keep(
        self, posterior: SelectionPosterior, trust: Trust, original: OriginalScalePosterior, y: Tensor
    ) -> None:
        problem, scaling = posterior.problem, original.scaling
        self.posterior_ = posterior
        self.trust_ = trust
        self.original_scale_ = original
        self.engine_ = posterior.engine
        self.pip_ = original.pip[original.groups].numpy()
        self.coef_ = original.mean.numpy()
        self.intercept_ = float(original.intercept) if self.fit_intercept else 0.0
        change = float(problem.weights.sum()) * float(np.log(scaling.response_scale))
        self.log_evidence_ = posterior.log_evidence - change
        self._response_seen = y
        self._data: Any = None
        self._kept_predictors: list[Any] = []
        diagnostics = posterior.diagnostics
        if diagnostics.independent_gates and warn_of_correlation(posterior, original.names):
            return
        if diagnostics.remedy is not None:
            trust.warn(diagnostics.remedy)
