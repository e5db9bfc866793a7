"""What the gates would do, computed without masks, against the plain formulas."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from l0bayes.selection import InclusionPrior, InverseGamma
from l0bayes.selection.engines.tilted_proposal import TiltedPrior
from l0bayes.selection.kernels.active_groups import active_sets
from l0bayes.selection.kernels.active_sets import ActiveSets
from l0bayes.selection.kernels.gate_conditionals import Conditionals
from tests.selection.problems import DOUBLE, everything, problem

CHAINS, COLUMNS = 6, 7
PRIORS = {
    "odds": InclusionPrior(log_odds=torch.linspace(-2.0, 0.5, COLUMNS, dtype=DOUBLE)),
    "beta": InclusionPrior(beta=(1.0, 4.0)),
    "tilted": TiltedPrior(beta=(1.0, 4.0), tilt=torch.linspace(-1.0, 1.0, COLUMNS, dtype=DOUBLE)),
}
CASES: dict[str, dict[str, Any]] = {
    "fixed slab": {},
    "scaled slab": {"slab_scaled_by_noise": True},
    "everything": everything(COLUMNS, 30),
    "scaled, everything": {"slab_scaled_by_noise": True, **everything(COLUMNS, 30)},
    "groups": {"groups": torch.tensor([0, 1, 1, 2, 0, 3, 3])},
}


def sets_of(name: str, prior: InclusionPrior) -> ActiveSets:
    changes = dict(CASES[name])
    if name == "groups" and prior is not PRIORS["beta"]:
        pytest.skip("one entry a group")
    given = problem("blocks", 30, COLUMNS, noise=InverseGamma(), **changes).replace(prior=prior)
    torch.manual_seed(2)
    gates = torch.rand(CHAINS, given.num_groups) < 0.4
    gates[0] = False
    gates[1] = True
    return active_sets(given, gates, 0.3 + torch.rand(CHAINS, dtype=DOUBLE))


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("name", CASES)
def test_they_are_the_plain_formulas(name: str, prior: str) -> None:
    sets = sets_of(name, PRIORS[prior])
    given = sets.problem
    state = Conditionals(sets, exploration=1.5)
    for _ in range(3):  # the memory is used again
        state.update(sets, given.prior)
        odds = sets.log_odds() + given.prior.conditional_log_odds(sets.gates.double())
        open_ = torch.sigmoid(odds)
        torch.testing.assert_close(state.open_, open_, rtol=1e-10, atol=1e-14)
        here = torch.where(sets.gates, open_, torch.sigmoid(-odds))
        weights = 0.5 * (open_ + 1.5 / sets.groups) / here
        torch.testing.assert_close(state.cumulative, weights.cumsum(1), rtol=1e-9, atol=1e-14)
        torch.testing.assert_close(state.phi, weights.sum(1), rtol=1e-9, atol=0.0)
        mean, variance = sets.conditional_moments()
        torch.testing.assert_close(state.mean, mean, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(state.variance, variance, rtol=1e-9, atol=1e-12)
        sets.flip(torch.randint(0, sets.groups, (CHAINS,)))


def test_a_gate_is_chosen_by_its_weight() -> None:
    """Frequencies of 20,000 draws, within five standard deviations."""
    sets = sets_of("fixed slab", PRIORS["odds"])
    state = Conditionals(sets, exploration=1.0)
    state.update(sets, PRIORS["odds"])
    torch.manual_seed(0)
    counts = torch.zeros(CHAINS, COLUMNS, dtype=DOUBLE)
    total = 20_000
    for _ in range(total):
        counts[torch.arange(CHAINS), state.choose()] += 1.0
    wanted = torch.diff(state.cumulative, prepend=state.cumulative.new_zeros(CHAINS, 1)) / state.phi[:, None]
    spread = (wanted * (1.0 - wanted) / total).sqrt()
    assert ((counts / total - wanted).abs() <= 5.0 * spread + 1e-12).all()


@pytest.mark.parametrize("slab_scaled_by_noise", [False, True])
def test_a_certain_gate_leaves_finite_numbers(slab_scaled_by_noise: bool) -> None:
    """Log odds of thousands: y is ten thousand times the noise, and one column is y."""
    given = problem("independent", 30, 5, noise=1e-2, slab_scaled_by_noise=slab_scaled_by_noise)
    x = torch.linalg.qr(given.x).Q  # the others say nothing
    given = given.replace(x=x, y=100.0 * x[:, 0], slab_scale=torch.full((5,), 1e3))
    variances = torch.full((2,), 1e-4, dtype=DOUBLE)
    sets = active_sets(given, torch.tensor([[False] * 5, [True] + [False] * 4]), variances)
    state = Conditionals(sets, exploration=1.0)
    state.update(sets, given.prior)
    for value in (state.open_, state.cumulative, state.mean, state.variance):
        assert torch.isfinite(value).all()
    assert (state.open_[:, 0] == 1.0).all()
    assert state.choose()[0] == 0
