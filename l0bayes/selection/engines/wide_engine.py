r"""The engine "wide": models of any number of columns are sampled, without the products of all of them."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from l0bayes.selection.engines.engine import Engine, Progress, silent
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.problem.selection_problem import SelectionProblem, default_draws
from l0bayes.selection.wide.wide_posterior import whole_posterior
from l0bayes.selection.wide.wide_problem import WideProblem
from l0bayes.selection.wide.wide_records import WideOptions
from l0bayes.selection.wide.wide_sampler import sample_wide

__all__ = ["WideEngine"]

# From here on "auto" takes it: working on a part of the columns saves more than it costs.
_MANY_GATES = 1500
# Numbers in the sample of models, where it is kept for all columns.
_MOST_NUMBERS = 20_000_000


class WideEngine(Engine[WideOptions]):
    """Weighted tempered Gibbs sampling in working sets, with passes over all columns.

    For Normal responses and gates of one column each; see
    :func:`~l0bayes.selection.wide.wide_sampler.sample_wide`.
    """

    name = "wide"
    options = WideOptions
    takes_start = True
    auto_order = 1

    def suits(self, problem: SelectionProblem) -> bool:
        return problem.num_columns >= _MANY_GATES and super().suits(problem)

    def supports(self, problem: SelectionProblem, options: WideOptions) -> str | None:
        return _refusal(problem)

    def accuracy(self, problem: SelectionProblem, options: WideOptions) -> float:
        return 1e-3

    @torch.no_grad()
    def infer(
        self,
        problem: SelectionProblem,
        options: WideOptions,
        *,
        start: Tensor | None = None,
        seed: int = 0,
        progress: Progress = silent,
    ) -> SelectionPosterior:
        assert isinstance(problem, GaussianProblem)
        found = sample_wide(WideProblem.of(problem), options, start=start, seed=seed, progress=progress)
        most = max(100, _MOST_NUMBERS // problem.num_columns)
        draws = options.num_draws or min(default_draws(problem), most)
        return whole_posterior(problem, found, draws, seed)


@singledispatch
def _refusal(problem: Any) -> str | None:
    return "it takes Normal responses with independent Normal slabs. Use the engine 'gibbs'"


@_refusal.register
def _(problem: GaussianProblem) -> str | None:
    if problem.num_groups < problem.num_columns:
        return "it takes gates of one column each, and here some have several. Use the engine 'gibbs'"
    prior = problem.prior
    if prior.blocks is not None:
        return "it takes one inclusion prior for all gates, not one for each block. Use the engine 'gibbs'"
    if prior.restriction is not None:
        return (
            "it takes no columns that are always in, and no heredity. Use the engine 'gibbs', or give "
            "columns that are always in as unpenalised ones"
        )
    return None
