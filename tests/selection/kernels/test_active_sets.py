"""What a flip changes, against everything from scratch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from l0bayes.selection import InverseGamma
from l0bayes.selection.kernels.active_groups import active_sets
from l0bayes.selection.kernels.active_models import _factor
from l0bayes.selection.kernels.active_sets import ActiveSets
from tests.selection.problems import DOUBLE, everything, problem

CHAINS = 5
CASES: dict[str, dict[str, Any]] = {
    "columns": {},
    "scaled": {"slab_scaled_by_noise": True},
    "groups": {"groups": torch.tensor([0, 1, 1, 2, 0, 3, 3])},
    "uneven groups": {"groups": torch.tensor([0, 1, 1, 1, 0, 2, 3]), "slab_scaled_by_noise": True},
}


def sets_of(name: str, extras: bool) -> ActiveSets:
    given = problem(
        "blocks", 30, 7, noise=InverseGamma(), **CASES[name] | (everything(7, 30) if extras else {})
    )
    torch.manual_seed(1)
    gates = torch.rand(CHAINS, given.num_groups) < 0.3
    return active_sets(given, gates, 0.3 + torch.rand(CHAINS, dtype=DOUBLE))


@pytest.mark.parametrize("extras", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_flips_are_what_a_fresh_start_gives(name: str, extras: bool) -> None:
    """1e-9 after sixty rank-one updates of matrices of condition 1e3."""
    sets = sets_of(name, extras)
    for _ in range(60):
        sets.flip(torch.randint(0, sets.groups, (CHAINS,)))
        fresh = active_sets(sets.problem, sets.gates, sets.variances)
        for attribute in ("pivot", "residual", "log_likelihood"):
            torch.testing.assert_close(
                getattr(sets, attribute), getattr(fresh, attribute), rtol=1e-9, atol=1e-9
            )
        torch.testing.assert_close(sets.log_odds(), fresh.log_odds(), rtol=1e-9, atol=1e-9)
        for ours, theirs in zip(sets.conditional_moments(), fresh.conditional_moments(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def marginal(sets: ActiveSets) -> torch.Tensor:
    """Log density of the data given the gates; with the noise integrated out where that is done."""
    if sets.conjugate is None:
        return sets.log_likelihood
    return sets.log_likelihood + sets.rate - sets.degrees * sets.rate.log()


@pytest.mark.parametrize("extras", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_the_odds_of_a_gate_are_a_ratio_of_likelihoods(name: str, extras: bool) -> None:
    sets = sets_of(name, extras)
    odds = sets.log_odds()
    for group in range(sets.groups):
        both = []
        for value in (True, False):
            gates = sets.gates.clone()
            gates[:, group] = value
            both.append(marginal(active_sets(sets.problem, gates, sets.variances)))
        torch.testing.assert_close(odds[:, group], both[0] - both[1], rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("extras", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_the_likelihood_is_that_of_the_dense_normal(name: str, extras: bool) -> None:
    sets = sets_of(name, extras)
    given = sets.problem
    for chain in range(CHAINS):
        variance = sets.variances[chain]
        prior = sets.gates[chain].double()[given.groups] * given.slab_scale.square()
        prior = prior * variance if given.slab_scaled_by_noise else prior
        covariance = (given.x * prior) @ given.x.T + torch.diag(variance / given.weights)
        covariance = covariance + (given.unpenalised * given.unpenalised_scale.square()) @ given.unpenalised.T
        law = torch.distributions.MultivariateNormal(given.offset, covariance)
        torch.testing.assert_close(sets.log_likelihood[chain], law.log_prob(given.y), rtol=1e-11, atol=1e-10)


def test_many_open_gates_find_room() -> None:
    given = problem("independent", 60, 40)
    sets = active_sets(given, torch.zeros(2, 40, dtype=torch.bool), torch.ones(2, dtype=DOUBLE))
    for group in range(40):
        sets.flip(torch.tensor([group, 39 - group]))
    fresh = active_sets(sets.problem, torch.ones(2, 40, dtype=torch.bool), sets.variances)
    torch.testing.assert_close(sets.log_odds(), fresh.log_odds(), rtol=1e-8, atol=1e-8)


def test_matrices_that_are_singular_by_rounding_have_factors() -> None:
    """Beside ones that are not, whose factors stay as they are."""
    whole = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=DOUBLE)
    ones = torch.ones(2, 2, dtype=DOUBLE)
    found = _factor(torch.stack([whole, ones, 1e8 * ones]))
    assert torch.equal(found[0], torch.linalg.cholesky(whole))
    for factor, size in ((found[1], 1.0), (found[2], 1e8)):
        torch.testing.assert_close(factor @ factor.T, size * ones, rtol=1e-12, atol=0.0)
        assert float(factor[1, 1]) > 0.0
