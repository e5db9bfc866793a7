r"""What all spike-and-slab estimators share: from a table to a posterior."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_X_y
from torch import Tensor

from l0bayes import validate
from l0bayes.estimators.arguments import (
    check_switches,
    engine_options,
    gate_groups,
    inclusion_prior,
    positive,
    slab_scales,
)
from l0bayes.estimators.coded_checks import CodedChecks
from l0bayes.estimators.coded_table import CodedTable
from l0bayes.estimators.frame_coding import FrameCoding
from l0bayes.estimators.gate_rules import always_gates, check_gate_rules, gate_restriction
from l0bayes.estimators.input_tables import Array, constant_columns, refuse_not_finite, row_weights
from l0bayes.estimators.judged_posterior import JudgedPosterior
from l0bayes.estimators.kept.table_coding import UNSEEN
from l0bayes.estimators.prior_calibration import CalibratedBeforeData
from l0bayes.estimators.row_terms import RowTerms
from l0bayes.estimators.scaling import Scaling
from l0bayes.estimators.sensitivity.prior_sensitivity import PriorSensitivity
from l0bayes.estimators.slab_arguments import refuse_learned_scale
from l0bayes.estimators.training_table import TrainingTable, training_table
from l0bayes.selection.problem.gate_restriction import GateRestriction
from l0bayes.selection.problem.level_block import LevelBlock
from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["SpikeSlabEstimator"]


class SpikeSlabEstimator(
    PriorSensitivity,
    CalibratedBeforeData,
    CodedChecks,
    JudgedPosterior,
    BaseEstimator,  # type: ignore[misc]
):
    """Base of the estimators; not used by itself.

    Args:
        inclusion, slab_scale, intercept_scale, fit_intercept: As in each of them.
        standardize, groups, gate_law, engine, restarts, random_state, options, unseen: As in each of them.
        always_in, heredity: As in each of them.
    """

    n_features_in_: int

    def __init__(
        self,
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
        self.inclusion = inclusion
        self.slab_scale = slab_scale
        self.intercept_scale = intercept_scale
        self.fit_intercept = fit_intercept
        self.standardize = standardize
        self.groups = groups
        self.gate_law = gate_law
        self.engine = engine
        self.restarts = restarts
        self.options = options
        self.random_state = random_state
        self.unseen = unseen
        self.always_in = always_in
        self.heredity = heredity

    # ---- fitting ---------------------------------------------------------------------------------

    @abstractmethod
    def _response(self, y: Any) -> Array:
        """The response as numbers; what cannot be observed is refused."""

    @abstractmethod
    def _check_own(self) -> None:
        """Refuse arguments that only this estimator has."""

    @abstractmethod
    def _scaling(self, x: Tensor, y: Tensor, weights: Tensor, blocks: Sequence[LevelBlock]) -> Scaling:
        """Units to compute in."""

    @abstractmethod
    def _problem(
        self, common: dict[str, Any], scaling: Scaling, blocks: Sequence[LevelBlock], terms: RowTerms
    ) -> SelectionProblem:
        """The problem, of the parts that all have in common, and what is known of rows beside them."""

    def _restriction(
        self, names: Sequence[str], gates: Tensor, gate_names: Sequence[str], monomials: Any
    ) -> GateRestriction | None:
        """Models without prior probability, by the names of what a user gave as columns."""
        always = always_gates(self.always_in, names, gates.tolist(), gate_names)
        return gate_restriction(always, self.heredity, gate_names, monomials)

    def _goes_by_column(self, table: Any) -> bool:
        """Whether a table is fitted as it is, read by column."""
        return False

    def _fit_by_column(
        self, table: Any, y: Any, sample_weight: Any, terms: Callable[[int], RowTerms]
    ) -> Self:
        """Find the posterior of a table that is read by column."""
        raise NotImplementedError

    def _warn(self, x: Array, y: Array, names: list[str]) -> None:
        """Warn of data that the model takes, but not as one might think."""

    def _warn_of_rows(self, x: Array, y: Array, names: list[str], terms: RowTerms) -> None:
        """The same, where more is known of the rows."""
        self._warn(x, y, names)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803
        """Find the posterior.

        Args:
            X: Columns, shape ``(n, p)``: an array of numbers, or a data frame, in which columns of text and
                categories are factors. The linear regression also takes memory maps, SciPy sparse matrices,
                Arrow tables and torch tensors as they are.
            y: Response, shape ``(n,)``.
            sample_weight: A weight for each row, shape ``(n,)``: a row of weight w counts as w rows like
                it, and one of weight 0 not at all.

        Returns:
            The estimator.

        Raises:
            ValueError: If an argument, a column or the response is not what it must be, by name.
        """
        return self._fit_table(X, y, sample_weight)

    def _fit_given(self, table: Any, y: Any, sample_weight: Any, terms: Callable[[int], RowTerms]) -> Self:
        """Find the posterior of a table, with what is known of its rows, by their number."""
        self._check_arguments()
        if self._goes_by_column(table):
            return self._fit_by_column(table, y, sample_weight, terms)
        given = training_table(self, table, y, sample_weight, numeric=self._numeric_response)
        known = terms(len(np.asarray(y))).of_rows(given.rows)
        coded, slab, restriction = self._coded(given)
        self._coding = given.coding
        return self._fit(coded, given.y, given.weights, slab, restriction, known)

    def _coded(self, given: TrainingTable) -> tuple[CodedTable, Tensor, GateRestriction | None]:
        """The columns as engines take them, their slab scales, and which models have no probability."""
        gates, gate_names = gate_groups(self.groups, given.coding.names)
        sources = torch.tensor(given.coding.sources)
        table = CodedTable(
            given.values,
            given.coding.columns,
            gates[sources],
            gate_names,
            given.coding.blocks(contrasts=self.fit_intercept and self.standardize),
            given.row_name,
        )
        slab = slab_scales(self.slab_scale, len(given.coding.names))[sources]
        return table, slab, self._restriction(given.coding.names, gates, gate_names, None)

    def fit_coded(
        self, table: CodedTable, y: Any, sample_weight: Any = None, terms: RowTerms | None = None
    ) -> Self:
        """Find the posterior of columns whose factors are coded already.

        Args:
            table: The columns, their gates, and which of them stand for levels; ``groups`` of the estimator
                are not asked.
            y: Response, shape ``(n,)``.
            sample_weight: A weight for each row, as in ``fit``.
            terms: What else is known of the rows.

        Returns:
            The estimator, which takes tables of such columns for predictions.

        Raises:
            ValueError: If an argument, a column or the response is not what it must be, by name.
        """
        self._check_arguments()
        check: Any = check_X_y
        values, y = check(
            table.values, y, dtype=np.float64, ensure_all_finite=False, y_numeric=self._numeric_response
        )
        refuse_not_finite(values, table.names)
        self.n_features_in_ = values.shape[1]
        self.feature_names_in_ = np.array(table.names, dtype=object)
        self._coding = FrameCoding(list(table.names))
        slab = slab_scales(self.slab_scale, values.shape[1])
        restriction = self._restriction(table.names, table.groups, table.gate_names, table.monomials)
        weights = row_weights(sample_weight, len(values))
        used = np.flatnonzero(weights > 0)
        known = (terms or RowTerms()).of_rows(used)
        return self._fit(table.of_rows(used), y[used], weights[used], slab, restriction, known)

    def _engine_options(self) -> Any:
        """The engine's options, or ``None``; refused if they are not its own."""
        return engine_options(self.engine, self.options, gate_law=self.gate_law, restarts=self.restarts)

    def _check_arguments(self) -> None:
        self._engine_options()
        check_switches(fit_intercept=self.fit_intercept, standardize=self.standardize)
        validate.one_of(UNSEEN, unseen=self.unseen)
        check_gate_rules(self.always_in, self.heredity)
        if not self._learns_slab_scale:
            refuse_learned_scale(self.slab_scale)
        self._check_own()
        positive("intercept_scale", self.intercept_scale, infinite=True)

    def _fit(
        self,
        table: CodedTable,
        y: Any,
        counts: Array,
        slab: Tensor,
        restriction: GateRestriction | None,
        terms: RowTerms,
    ) -> Self:
        # A copy: columns of frames may be read-only, which torch warns of.
        response = self._response(np.array(y))
        self._had_offset = terms.offset is not None and bool(terms.offset.any())
        problem, scaling = self._posed(table, response, counts, slab, restriction, terms)
        return self._found(problem, scaling, table, response)

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
        names = table.names
        plain = not (self.standardize or self.fit_intercept)
        constant = constant_columns(table.values, names, table.blocks, constants_allowed=plain)
        prior = replace(inclusion_prior(self.inclusion, table.groups), restriction=restriction)
        varied, terms = np.flatnonzero(~constant), terms or RowTerms()
        self._warn_of_rows(table.values[:, varied], response, [names[index] for index in varied], terms)

        x, target, weights = (
            torch.tensor(values, dtype=torch.float64) for values in (table.values, response, counts)
        )
        scaling = Scaling.none(x.shape[1])
        if self.standardize:
            scaling = self._scaling(x, self._explained(target, terms), weights, table.blocks)
        scaling = scaling.without(torch.from_numpy(constant))
        common: dict[str, Any] = {
            "x": scaling.columns(x),
            "y": scaling.response(target),
            "prior": prior,
            "slab_scale": slab,
            "groups": table.groups,
            "weights": weights,
        }
        if self.fit_intercept:
            common["unpenalised"] = torch.ones(len(x), 1, dtype=torch.float64)
            common["unpenalised_scale"] = torch.tensor([float(self.intercept_scale)], dtype=torch.float64)
        if terms.offset is not None:
            common["offset"] = torch.from_numpy(terms.offset)
        return self._problem(common, scaling, table.blocks, terms), scaling

    def _explained(self, y: Tensor, terms: RowTerms) -> Tensor:
        """What of the response the columns explain: the units are those of it."""
        return y

    _numeric_response = True
    _learns_slab_scale = False
