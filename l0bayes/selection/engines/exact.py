r"""The engine "exact": every model is enumerated, for problems with few gates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import singledispatch
from typing import ClassVar

import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.engines.engine import Engine, Progress, silent
from l0bayes.selection.engines.enumeration import Enumeration
from l0bayes.selection.engines.gaussian_enumeration import enumerate_gaussian
from l0bayes.selection.engines.laplace_enumeration import enumerate_generalised
from l0bayes.selection.engines.learned_enumeration import enumerate_learned
from l0bayes.selection.engines.slab_scale_enumeration import enumerate_learned_slabs
from l0bayes.selection.engines.zellner_enumeration import enumerate_zellner
from l0bayes.selection.kernels.laplace_accuracy import LaplaceAccuracy
from l0bayes.selection.kernels.model_table import gate_sums, model_sizes
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
from l0bayes.selection.problem.learned_problem import LearnedProblem
from l0bayes.selection.problem.learned_slab_problem import LearnedSlabProblem
from l0bayes.selection.problem.selection_posterior import Diagnostics, Evidence, SelectionPosterior
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.problem.verdict import Trust
from l0bayes.selection.problem.zellner_problem import ZellnerProblem

__all__ = ["ExactDiagnostics", "ExactEngine", "ExactOptions"]

# Gates that are taken by default, and at most, for Gaussian and for generalised problems.
_GAUSSIAN_GATES = (20, 25)
_GENERALISED_GATES = (16, 20)
# Cost of the largest number of gates, on one core.
_GAUSSIAN_COST = "a minute and 3 GB"
_GENERALISED_COST = "10 minutes"
# Up to here "auto" takes all models, in seconds; the more columns a gate has, the longer it takes.
_AUTO_GAUSSIAN, _AUTO_GENERALISED = 20, 12


@dataclass(frozen=True)
class ExactOptions:
    """Largest enumeration, and size of the sample.

    Args:
        max_gates: Largest number of gates that is taken; time and memory double with each. By default 20,
            which take a second or two, or 16 in generalised linear models, which take 20 seconds. At most 25
            (a minute and 3 GB), or 20 in generalised linear models (10 minutes).
        num_draws: Size of the sample of models.

    Raises:
        ValueError: If a number is out of range.
    """

    max_gates: int | None = None
    num_draws: int = 4000

    def __post_init__(self) -> None:
        validate.at_least(1, num_draws=self.num_draws, **validate.given(max_gates=self.max_gates))
        if self.max_gates is not None and self.max_gates > _GAUSSIAN_GATES[1]:
            raise ValueError(
                f"max_gates must be at most {_GAUSSIAN_GATES[1]} ({_GAUSSIAN_COST}), got {self.max_gates}; "
                "the engine 'gibbs' takes any number of gates"
            )


@dataclass(frozen=True, kw_only=True)
class ExactDiagnostics(Diagnostics):
    """Size of the enumeration.

    Attributes:
        models: Number of models.
        noise_nodes: Number of nodes of the quadrature over an unknown noise; 0 without one.
        laplace: Accuracy of evidences by Laplace's method; ``None`` where they are in closed form.
        refined: Number of models whose evidence has a second-order term of its own.
        scalar_nodes: Number of nodes of the quadrature over numbers that are learned; 0 without any.
    """

    method: ClassVar[str] = "all models were enumerated"

    models: int
    noise_nodes: int = 0
    laplace: LaplaceAccuracy | None = None
    refined: int = 0
    scalar_nodes: int = 0

    @property
    def evidence(self) -> Evidence:
        return "closed form" if self.laplace is None else "laplace"

    @property
    def evidences_corrected(self) -> bool:
        return self.laplace is not None and self.laplace.corrected

    def verdict(self, posterior: SelectionPosterior, *, seed: int = 0) -> Trust:
        return Trust("exact") if self.laplace is None else self.laplace.judge(Trust("exact"))


class ExactEngine(Engine[ExactOptions]):
    """Enumeration of all models, with coefficients integrated out in closed form or by Laplace's method."""

    name = "exact"
    options = ExactOptions
    auto_order = 0

    def suits(self, problem: SelectionProblem) -> bool:
        if not problem.is_gaussian:
            return problem.num_groups <= _AUTO_GENERALISED
        widest = int(torch.bincount(problem.groups).max())
        slower = math.ceil(math.log2(problem.times_enumerated))
        return problem.num_groups <= _AUTO_GAUSSIAN - slower - 2 * math.ceil(math.log2(widest))

    def supports(self, problem: SelectionProblem, options: ExactOptions) -> str | None:
        usual, most = _GAUSSIAN_GATES if problem.is_gaussian else _GENERALISED_GATES
        count = problem.num_groups
        limit = usual if options.max_gates is None else min(options.max_gates, most)
        if count <= limit:
            return None
        cost = _GAUSSIAN_COST if problem.is_gaussian else _GENERALISED_COST
        reason = f"{count} gates mean 2**{count} models, and max_gates is {limit}. Use the engine 'gibbs'"
        if count > most:
            return f"{reason}; more than {most} gates, which take {cost}, are never enumerated"
        return (
            f"{reason}, or options=ExactOptions(max_gates={count}) (l0bayes select: --max-gates {count}): "
            f"{most}, the most, take {cost}"
        )

    def accuracy(self, problem: SelectionProblem, options: ExactOptions) -> float:
        return 1e-6 if problem.is_gaussian else 2e-3

    @torch.no_grad()
    def infer(
        self,
        problem: SelectionProblem,
        options: ExactOptions,
        *,
        start: Tensor | None = None,
        seed: int = 0,
        progress: Progress = silent,
    ) -> SelectionPosterior:
        with private_randomness(seed):
            found = _enumerate(problem, options.num_draws, progress)
        sums = gate_sums(found.probabilities)
        pip, count = sums.opened.clone(), problem.num_groups
        log_odds = pip.log() - sums.shut.log() if found.log_odds is None else found.log_odds
        sizes = torch.zeros(count + 1, dtype=torch.float64)
        if problem.prior.restriction is not None:  # to all its digits
            pip = torch.where(problem.prior.restriction.always, 1.0, pip)
        progress(1.0)
        return SelectionPosterior(
            engine=self.name,
            problem=found.problem or problem,
            pip=pip,
            pip_mcse=torch.zeros(count, dtype=torch.float64),
            mean=found.mean,
            second_moment=found.second_moment,
            log_evidence=found.log_evidence,
            size_probabilities=sizes.index_add_(0, model_sizes(count), found.probabilities),
            draws=found.draws,
            exact_joint=sums.joint,
            unpenalised_mean=found.unpenalised_mean,
            exact_log_odds=log_odds,
            diagnostics=ExactDiagnostics(
                models=len(found.probabilities),
                noise_nodes=found.noise_nodes,
                laplace=found.laplace,
                refined=found.refined,
                scalar_nodes=found.scalar_nodes,
            ),
        )


@singledispatch
def _enumerate(problem: SelectionProblem, num_draws: int, progress: Progress) -> Enumeration:
    raise TypeError(f"the engine 'exact' takes no {type(problem).__name__}")


@_enumerate.register
def _(problem: GaussianProblem, num_draws: int, progress: Progress) -> Enumeration:
    return enumerate_gaussian(problem, num_draws, progress)


@_enumerate.register
def _(problem: GeneralisedProblem, num_draws: int, progress: Progress) -> Enumeration:
    return enumerate_generalised(problem, num_draws, progress)


@_enumerate.register
def _(problem: LearnedProblem, num_draws: int, progress: Progress) -> Enumeration:
    return enumerate_learned(problem, num_draws, progress)


@_enumerate.register
def _(problem: ZellnerProblem, num_draws: int, progress: Progress) -> Enumeration:
    return enumerate_zellner(problem, num_draws, progress)


@_enumerate.register
def _(problem: LearnedSlabProblem, num_draws: int, progress: Progress) -> Enumeration:
    return enumerate_learned_slabs(problem, num_draws, progress)
