r"""Simulation-based calibration of a problem's posterior, before any response is seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.selection.calibrate.calibration_result import Calibration
from l0bayes.selection.calibrate.drawn_data import Intercept
from l0bayes.selection.calibrate.prior_draws import prior_draws
from l0bayes.selection.calibrate.simulated_fits import Rule, simulated_fits
from l0bayes.selection.engines.engine import silent
from l0bayes.selection.engines.infer_gates import check_options
from l0bayes.selection.problem.level_block import LevelBlock
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.summaries.false_discoveries import fdr_q_values

__all__ = ["calibrate_problem"]


def calibrate_problem(
    problem: SelectionProblem,
    engine: str = "auto",
    *,
    options: Any = None,
    num_datasets: int = 200,
    threshold: float = 0.5,
    fdr: float = 0.1,
    intercept: Intercept = None,
    blocks: Sequence[LevelBlock] = (),
    seed: int = 0,
    progress: Callable[[float], None] = silent,
) -> Calibration:
    r"""Draw data sets from the prior of a problem, fit each, and see whether its probabilities come true.

    For each data set gates, coefficients, noise and response are drawn from the prior for the problem's own
    columns. Where engine and formulas are right,

    * of gates with a PIP of q a share q is open,
    * a rule of selection has as many false discoveries as the PIPs promise,
    * a true coefficient lies anywhere among the draws of its posterior given that it is in: its rank is
      uniform, in centre and in spread,
    * and so do the number of open gates, the noise and the log likelihood of the truth; of a posterior that
      does not heed the data only the last is off.

    Args:
        problem: The problem; its response is not asked.
        engine: Name of an engine, or ``"auto"``.
        options: Its options.
        num_datasets: Number of data sets.
        threshold: A rule: gates whose PIP is above this are selected.
        fdr: Another: as many of the most probable gates as have this Bayesian false discovery rate.
        intercept: Value at which coefficients without a gate are held; ``"prior"`` to draw them; by default
            they are drawn where the response is Normal and their prior proper, and are 0 elsewhere.
        blocks: Columns that stand for levels.
        seed: Seed.
        progress: Called with the share of the work that is done.

    Returns:
        A table, tests and words.

    Raises:
        ValueError: If a number is out of range, the engine cannot take the problem, or its prior or its
            response cannot be drawn from; the message says what to do instead.
        TypeError: If nothing is known of how such a problem's data are drawn.
    """
    validate.at_least(2, num_datasets=num_datasets)
    validate.inside("(0, 1)", threshold=threshold, fdr=fdr)
    if isinstance(intercept, str) and intercept != "prior":
        raise ValueError(f"intercept must be a number, 'prior' or None, got {intercept!r}")
    check_options(engine, options)
    source = prior_draws(problem, tuple(blocks), intercept)
    rules = (
        Rule(f"PIP > {threshold:g}", partial(_above, threshold)),
        Rule(f"Bayesian FDR ≤ {100 * fdr:g} %", partial(_within_rate, fdr)),
    )
    fits = simulated_fits(
        source,
        engine,
        options,
        rules=rules,
        blocks=tuple(blocks),
        num_datasets=num_datasets,
        seed=seed,
        progress=progress,
    )
    return Calibration(fits, tuple(source.held), problem.num_rows, problem.num_groups)


def _above(threshold: float, pip: Tensor) -> Tensor:
    return (pip > threshold).to(torch.float64)


def _within_rate(rate: float, pip: Tensor) -> Tensor:
    return (fdr_q_values(pip) <= rate).to(torch.float64)
