r"""The pictures of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from l0bayes.estimators.checks.row_checks import RowChecks
from l0bayes.plots import (
    plot_conditional_effects,
    plot_fdr,
    plot_inclusion,
    plot_joint_inclusion,
    plot_model_size,
    plot_predictive_check,
    plot_residuals,
    plot_top_models,
)
from l0bayes.selection import SelectionPosterior

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CALIBRATION_FILES", "PICTURES", "SENSITIVITY_FILES", "pictures"]

# File, and what a reader should see in it.
PICTURES = {
    "inclusion.png": "Posterior inclusion probabilities. Dark bars are above ½; ticks are the prior.",
    "effects.png": (
        "Effects of one standard deviation of each column, given that they are not 0; the grey spike is the "
        "probability that they are."
    ),
    "fdr.png": "How many false discoveries to expect among the variables selected.",
    "sizes.png": "How many variables the model has, before and after the data.",
    "models.png": "The most probable models: a column is a model, as wide as it is probable.",
    "pairs.png": "How probable it is that two variables are in the model together.",
    "residuals.png": (
        "Residuals of the rows, on the scale of a Normal law whatever the likelihood: one in twenty should "
        "be beyond the dashed lines. Influential rows are numbered from 0."
    ),
    "predictive.png": (
        "The responses beside responses drawn from the fitted model: where it holds, the line of the data "
        "runs among the others; of classes, points lie on their bars."
    ),
}

SENSITIVITY_FILES = {
    "sensitivity.png": (
        "PIPs under other priors: variables in red cross one half; red lines are where; the triangle is the "
        "prior of the fit."
    ),
    "sensitivity.csv": "The same as a table.",
}
"""Files that are written where sensitivity is asked for, and what to see in them."""

CALIBRATION_FILES = {
    "calibration.png": (
        "On data drawn from the prior: inclusion probabilities beside the share of gates that were open; "
        "ranks of true coefficients, level where conditional intervals are right; the share of effects that "
        "is found, by their size."
    ),
    "calibration.csv": "The same as a table.",
}
"""Files that are written where calibration is asked for, and what to see in them."""


def pictures(
    summary: pd.DataFrame,
    posterior: SelectionPosterior,
    names: list[str],
    spread: pd.Series[float],
    checks: RowChecks | None = None,
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """File names, and what draws the axes of each.

    Args:
        summary: From ``summary()`` of an estimator.
        posterior: What the engine found.
        names: Names of the gates.
        spread: Standard deviation of every column, by name.
        checks: How the rows look beside the model, where that is known.
    """
    draw: dict[str, Callable[[], Any]] = {
        "inclusion.png": lambda: plot_inclusion(summary),
        "effects.png": lambda: plot_conditional_effects(summary, scale=spread),
        "fdr.png": lambda: plot_fdr(summary),
        "sizes.png": lambda: plot_model_size(posterior),
        "models.png": lambda: plot_top_models(posterior, names),
        "pairs.png": lambda: plot_joint_inclusion(posterior, names),
    }
    if checks is not None:
        draw["residuals.png"] = lambda: plot_residuals(checks)
        draw["predictive.png"] = lambda: plot_predictive_check(checks)
    for name in PICTURES:
        if name in draw:
            yield name, draw[name]
