r"""The engines behind one word."""

from __future__ import annotations

import math
from functools import singledispatch
from typing import Literal, get_args

import torch
from torch import Tensor

from l0bayes.selection.engines.exact_gaussian import enumerate_models
from l0bayes.selection.engines.exact_glm import enumerate_glm
from l0bayes.selection.engines.gibbs_gaussian import GibbsOptions, sample_models
from l0bayes.selection.engines.gibbs_glm import sample_glm
from l0bayes.selection.engines.svi_gates import fit_gates
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["Engine", "choose_engine", "infer_gates", "sampler_options"]

Engine = Literal["auto", "svi", "exact", "gibbs"]

# Up to here all models are taken, in seconds; the more columns a gate has, the sooner it ends.
_EXACT_GATES = 20
_FEW_GATES = 64
# Up to here a step costs the same for more chains, nearly.
_NARROW = 500
# Each model has a mode of its own to be found.
_EXACT_GATES_GLM = 12


def choose_engine(problem: SelectionProblem) -> Literal["exact", "gibbs"]:
    """What ``"auto"`` stands for.

    Args:
        problem: The problem.
    """
    if not problem.is_gaussian:
        return "exact" if problem.num_groups <= _EXACT_GATES_GLM else "gibbs"
    widest = int(torch.bincount(problem.groups).max())
    most = _EXACT_GATES - 2 * math.ceil(math.log2(widest))
    return "exact" if problem.num_groups <= most else "gibbs"


def sampler_options(problem: SelectionProblem) -> GibbsOptions:
    """Length and width of the sampler where nothing is said: few gates are asked for more, steps being cheap.

    There is no limit of time: one seed gives one answer, on any machine.

    Args:
        problem: The problem.
    """
    count = problem.num_groups
    if count <= _FEW_GATES:
        return GibbsOptions(chains=128, steps=3000, target_mcse=0.003)
    if count <= _NARROW:
        return GibbsOptions(chains=128, steps=1500, burn_in=60, check_every=50, target_mcse=0.0065)
    return GibbsOptions(chains=64, steps=1500, burn_in=60, check_every=50, target_mcse=0.0095)


def infer_gates(
    problem: SelectionProblem,
    engine: Engine = "auto",
    *,
    start: Tensor | None = None,
    options: GibbsOptions | None = None,
    seed: int = 0,
) -> SelectionPosterior:
    """The posterior of a problem, Gaussian or generalised, by an engine chosen by name.

    Args:
        problem: The problem.
        engine: ``"exact"``, ``"gibbs"``, ``"svi"``, or ``"auto"`` for the first where there are few gates and
            the second elsewhere.
        start: Inclusion probabilities that the sampler's first models are drawn from, such as those of a
            variational fit.
        options: Length and width of the sampler.
        seed: Seed.

    Raises:
        ValueError: If the engine is unknown, or enumeration would take too many models.
    """
    if engine not in get_args(Engine):
        raise ValueError(f"engine must be one of {', '.join(get_args(Engine))}; got {engine!r}")
    chosen = choose_engine(problem) if engine == "auto" else engine
    if chosen == "svi":
        return fit_gates(problem, seed=seed)
    if chosen == "exact":
        return _enumerate(problem, seed)
    return _sample(problem, start, options, seed)


@singledispatch
def _enumerate(problem: SelectionProblem, seed: int) -> SelectionPosterior:
    raise TypeError(f"no engine takes a {type(problem).__name__}")


@_enumerate.register
def _(problem: GaussianProblem, seed: int) -> SelectionPosterior:
    return enumerate_models(problem, max_groups=20, seed=seed)


@_enumerate.register
def _(problem: GeneralisedProblem, seed: int) -> SelectionPosterior:
    return enumerate_glm(problem, max_groups=16, seed=seed)


@singledispatch
def _sample(
    problem: SelectionProblem, start: Tensor | None, options: GibbsOptions | None, seed: int
) -> SelectionPosterior:
    raise TypeError(f"no engine takes a {type(problem).__name__}")


@_sample.register
def _(
    problem: GaussianProblem, start: Tensor | None, options: GibbsOptions | None, seed: int
) -> SelectionPosterior:
    return sample_models(problem, start=start, options=options or sampler_options(problem), seed=seed)


@_sample.register
def _(
    problem: GeneralisedProblem, start: Tensor | None, options: GibbsOptions | None, seed: int
) -> SelectionPosterior:
    return sample_glm(problem, start=start, options=options, seed=seed)
