r"""The engine "gibbs": models are sampled, for problems with any number of gates."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from l0bayes.selection.engines.engine import Engine, Progress, silent
from l0bayes.selection.engines.gaussian_chains import sample_gaussian, sample_learned_slabs
from l0bayes.selection.engines.gibbs_records import GibbsOptions
from l0bayes.selection.engines.laplace_reweighting import sample_generalised
from l0bayes.selection.engines.zellner_chains import sample_zellner
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
from l0bayes.selection.problem.learned_problem import LearnedProblem
from l0bayes.selection.problem.learned_slab_problem import LearnedSlabProblem
from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.problem.zellner_problem import ZellnerProblem

__all__ = ["GibbsEngine"]

_FEW_GATES = 64
# Up to here a step costs nearly the same for more chains.
_NARROW = 500


class GibbsEngine(Engine[GibbsOptions]):
    """Weighted tempered Gibbs sampling of the gates, coefficients integrated out.

    Gaussian problems are sampled as they are (:func:`~.gaussian_chains.sample_gaussian`), generalised ones on
    a quadratic whose models are weighted by their own evidences
    (:func:`~.laplace_reweighting.sample_generalised`).
    """

    name = "gibbs"
    options = GibbsOptions
    takes_start = True
    auto_order = 2

    def options_for(self, problem: SelectionProblem) -> GibbsOptions:
        """The fewer gates, the smaller the error that is asked for, steps being cheap.

        There is no limit of time: one seed gives one answer, on any machine.

        Args:
            problem: The problem.
        """
        if not problem.is_gaussian:
            return GibbsOptions(chains=128, steps=800, burn_in=50, check_every=50, target_mcse=0.005)
        if problem.num_groups <= _FEW_GATES:
            return GibbsOptions(chains=128, steps=3000, target_mcse=0.003)
        if problem.num_groups <= _NARROW:
            return GibbsOptions(chains=128, steps=1500, check_every=50, target_mcse=0.0065)
        return GibbsOptions(chains=64, steps=1500, burn_in=60, check_every=50, target_mcse=0.0095)

    def supports(self, problem: SelectionProblem, options: GibbsOptions) -> str | None:
        return None

    def accuracy(self, problem: SelectionProblem, options: GibbsOptions) -> float:
        return 1e-3 if problem.is_gaussian else 4e-3

    @torch.no_grad()
    def infer(
        self,
        problem: SelectionProblem,
        options: GibbsOptions,
        *,
        start: Tensor | None = None,
        seed: int = 0,
        progress: Progress = silent,
    ) -> SelectionPosterior:
        return _sample(problem, options, start=start, seed=seed, progress=progress)


@singledispatch
def _sample(problem: SelectionProblem, options: GibbsOptions, **keywords: Any) -> SelectionPosterior:
    raise TypeError(f"the engine 'gibbs' takes no {type(problem).__name__}")


@_sample.register
def _(problem: GaussianProblem, options: GibbsOptions, **keywords: Any) -> SelectionPosterior:
    return sample_gaussian(problem, options, **keywords)


@_sample.register
def _(problem: GeneralisedProblem, options: GibbsOptions, **keywords: Any) -> SelectionPosterior:
    return sample_generalised(problem, options, **keywords)


@_sample.register
def _(problem: LearnedProblem, options: GibbsOptions, **keywords: Any) -> SelectionPosterior:
    return sample_generalised(problem, options, **keywords)


@_sample.register
def _(problem: ZellnerProblem, options: GibbsOptions, **keywords: Any) -> SelectionPosterior:
    return sample_zellner(problem, options, **keywords)


@_sample.register
def _(problem: LearnedSlabProblem, options: GibbsOptions, **keywords: Any) -> SelectionPosterior:
    return sample_learned_slabs(problem, options, **keywords)
