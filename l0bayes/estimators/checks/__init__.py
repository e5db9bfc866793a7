"""Whether a fitted model suits its rows: residuals, replicated responses, rows that decide much."""

from l0bayes.estimators.checks.row_checks import RowChecks

__all__ = ["RowChecks"]
