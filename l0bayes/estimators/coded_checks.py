r"""What can be said of an estimator's arguments before anything is fitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from l0bayes.estimators.arguments import inclusion_prior, slab_scales
from l0bayes.estimators.coded_table import CodedTable
from l0bayes.selection.problem.gate_restriction import GateRestriction

__all__ = ["CodedChecks"]


class CodedChecks:
    """Mixin of the estimators."""

    inclusion: Any
    slab_scale: Any
    _check_arguments: Callable[[], None]
    _restriction: Callable[..., GateRestriction | None]

    def check_coded(self, table: CodedTable) -> None:
        """Refuse arguments that do not go with columns which are coded already, before anything is fitted.

        Args:
            table: The columns, as in :meth:`fit_coded`.

        Raises:
            ValueError: By argument.
        """
        self._check_arguments()
        slab_scales(self.slab_scale, table.values.shape[1])
        restriction = self._restriction(table.names, table.groups, table.gate_names, table.monomials)
        replace(inclusion_prior(self.inclusion, table.groups), restriction=restriction)
