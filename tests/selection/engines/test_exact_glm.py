from __future__ import annotations

import math

import pytest
import torch

from l0bayes.likelihoods import Bernoulli, Poisson
from l0bayes.selection import ExactOptions, infer_gates
from l0bayes.selection.kernels.elimination import all_models
from l0bayes.selection.kernels.gated_system import gated_system
from l0bayes.selection.kernels.gaussian_expansion import ridge_problem
from l0bayes.selection.kernels.laplace import find_modes, quadratic_modes, refine_modes
from l0bayes.selection.problem.generalised_problem import working_problem
from l0bayes.selection.problem.inclusion_prior import InclusionPrior
from tests.selection.glm_problems import KINDS, by_grid, by_importance, make_problem


@pytest.mark.parametrize("kind", KINDS)
def test_second_order_against_quadrature(kind: str) -> None:
    """What is left of the error falls by the square of the size: O(1/n) without the term, O(1/n²) with it."""
    left, before = [], []
    for n in (40, 160):
        problem = make_problem(kind, n, 1, seed=3)
        gates = torch.ones(1, 1)
        modes = find_modes(problem, gates, ridge_problem(problem))
        refined = refine_modes(problem, modes)
        evidence, mean, variance = by_grid(problem, torch.arange(2))
        before.append(abs(float(modes.log_evidence) - evidence))
        left.append(abs(float(modes.log_evidence + refined.correction) - evidence))
        assert left[-1] < 0.25 * before[-1]
        assert left[-1] < 8.0 / n**2
        plain, better = (value[0] - mean for value in (modes.coefficients, refined.mean))
        sd = variance.sqrt()
        assert float((better / sd).abs().max()) < 0.3 * float((plain / sd).abs().max())
        torch.testing.assert_close(refined.variance[0], variance, rtol=8.0 / n, atol=0.0)
    assert left[1] < left[0]


def test_a_single_coefficient_without_intercept() -> None:
    problem = make_problem("poisson", 25, 1)
    problem = problem.replace(unpenalised=torch.empty(25, 0), unpenalised_scale=torch.empty(0))
    posterior = infer_gates(problem, "exact")
    inside, mean, _ = by_grid(problem, torch.arange(1))
    outside = float(problem.likelihood.log_density(problem.y, problem.offset).sum())
    odds = inside - outside + math.log(0.3 / 0.7)
    assert float(posterior.pip) == pytest.approx(1.0 / (1.0 + math.exp(-odds)), abs=2e-3)
    assert float(posterior.mean) == pytest.approx(float(posterior.pip * mean), abs=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_enumeration_against_importance_sampling(kind: str) -> None:
    problem = make_problem(kind, 100, 4, seed=2)
    pip, mean, second, evidence = by_importance(problem)
    posterior = infer_gates(problem, "exact")
    torch.testing.assert_close(posterior.pip, pip, atol=5e-3, rtol=0.0)
    torch.testing.assert_close(posterior.mean, mean, atol=5e-3, rtol=0.0)
    torch.testing.assert_close(posterior.second_moment, second, atol=1e-2, rtol=0.0)
    assert posterior.log_evidence == pytest.approx(evidence, abs=1e-2)
    assert posterior.diagnostics.laplace.not_converged == 0


def test_what_belongs_together_agrees() -> None:
    problem = make_problem("bernoulli", 80, 5)
    posterior = infer_gates(problem, "exact", options=ExactOptions(num_draws=20_000))
    assert posterior.engine == "exact"
    assert posterior.diagnostics.evidence == "laplace"
    torch.testing.assert_close(posterior.joint.diagonal(), posterior.pip)
    sizes = torch.arange(6, dtype=torch.float64)
    torch.testing.assert_close(posterior.size_probabilities @ sizes, posterior.pip.sum())
    torch.testing.assert_close(posterior.size_probabilities.sum(), torch.tensor(1.0).double())
    drawn = posterior.draws.weights @ posterior.draws.gates
    torch.testing.assert_close(drawn, posterior.pip, atol=0.02, rtol=0.0)  # 5 standard errors
    again = infer_gates(problem, "exact", options=ExactOptions(num_draws=20_000))
    assert torch.equal(again.draws.gates, posterior.draws.gates)


def test_shared_and_gathered_columns_are_the_same() -> None:
    problem = make_problem("negative_binomial", 60, 4)
    models = all_models(4)
    start = ridge_problem(problem)
    shared = find_modes(problem, models, start, shared=True).packed()
    gathered = find_modes(problem, models, start)
    assert torch.equal(shared.held, gathered.held)
    torch.testing.assert_close(shared.coefficients, gathered.coefficients, atol=1e-6, rtol=0.0)
    torch.testing.assert_close(shared.log_evidence, gathered.log_evidence, atol=1e-6, rtol=0.0)
    warm = find_modes(problem, models, gathered)
    torch.testing.assert_close(warm.log_evidence, gathered.log_evidence, atol=1e-6, rtol=0.0)


def test_quadratic_modes_are_the_gaussian_evidences() -> None:
    from l0bayes.selection.kernels.elimination import all_evidences

    problem = make_problem("poisson", 60, 4)
    working = working_problem(problem, torch.zeros(60, dtype=torch.float64))
    found = quadratic_modes(working, all_models(4))[0].log_evidence
    system = gated_system(working, torch.ones((), dtype=torch.float64))
    quadratic, determinant = all_evidences(
        system.matrix, system.vector, system.log_slab, working.group_columns
    )
    torch.testing.assert_close(found - found[0], quadratic + determinant)


def test_case_weights_are_repeated_rows() -> None:
    problem = make_problem("poisson", 40, 3)
    counts = 1 + torch.arange(40) % 3
    offset = torch.linspace(-0.5, 0.5, 40, dtype=torch.float64)
    weighted = infer_gates(problem.replace(weights=counts.double(), offset=offset), "exact")
    repeated = {
        name: getattr(problem, name).repeat_interleave(counts, 0) for name in ("x", "y", "unpenalised")
    }
    rows = infer_gates(
        problem.replace(
            **repeated, offset=offset.repeat_interleave(counts), weights=torch.ones(int(counts.sum()))
        ),
        "exact",
    )
    torch.testing.assert_close(weighted.pip, rows.pip, atol=1e-8, rtol=0.0)
    torch.testing.assert_close(weighted.mean, rows.mean, atol=1e-8, rtol=0.0)


def test_an_offset_is_a_column_with_a_known_coefficient() -> None:
    """For counts log(2) everywhere is an intercept moved by as much."""
    problem = make_problem("poisson", 60, 3).replace(unpenalised_scale=torch.tensor([math.inf]))
    moved = problem.replace(offset=torch.full((60,), math.log(2.0), dtype=torch.float64))
    torch.testing.assert_close(
        infer_gates(problem, "exact").pip, infer_gates(moved, "exact").pip, atol=1e-6, rtol=0.0
    )


def test_groups_and_a_beta_prior() -> None:
    problem = make_problem("bernoulli", 100, 4, seed=5)
    groups = torch.tensor([0, 0, 1, 1])
    grouped = infer_gates(problem.replace(groups=groups, prior=InclusionPrior(beta=(1.0, 2.0))), "exact")
    singles = problem.replace(prior=InclusionPrior(beta=(1.0, 1.0)))
    start = ridge_problem(singles)
    both = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    modes = find_modes(singles, both.repeat_interleave(2, 1), start)
    evidence = modes.log_evidence + refine_modes(singles, modes).correction
    weights = torch.softmax(evidence + InclusionPrior(beta=(1.0, 2.0)).log_prob(both.double()), 0)
    torch.testing.assert_close(grouped.pip, weights @ both.double(), atol=1e-4, rtol=0.0)


def test_separated_classes_have_a_finite_mode() -> None:
    problem = make_problem("bernoulli", 50, 3)
    y = (problem.x[:, 0] > 0).double()
    posterior = infer_gates(problem.replace(y=y, likelihood=Bernoulli()), "exact")
    assert posterior.diagnostics.laplace.not_converged == 0
    assert float(posterior.pip[0]) > 0.99
    assert bool(torch.isfinite(posterior.mean).all())


def test_large_counts_are_reached_from_afar() -> None:
    """Newton's method from 0 would overshoot by thousands."""
    problem = make_problem("poisson", 50, 3)
    posterior = infer_gates(problem.replace(y=10_000.0 * (1.0 + problem.y), likelihood=Poisson()), "exact")
    assert posterior.diagnostics.laplace.not_converged == 0


def test_too_many_gates() -> None:
    with pytest.raises(ValueError, match=r"2\*\*5 models, and max_gates is 4"):
        infer_gates(make_problem("poisson", 20, 5), "exact", options=ExactOptions(max_gates=4))
