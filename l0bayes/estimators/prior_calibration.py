r"""Calibration of an estimator before any response is seen."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.base import clone
from torch import Tensor

from l0bayes.estimators.coded_table import CodedTable
from l0bayes.estimators.input_tables import Array
from l0bayes.estimators.scaling import Scaling
from l0bayes.estimators.training_table import TrainingTable, training_table
from l0bayes.selection.problem.gate_restriction import GateRestriction
from l0bayes.selection.problem.selection_problem import SelectionProblem

if TYPE_CHECKING:
    from l0bayes.selection.calibrate.calibration_result import Calibration

__all__ = ["CalibratedBeforeData"]


class CalibratedBeforeData:
    """An estimator whose probabilities can be put to the test on data drawn from its own prior."""

    engine: str
    random_state: Any
    _numeric_response: bool

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
    def _posed(
        self,
        table: CodedTable,
        response: Array,
        counts: Array,
        slab: Tensor,
        restriction: GateRestriction | None,
    ) -> tuple[SelectionProblem, Scaling]:
        """The problem, and the units that it is in."""

    def _stand_in(self, count: int) -> Array:
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
        learned by the fits. Responses of a partial likelihood, or of so many trials, cannot be drawn.

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

        Returns:
            A :class:`~l0bayes.selection.calibrate.calibration_result.Calibration`: printed it says what was
            found, ``to_frame()`` is the table, and ``l0bayes.plots.plot_calibration`` the picture.

        Raises:
            ValueError: If an argument or a column is not what it must be, or the prior or the response
                cannot be drawn from, by name.
        """
        from sklearn.utils import check_random_state

        from l0bayes.selection.calibrate.calibrate_problem import calibrate_problem

        own: Any = clone(self)
        own._check_arguments()
        given = training_table(own, X, own._stand_in(len(X)), None, numeric=False)
        table, slab, restriction = own._coded(given)
        problem, _ = own._posed(table, given.y, given.weights, slab, restriction)
        return calibrate_problem(
            problem,
            own.engine,
            options=own._engine_options(),
            num_datasets=num_datasets,
            threshold=threshold,
            fdr=fdr,
            intercept=intercept,
            blocks=table.blocks,
            seed=int(check_random_state(self.random_state).randint(2**31 - 1)),
            progress=progress or _silent,
        )


def _silent(share: float) -> None:
    """Shows nothing."""
