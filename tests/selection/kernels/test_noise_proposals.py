"""Moves of the noise, against its law on a grid."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from l0bayes.selection import GibbsOptions, InverseGamma
from l0bayes.selection.kernels.active_groups import active_sets
from l0bayes.selection.kernels.active_sets import ActiveSets
from l0bayes.selection.kernels.gate_conditionals import Conditionals
from l0bayes.selection.kernels.noise_proposals import NoiseMoves
from tests.selection.problems import DOUBLE, everything, problem

CASES: dict[str, dict[str, Any]] = {
    "columns": {},
    "groups": {"groups": torch.tensor([0, 1, 1, 2, 0, 3])},
    "scaled, with an intercept": {
        "slab_scaled_by_noise": True,
        "unpenalised": torch.ones(25, 1),
        "unpenalised_scale": torch.tensor([2.0]),
    },
    "everything": everything(6, 25),
}
NOISE = InverseGamma(2.0, 0.7)


def chains_of(name: str, chains: int, gates: torch.Tensor | None = None) -> ActiveSets:
    given = problem("blocks", 25, 6, noise=NOISE, **CASES[name])
    if gates is None:
        gates = torch.arange(given.num_groups) % 2 == 0
    gates = gates.bool().expand(chains, -1)
    torch.manual_seed(4)
    return active_sets(given, gates, 0.5 + torch.rand(chains, dtype=DOUBLE))


def log_law(sets: ActiveSets, t: torch.Tensor, *, times_phi: bool) -> torch.Tensor:
    """Of log σ² given the gates of the first chain, but for a constant."""
    given = sets.problem
    at = active_sets(sets.problem, sets.gates[:1].expand(len(t), -1), t.exp())
    law = at.log_likelihood + NOISE.log_density_of_log(t)
    if not times_phi:
        return law
    state = Conditionals(at, exploration=1.0)
    state.update(at, given.prior)
    return law + state.phi.log()


@pytest.mark.parametrize("name", CASES)
def test_the_proposal_is_about_the_mode(name: str) -> None:
    """The place to 1e-3 of a grid's, four Newton steps on; the scale within a third of the curvature's."""
    sets = chains_of(name, 2)
    mode, scale = NoiseMoves(sets, 1.0)._about(sets)
    grid = torch.linspace(-3.0, 4.0, 70_001, dtype=DOUBLE)
    law = torch.cat([log_law(sets, part, times_phi=False) for part in grid.split(10_000)])
    top = int(law.argmax())
    assert abs(float(mode[0] - grid[top])) < 1e-3
    assert mode[0] == mode[1]  # whatever noise the chain has
    width = 1000
    curvature = -(law[top - width] + law[top + width] - 2.0 * law[top]) / (width * 1e-4) ** 2
    assert 0.75 < float(scale[0] / 1.1 * curvature.sqrt()) < 1.33


@pytest.mark.parametrize("name", CASES)
def test_moves_lead_to_the_law_and_keep_it(name: str) -> None:
    """Mean and variance over 4,000 chains after 12 moves, in five standard errors of independent ones."""
    sets = chains_of(name, 4000)
    moves = NoiseMoves(sets, 1.0)
    state = Conditionals(sets, exploration=1.0)
    prior = sets.problem.prior
    state.update(sets, prior)
    for _ in range(12):
        moves.move(sets, state)
    grid = torch.linspace(-4.0, 5.0, 4001, dtype=DOUBLE)
    weight = torch.softmax(log_law(sets, grid, times_phi=True), 0)
    mean = weight @ grid
    variance = weight @ (grid - mean).square()
    fourth = weight @ (grid - mean).pow(4)
    t = sets.variances.log()
    assert abs(float(t.mean() - mean)) < 5.0 * float((variance / 4000).sqrt())
    spread = float(((fourth - variance.square()) / 4000).sqrt())
    assert abs(float((t - mean).square().mean() - variance)) < 5.0 * spread
    fresh = active_sets(sets.problem, sets.gates, sets.variances)
    torch.testing.assert_close(sets.residual, fresh.residual, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(sets.log_likelihood, fresh.log_likelihood, rtol=1e-10, atol=1e-10)
    state_of_fresh = Conditionals(fresh, 1.0)
    state_of_fresh.update(fresh, prior)
    torch.testing.assert_close(state.phi, state_of_fresh.phi, rtol=1e-9, atol=0.0)


def test_most_moves_are_taken() -> None:
    sets = chains_of("columns", 500)
    moves, state = NoiseMoves(sets, 1.0), Conditionals(sets, 1.0)
    state.update(sets, sets.problem.prior)
    before = sets.variances.clone()
    moves.move(sets, state)
    assert (sets.variances != before).double().mean() > 0.6


def test_chains_of_different_sizes_keep_their_room() -> None:
    """What is taken over has less room, or more; moves by themselves make none."""
    given = problem("independent", 60, 30, noise=NOISE)
    gates = torch.zeros(4, 30, dtype=torch.bool)
    gates[0, :25] = True
    sets = active_sets(given, gates, torch.ones(4, dtype=DOUBLE))
    state = Conditionals(sets, 1.0)
    moves = NoiseMoves(sets, 1.0)
    for group in range(25):  # the first chain empties: what is computed anew needs less room
        sets.flip(torch.tensor([group, 29, 29, 29]))
    state.update(sets, given.prior)
    room = sets.held.shape[1]
    for _ in range(40):
        moves.move(sets, state)
    assert sets.held.shape[1] == room


def test_options_say_how_often() -> None:
    with pytest.raises(ValueError, match="noise_every must be at least 1, got 0"):
        GibbsOptions(noise_every=0)
