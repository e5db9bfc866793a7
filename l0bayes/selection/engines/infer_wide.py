r"""The posterior of a problem whose columns are read from a source."""

from __future__ import annotations

import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.selection.engines.engine import Progress, silent
from l0bayes.selection.wide.wide_posterior import WidePosterior, wide_posterior
from l0bayes.selection.wide.wide_problem import WideProblem
from l0bayes.selection.wide.wide_records import WideOptions
from l0bayes.selection.wide.wide_sampler import sample_wide

__all__ = ["infer_wide"]

_DRAWS = 1000


@torch.no_grad()
def infer_wide(
    problem: WideProblem,
    *,
    options: WideOptions | None = None,
    start: Tensor | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> WidePosterior:
    """The posterior of a problem with any number of columns, by the engine "wide".

    ``KeyboardInterrupt`` (Ctrl-C) after burn-in ends the sampling: the posterior is what was drawn by then,
    and its verdict says so.

    Args:
        problem: The problem.
        options: Options of the engine.
        start: Inclusion probabilities to start from, shape ``(p,)``.
        seed: Seed.
        progress: Called with the share of the work that is done, up to 1.

    Raises:
        ValueError: If ``start`` does not fit.
    """
    options = options or WideOptions()
    if start is not None:
        validate.has_shape((problem.num_columns,), start=start)
    found = sample_wide(problem, options, start=start, seed=seed, progress=progress or silent)
    return wide_posterior(problem, found, options.num_draws or _DRAWS, seed)
