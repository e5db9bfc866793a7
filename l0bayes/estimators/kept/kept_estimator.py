r"""How a fitted estimator predicts, and how it is kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from l0bayes.estimators.checks.row_checks import RowChecks, check_rows
from l0bayes.estimators.fitted_posterior import FittedPosterior
from l0bayes.estimators.frame_coding import FrameCoding
from l0bayes.estimators.kept.coefficient_law import CoefficientLaw
from l0bayes.estimators.kept.model_posterior import gates_of, within_model
from l0bayes.estimators.kept.predictor import Predictor
from l0bayes.estimators.kept.saved_selection import state_of
from l0bayes.estimators.kept.selection_files import write_to_folder
from l0bayes.estimators.kept.table_coding import FrameTableCoding
from l0bayes.estimators.original_scale import Draws
from l0bayes.estimators.row_offsets import RowOffsets
from l0bayes.likelihoods.likelihood import Likelihood

__all__ = ["KeptEstimator"]


class KeptEstimator(RowOffsets, FittedPosterior):
    """Predictions of an estimator, and its file; base of all estimators.

    What is kept is the same for all of them: draws of the coefficients under the three estimators, and the
    law of the response by its name and options. An estimator declares :meth:`_response_law`, and
    :meth:`_latents` where that law needs more than the predictor.
    """

    get_params: Callable[..., dict[str, Any]]
    # One, once it was asked for. A list, since a prediction may not change what an estimator holds.
    _kept_predictors: list[Predictor]

    def _class_names(self) -> Any:
        """The two classes, where the response is one."""
        return None

    def _response_law(self) -> Likelihood:
        """The law of a response given the linear predictor.

        Raises:
            NotImplementedError: If there is none, so that nothing is predicted or kept.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say which law its response has")

    def _latents(self, draws: Draws) -> dict[str, Tensor]:
        """What the law needs for each draw beside the predictor, by the names that it has for it.

        Args:
            draws: Draws of the posterior; what is given has shape ``(S,)``, in their order.
        """
        return {}

    @property
    def predictor_(self) -> Predictor:
        """What predicts, under one of the estimators ``"average"``, ``"median"`` and ``"best"``."""
        check_is_fitted(self)
        if not self._kept_predictors:
            self._kept_predictors.append(Predictor(self._law_of, self._response_law()))
        return self._kept_predictors[0]

    def _predicted(
        self,
        X: Any,  # noqa: N803
        return_std: bool,
        estimator: str,
        interval: float | None,
        offset: Any,
        exposure: Any = None,
    ) -> Any:
        """Means of new responses, with their spread or an interval where these are asked for."""
        columns = self._columns(X)
        return self.predictor_.response(
            columns,
            estimator=estimator,
            return_std=return_std,
            interval=interval,
            offset=self._offset_of(len(columns), offset, exposure),
        )

    def _law_of(self, estimator: str) -> CoefficientLaw:
        found, columns = self.original_scale_, torch.arange(len(self.original_scale_.names))
        if estimator != "average":
            found, columns = within_model(found, gates_of(found, estimator))
        has_intercept = bool(found.posterior.problem.num_unpenalised)
        return CoefficientLaw.of(found, self._latents(found.draws), columns, has_intercept)

    def _trials_of_fit(self) -> Tensor | None:
        """Numbers of trials of the rows of the fit, of a likelihood that has them."""
        return None

    def supports_row_checks(self) -> str | None:
        """Why rows cannot be looked at one by one, if so."""
        likelihood = self._response_law()
        if not likelihood.by_row:
            return "an observation is all rows together"
        if likelihood.takes_trials and self._trials_of_fit() is None:
            return "numbers of trials are not kept"
        return likelihood.supports_draws()

    def row_checks(self, row_name: Callable[[int], str] = "row {} of those that count".format) -> RowChecks:
        r"""The rows of the fit beside what it expects of them: residuals, replicated responses, words.

        ``rows`` has a residual for each row, standard Normal where the model holds whatever the likelihood,
        and whether the posterior without the row would be another one. ``words`` say what is wrong:
        overdispersion, heavy tails, a spread that changes with the mean, influential rows; see
        :func:`~l0bayes.estimators.checks.row_checks.check_rows`. :func:`l0bayes.plots.plot_residuals` and
        :func:`l0bayes.plots.plot_predictive_check` draw it.

        Args:
            row_name: What a row is called in words, by its place among those that count.

        Raises:
            ValueError: If the likelihood's rows cannot be looked at one by one.
        """
        check_is_fitted(self)
        reason = self.supports_row_checks()
        if reason is not None:
            raise ValueError(f"there are no checks of rows: {reason}")
        problem, scaling = self.original_scale_.posterior.problem, self.original_scale_.scaling
        scale = torch.where(torch.isinf(scaling.scale), 0.0, scaling.scale)
        return check_rows(
            self.predictor_,
            problem.x * scale + scaling.center,
            self._response_seen,
            problem.weights,
            self.likelihood_checks_,
            offset=problem.offset * scaling.response_scale,
            trials=self._trials_of_fit(),
            row_name=row_name,
            seed=self.original_scale_.seed,
        )

    def _coding_of_kept(self) -> FrameCoding:
        """How the columns that predictions are made of came from a user's table."""
        return self._coding

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Keep the fitted selection in a folder, for :func:`l0bayes.load_selection`.

        The folder holds one file, safetensors with a checksum: draws of the coefficients, the coding of the
        columns, and how it was self. Nothing in it can run. The data are not in it.

        Args:
            folder: The folder, which is made where there is none; one that holds a selection has it replaced.

        Returns:
            The file.

        Raises:
            FileExistsError: If the folder holds other files, and no selection.
            TypeError: If a factor has levels that are neither text nor numbers, by its place.
        """
        coding = FrameTableCoding(self._coding_of_kept(), tuple(self._column_means()))
        return write_to_folder(self.kept_state({"kind": coding.kind, **coding.state()}), folder)

    def kept_state(self, coding: dict[str, Any]) -> dict[str, Any]:
        """What is kept, as plain values and tensors.

        Args:
            coding: State of the coding of tables.
        """
        found = self.original_scale_
        about = {
            "created_by": f"l0bayes {version('l0bayes')}",
            "estimator": type(self).__name__,
            "arguments": {name: repr(value) for name, value in self.get_params().items()},
            "engine": self.engine_,
            "trust": self.trust_.verdict,
            "trust_reasons": list(self.trust_.reasons),
            "log_evidence": self.log_evidence_,
            "rows": found.posterior.problem.num_rows,
            "offset": self._had_offset,
        }
        return state_of(
            self.predictor_,
            coding,
            found.names,
            found.gate_names,
            found.pip[found.groups],
            found.mean,
            self.intercept_,
            self._class_names(),
            about,
        )

    def _column_means(self) -> Any:
        """Weighted mean of every column in the fit."""
        problem, scaling = self.original_scale_.posterior.problem, self.original_scale_.scaling
        means = problem.weights @ problem.x / problem.weights.sum()
        means = torch.where(torch.isinf(scaling.scale), 0.0, means * scaling.scale) + scaling.center
        return np.asarray(means).tolist()
