"""Simulated orders of events have the law that the partial likelihood says."""

import math
from collections import Counter
from itertools import permutations

import pytest
import torch

from l0bayes.likelihoods import Cox
from l0bayes.likelihoods.survival_simulation import simulated_survival

ETA = torch.tensor([0.0, 1.0, -0.7], dtype=torch.float64)


def test_orders_are_as_probable_as_their_partial_likelihood():
    torch.manual_seed(0)
    draws = 6000
    seen = Counter(tuple(simulated_survival(ETA, 3)[:, 0].int().tolist()) for _ in range(draws))
    law = Cox().law(ETA, {})
    for order in permutations((1, 2, 3)):
        y = torch.tensor([[time, 1] for time in order], dtype=torch.float64)
        wanted = math.exp(float(law.log_prob(y)))
        assert seen[order] / draws == pytest.approx(wanted, abs=4 * math.sqrt(wanted * (1 - wanted) / draws))


def test_what_is_seen_beside_losses_is_as_probable_too():
    """Of one event of three the row is i with the probability of the first step."""
    torch.manual_seed(0)
    draws = 6000
    first = Counter(int(simulated_survival(ETA, 1)[:, 1].argmax()) for _ in range(draws))
    for row, wanted in enumerate(torch.softmax(ETA, 0).tolist()):
        assert first[row] / draws == pytest.approx(wanted, abs=4 * math.sqrt(wanted * (1 - wanted) / draws))


@pytest.mark.parametrize("events", [1, 4, 9])
def test_events_and_losses_add_up(events):
    torch.manual_seed(1)
    found = simulated_survival(torch.linspace(-800.0, 800.0, 9, dtype=torch.float64), events)
    assert found[:, 1].sum() == events
    assert (found[found[:, 1] == 1, 0].sort().values == torch.arange(1.0, events + 1.0)).all()
    Cox().check(found)
