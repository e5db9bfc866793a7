r"""Calibration of an estimator before any response is seen."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.base import clone
from torch import Tensor

from l0bayes.estimators.arguments import slab_scales
from l0bayes.estimators.coded_table import CodedTable
from l0bayes.estimators.input_tables import Array
from l0bayes.estimators.planned_rows import constant_columns_only, refuse_plans
from l0bayes.estimators.row_terms import RowTerms, row_offset
from l0bayes.estimators.scaling import Scaling
from l0bayes.estimators.training_table import TrainingTable, training_table
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.selection.problem.gate_restriction import GateRestriction
from l0bayes.selection.problem.selection_problem import SelectionProblem

if TYPE_CHECKING:
    from l0bayes.selection.calibrate.calibration_result import Calibration

__all__ = ["CalibratedBeforeData"]


class CalibratedBeforeData:
    """An estimator whose probabilities can be put to the test on data drawn from its own prior."""

    engine: str
    random_state: Any
    slab_scale: Any
    _numeric_response: bool
    _response_law: Callable[[], Likelihood]

    @abstractmethod
    def _check_arguments(self) -> None:
        """Refuse arguments that are not what they must be."""

    @abstractmethod
    def _engine_options(self) -> Any:
        """The engine's options, or ``None``."""

    @abstractmethod
    def _coded(self, given: TrainingTable) -> tuple[CodedTable, Tensor, GateRestriction | None]:
        """The columns as engines take them, their slab scales, and which models have no probability."""

    @abstractmethod
    def _restriction(
        self, names: Sequence[str], gates: Tensor, gate_names: Sequence[str], monomials: Any
    ) -> GateRestriction | None:
        """Models without prior probability."""

    @abstractmethod
    def _posed(
        self,
        table: CodedTable,
        response: Array,
        counts: Array,
        slab: Tensor,
        restriction: GateRestriction | None,
        terms: RowTerms | None = None,
    ) -> tuple[SelectionProblem, Scaling]:
        """The problem, and the units that it is in."""

    def _planned_terms(
        self, count: int, offset: Any, exposure: Any, trials: Any, censored: float
    ) -> RowTerms:
        """What is known of rows before their responses are, checked."""
        refuse_plans(type(self).__name__, trials=trials, censored=censored or None)
        likelihood = self._response_law()
        known = row_offset(likelihood, count, offset, exposure)
        # Where the response is a place and a noise, an offset moves it and changes no answer.
        return RowTerms(offset=None if likelihood.has_noise else known)

    def _stand_in(self, count: int, terms: RowTerms) -> Array:
        """A response that could be observed, in the units that the response is modelled in."""
        values = np.random.default_rng(28_411_937).normal(size=count)
        values -= values.mean()
        return values / max(float(values.std()), 1e-300)

    def calibrate(
        self,
        X: Any,  # noqa: N803
        *,
        num_datasets: int = 200,
        threshold: float = 0.5,
        fdr: float = 0.1,
        intercept: float | Literal["prior"] | None = None,
        progress: Callable[[float], None] | None = None,
        offset: Any = None,
        exposure: Any = None,
        trials: Any = None,
        censored: float = 0.0,
    ) -> Calibration:
        """Whether the probabilities would be right for this design and prior, before any response is seen.

        Gates, coefficients, noise and response are drawn from the model and its prior for these columns,
        many times; each data set is fitted as ``fit`` would, and what was promised is compared with the
        truth that it was drawn with: inclusion probabilities, false discoveries of rules of selection and
        their power, conditional intervals by the ranks of the true coefficients, the number of open gates,
        the noise and the log likelihood.

        With ``standardize=True`` the prior is of a standardised response. Here responses are drawn in these
        units and taken as they are, as if each had a standard deviation of 1: a ``noise_scale`` is then in
        standard deviations of the response.

        Numbers that a likelihood learns, such as a dispersion, are held at a usual value in the data and
        learned by the fits. Of survival times the order of the events is drawn, which is all that a partial
        likelihood looks at: the baseline hazard does not matter.

        Args:
            X: Columns, shape ``(n, p)``: an array of numbers, or a data frame, in which columns of text and
                categories are factors.
            num_datasets: Number of data sets; each takes as long as a fit.
            threshold: A rule of selection: gates whose PIP is above this.
            fdr: Another: as many of the most probable gates as have this Bayesian false discovery rate.
            intercept: Value of the intercept, at the mean of the columns, in all data sets; ``"prior"`` to
                draw it. By default it is drawn where the response is Normal, and 0 elsewhere: responses at
                an intercept of a wide prior are nearly all alike.
            progress: Called with the share of the work that is done, up to 1.
            offset: What is to be added to the linear predictor of each row, shape ``(n,)``, as in ``fit``.
            exposure: Of counts: positive, shape ``(n,)``, as in ``fit``.
            trials: Of :class:`~l0bayes.estimators.binomial.SpikeSlabBinomial`, which needs them: trials of
                each row, or one number for all.
            censored: Of :class:`~l0bayes.estimators.cox.SpikeSlabCox`: share of the rows that are lost from
                sight before their event, at random, below 1.

        Returns:
            A :class:`~l0bayes.selection.calibrate.calibration_result.Calibration`: printed it says what was
            found, ``to_frame()`` is the table, and ``l0bayes.plots.plot_calibration`` the picture.

        Raises:
            ValueError: If an argument or a column is not what it must be, or the prior or the response
                cannot be drawn from, by name.
        """
        own: Any = clone(self)
        own._check_arguments()
        terms = own._planned_terms(len(X), offset, exposure, trials, censored)
        given = training_table(own, X, own._stand_in(len(X), terms), terms.counted, numeric=False)
        table, slab, restriction = own._coded(given)
        found: Calibration = own._calibrated(
            (table, given.y, given.weights, slab, restriction, terms.of_rows(given.rows)),
            {"num_datasets": num_datasets, "threshold": threshold, "fdr": fdr, "intercept": intercept},
            progress,
        )
        return found

    def calibrate_coded(
        self,
        table: CodedTable,
        terms: RowTerms | None = None,
        *,
        num_datasets: int = 200,
        progress: Callable[[float], None] | None = None,
    ) -> Calibration:
        """:meth:`calibrate` of columns whose factors are coded already.

        Args:
            table: The columns, as in ``fit_coded``.
            terms: What is known of the rows: offsets, trials, and how many events are seen.
            num_datasets: Number of data sets.
            progress: Called with the share of the work that is done, up to 1.

        Raises:
            ValueError: As there.
        """
        own: Any = clone(self)
        own._check_arguments()
        known = terms or RowTerms()
        rows = np.arange(len(table.values)) if known.counted is None else np.flatnonzero(known.counted)
        known, table = known.of_rows(rows), table.of_rows(rows)
        slab = slab_scales(own.slab_scale, table.values.shape[1])
        restriction = own._restriction(table.names, table.groups, table.gate_names, table.monomials)
        found: Calibration = own._calibrated(
            (table, own._stand_in(len(rows), known), np.ones(len(rows)), slab, restriction, known),
            {"num_datasets": num_datasets},
            progress,
        )
        return found

    def _calibrated(
        self, parts: Any, asked: dict[str, Any], progress: Callable[[float], None] | None
    ) -> Calibration:
        """The problem that these parts pose, put to the test."""
        from sklearn.utils import check_random_state

        from l0bayes.selection.calibrate.calibrate_problem import calibrate_problem

        with constant_columns_only():  # what else is warned of is of the response that stands in
            problem, _ = self._posed(*parts)
        return calibrate_problem(
            problem,
            self.engine,
            options=self._engine_options(),
            blocks=parts[0].blocks,
            seed=int(check_random_state(self.random_state).randint(2**31 - 1)),
            progress=progress or _silent,
            **asked,
        )


def _silent(share: float) -> None:
    """Shows nothing."""
