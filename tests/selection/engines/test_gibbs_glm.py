from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from l0bayes.selection import GibbsOptions, infer_gates
from l0bayes.selection.engines.tilted_proposal import TiltedPrior
from l0bayes.selection.problem.inclusion_prior import InclusionPrior
from tests.selection.glm_problems import make_problem

SHORT = GibbsOptions(chains=32, steps=250, burn_in=30, target_mcse=0.0)


@pytest.mark.parametrize("kind", ["bernoulli", "poisson"])
def test_against_enumeration(kind: str) -> None:
    """Both use the same evidences; what differs is within 5 standard errors of the sampler's own."""
    problem = make_problem(kind, 80, 7, seed=4)
    exact, found = infer_gates(problem, "exact"), infer_gates(problem, "gibbs", options=SHORT)
    assert bool(((found.pip - exact.pip).abs() < 5.0 * found.pip_mcse + 1e-3).all())
    assert float(found.pip_mcse.max()) < 0.02
    torch.testing.assert_close(found.mean, exact.mean, atol=0.02, rtol=0.0)
    torch.testing.assert_close(found.second_moment, exact.second_moment, atol=0.02, rtol=0.0)
    torch.testing.assert_close(found.size_probabilities, exact.size_probabilities, atol=0.05, rtol=0.0)
    drawn = found.draws.weights @ found.draws.gates
    torch.testing.assert_close(drawn, exact.pip, atol=0.05, rtol=0.0)
    assert float(found.draws.weights.sum()) == pytest.approx(1.0)
    assert found.engine == "gibbs"
    assert found.diagnostics.reweighting.efficiency > 0.8
    assert found.diagnostics.laplace.not_converged == 0


def test_groups_a_beta_prior_offset_and_weights() -> None:
    problem = make_problem("bernoulli", 80, 6, seed=6).replace(
        groups=torch.tensor([0, 0, 1, 2, 2, 2]),
        prior=InclusionPrior(beta=(1.0, 2.0)),
        offset=torch.linspace(-1.0, 1.0, 80),
        weights=torch.linspace(0.5, 1.5, 80),
    )
    exact, found = infer_gates(problem, "exact"), infer_gates(problem, "gibbs", options=SHORT)
    assert bool(((found.pip - exact.pip).abs() < 5.0 * found.pip_mcse + 1e-3).all())
    torch.testing.assert_close(found.mean, exact.mean, atol=0.02, rtol=0.0)


def test_a_quadratic_that_fits_badly_is_put_right() -> None:
    """Strong effects in few rows: one quadratic cannot serve models with and without them."""
    problem = make_problem("bernoulli", 60, 6, seed=1)
    eta = 2.5 * problem.x[:, 0] - 1.5 * problem.x[:, 1]
    y = torch.bernoulli(torch.sigmoid(eta), generator=torch.Generator().manual_seed(3))
    problem = problem.replace(y=y, slab_scale=torch.full((6,), 2.0))
    exact, found = infer_gates(problem, "exact"), infer_gates(problem, "gibbs", options=SHORT)
    assert bool(((found.pip - exact.pip).abs() < 5.0 * found.pip_mcse + 1e-3).all())


def test_more_columns_than_rows() -> None:
    problem = make_problem("bernoulli", 50, 80, signals=2, correlation=0.2)
    prior = InclusionPrior(log_odds=torch.full((80,), -4.0, dtype=torch.float64))
    start = torch.full((80,), 0.01, dtype=torch.float64)
    short = GibbsOptions(chains=16, steps=80, burn_in=20)
    found = infer_gates(
        problem.replace(prior=prior), "gibbs", options=replace(short, num_draws=100), start=start
    )
    assert found.draws.gates.shape == (100, 80)
    assert bool(((found.pip >= 0) & (found.pip <= 1)).all())
    assert float(found.size_probabilities.sum()) == pytest.approx(1.0)
    again = infer_gates(
        problem.replace(prior=prior), "gibbs", options=replace(short, num_draws=100), start=start
    )
    assert torch.equal(found.pip, again.pip)


def test_a_tilted_prior() -> None:
    tilt = torch.tensor([0.5, -1.0, 0.0], dtype=torch.float64)
    plain = InclusionPrior(beta=(1.0, 2.0))
    tilted = TiltedPrior(beta=(1.0, 2.0), tilt=tilt)
    gates = torch.tensor([[0.0, 1.0, 1.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(tilted.log_prob(gates), plain.log_prob(gates) + gates @ tilt)
    opened, shut = gates.clone(), gates.clone()
    opened[:, 0], shut[:, 0] = 1.0, 0.0
    torch.testing.assert_close(
        tilted.conditional_log_odds(gates)[:, 0], tilted.log_prob(opened) - tilted.log_prob(shut)
    )


@pytest.mark.parametrize(("rows", "level", "columns"), [(300, 3.0, 8), (100, 6.0, 4), (2000, 1.0, 4)])
def test_one_model_that_has_it_all(rows: int, level: float, columns: int) -> None:
    """Large counts leave no doubt: hardly anything varies in the sample, beside evidences of any size."""
    problem = make_problem("poisson", rows, columns, seed=2)
    generator = torch.Generator().manual_seed(5)
    y = torch.poisson(torch.exp(level + 0.5 * problem.x[:, 0]), generator=generator)
    problem = problem.replace(y=y)
    exact, found = infer_gates(problem, "exact"), infer_gates(problem, "gibbs", options=SHORT)
    assert exact.pip[0] > 0.99
    assert bool(((found.pip - exact.pip).abs() < 5.0 * found.pip_mcse + 1e-3).all())
