r"""Log joint probabilities of all models and the data, for several priors of the gates at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

import torch
from torch import Tensor

from l0bayes.selection.kernels.elimination import ModelTree, all_evidences, all_models
from l0bayes.selection.kernels.gated_system import gated_system
from l0bayes.selection.kernels.gaussian_expansion import ridge_problem
from l0bayes.selection.kernels.laplace import find_modes, refine_modes
from l0bayes.selection.kernels.model_table import log_priors, open_sums
from l0bayes.selection.kernels.noise_grid import noise_rule
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
from l0bayes.selection.problem.inclusion_prior import InclusionPrior
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.problem.zellner_problem import ZellnerProblem
from l0bayes.selection.slab_priors.factor_table import FactorTable

__all__ = ["gates_at_most", "model_tables"]

# The least probable models, with this share of the posterior together, have the mean second-order term.
_LEFT_OUT = 1e-4


@singledispatch
def gates_at_most(problem: SelectionProblem) -> int:
    """Up to how many gates a table of all models takes a moment; 0 where there is none.

    Args:
        problem: The problem.
    """
    return 0


@gates_at_most.register
def _(problem: GaussianProblem) -> int:
    return 18


@gates_at_most.register
def _(problem: GeneralisedProblem) -> int:
    return 12


@gates_at_most.register
def _(problem: ZellnerProblem) -> int:
    return 18


@torch.no_grad()
def model_tables(problem: SelectionProblem, priors: Sequence[InclusionPrior]) -> list[Tensor]:
    r"""For each prior of the gates :math:`\log p(\gamma)\,p(D \mid \gamma)` of every model.

    The second factor does not depend on the prior of the gates, and is computed once.

    Args:
        problem: The problem; its own prior of the gates is not asked.
        priors: Priors of the gates.

    Returns:
        A tensor of shape ``(2**G,)`` for each prior, in the order of
        :func:`~l0bayes.selection.kernels.elimination.all_models`.
    """
    return _tables(problem, [log_priors(prior, problem.num_groups) for prior in priors])


@singledispatch
def _tables(problem: SelectionProblem, of_gates: list[Tensor]) -> list[Tensor]:
    raise TypeError(f"there is no table of all models of a {type(problem).__name__}")


@_tables.register
def _(problem: GaussianProblem, of_gates: list[Tensor]) -> list[Tensor]:
    if problem.conjugate_noise is not None:
        evidences = _conjugate(problem)
        return [evidences + log_prior for log_prior in of_gates]
    members, known = problem.group_columns, dict[float, Tensor]()
    # Nodes that no prior could do without.
    together = torch.logsumexp(torch.stack(of_gates), 0)

    def at(variance: Tensor) -> Tensor:
        if float(variance) not in known:
            system = gated_system(problem, variance)
            scores = sum(all_evidences(system.matrix, system.vector, system.log_slab, members))
            known[float(variance)] = system.constant + scores
        return known[float(variance)]

    rule = noise_rule(problem, lambda variance: torch.logsumexp(at(variance) + together, 0))
    evidences = torch.full_like(together, -torch.inf)
    for variance, weight in zip(rule.variances, rule.log_weights, strict=True):
        evidences = torch.logaddexp(evidences, at(variance) + weight)
    return [evidences + log_prior for log_prior in of_gates]


def _conjugate(problem: GaussianProblem) -> Tensor:
    """The noise integrated out model by model, in closed form."""
    noise = problem.conjugate_noise
    assert noise is not None
    system = gated_system(problem, torch.ones((), dtype=torch.float64))
    quadratic, determinant = all_evidences(
        system.matrix, system.vector, system.log_slab, problem.group_columns
    )
    alpha = system.vector.new_tensor(problem.conjugate_shape)
    rates = noise.rate + 0.5 * system.square - quadratic
    found: Tensor = system.scale + noise.log_constant + alpha.lgamma() + determinant - alpha * rates.log()
    return found


@_tables.register
def _(problem: GeneralisedProblem, of_gates: list[Tensor]) -> list[Tensor]:
    modes = find_modes(problem, all_models(problem.num_groups), ridge_problem(problem), shared=True)
    kept = []
    for log_prior in of_gates:
        score = modes.log_evidence + log_prior
        order = torch.argsort(score, descending=True)
        mass = torch.softmax(score[order], 0)
        kept.append(order[: 1 + int((mass.cumsum(0) < 1.0 - _LEFT_OUT).sum())])
    some = torch.unique(torch.cat(kept))
    correction = torch.full_like(modes.log_evidence, torch.nan)
    correction[some] = refine_modes(problem, modes[some].packed()).correction
    tables = []
    for log_prior, own in zip(of_gates, kept, strict=True):
        score = modes.log_evidence + log_prior
        typical = (correction[own] * torch.softmax(score[own], 0)).sum()
        tables.append((score + typical).index_copy(0, own, score[own] + correction[own]))
    return tables


@_tables.register
def _(problem: ZellnerProblem, of_gates: list[Tensor]) -> list[Tensor]:
    system, setting = problem.system, problem.setting
    rank, r2 = problem.kept(_fits, of_data=True)
    tables = []
    for log_prior in of_gates:
        slab = problem.slab.settled(setting, rank, r2, log_prior)
        factors = FactorTable(slab, setting, system.largest_r2)
        tables.append(factors.exact_factors(rank, r2) + log_prior + problem.log_null)
    return tables


def _fits(problem: ZellnerProblem) -> tuple[Tensor, Tensor]:
    """Rank and R² of every model, which no prior changes."""
    system = problem.system
    members = problem.group_columns
    tree = ModelTree(system.matrix, system.vector, members, least=system.least, repeats=True)
    shape = ModelTree.shape(problem.num_groups)
    quadratic, rank = system.vector.new_empty(shape), torch.empty(shape, dtype=torch.int32)
    for chunk in tree.chunks():
        assert chunk.rank is not None
        quadratic[:, chunk.place], rank[:, chunk.place] = chunk.quadratic, chunk.rank
    ranks = rank.flatten()
    if bool(system.hidden.any()):
        ranks = ranks - open_sums(system.hidden.int())
    return ranks, (2.0 / system.total * quadratic.flatten()).clamp(0.0, system.largest_r2)
