"""Pareto k-hat against ArviZ, on either side of its version 1, and against known tails."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from l0bayes.posterior.importance import ImportanceWeighted
from l0bayes.posterior.pareto import effective_share, pareto_k, ratios_are_usable, smoothed_log_weights
from tests.arviz_versions import psis


@pytest.mark.parametrize("count", [100, 1000, 4000])
@pytest.mark.parametrize("scale", [0.1, 0.7, 1.5, 3.0])
def test_it_is_arviz_number(scale: float, count: int) -> None:
    torch.manual_seed(int(10 * scale) + count)
    ratios = scale * torch.randn(count, dtype=torch.float64) + 500.0
    weights, k = smoothed_log_weights(ratios)
    theirs, their_k = psis(ratios.numpy())
    assert k == pytest.approx(their_k, abs=1e-10)
    assert k == pareto_k(ratios)
    np.testing.assert_allclose(weights.exp().numpy(), np.exp(theirs), atol=1e-12)
    assert float(weights.exp().sum()) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.9])
def test_known_tails_are_found(shape: float) -> None:
    """Ratios that are Pareto distributed with index 1/k; the estimator's spread at S = 40,000 is 0.05."""
    torch.manual_seed(2)
    ratios = -shape * torch.log(torch.rand(40_000, dtype=torch.float64))
    assert pareto_k(ratios) == pytest.approx(shape, abs=0.15)


def test_a_proposal_that_is_the_posterior_has_no_tail() -> None:
    assert pareto_k(torch.full((1000,), -3.0)) == -math.inf


def test_too_few_draws_say_nothing() -> None:
    assert pareto_k(torch.tensor([0.0, 1.0, 2.0])) == math.inf


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_ratios_that_are_no_numbers_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="log_ratios must not hold NaN or plus infinity"):
        pareto_k(torch.tensor([0.0, bad, 1.0]))


def test_draws_outside_of_the_posterior_are_allowed() -> None:
    torch.manual_seed(1)
    ratios = torch.randn(1000, dtype=torch.float64)
    ratios[:100] = -math.inf
    assert math.isfinite(pareto_k(ratios))


def test_the_effective_share_of_the_draws() -> None:
    assert effective_share(torch.full((100,), -3e4)) == pytest.approx(1.0)
    one = torch.full((100,), -math.inf)
    one[7] = 0.0
    assert effective_share(one) == pytest.approx(0.01)
    # For ratios log-normal with standard deviation s the share is exp(-s²).
    ratios = 0.4 * torch.randn(400_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert effective_share(ratios + 500.0) == pytest.approx(math.exp(-0.16), rel=5e-3)


@pytest.mark.parametrize(
    ("k_hat", "share", "usable"),
    [(0.2, 0.3, True), (0.7, 0.3, True), (0.8, 0.9, False), (1.2, 0.9999, True), (math.inf, 1.0, True)],
)
def test_where_averages_may_be_used(k_hat: float, share: float, usable: bool) -> None:
    """Ratios that hardly vary have no tail that k-hat could describe."""
    assert ratios_are_usable(k_hat, share) is usable
    weights = torch.full((1000,), -math.log(1000.0))
    found = ImportanceWeighted({}, {}, {}, 0.0, k_hat, share * 1000, weights, {})
    assert bool(found) is usable
    assert ("not to be used" in str(found)) is not usable


def test_ratios_that_are_equal_but_for_rounding_are_usable_whatever_their_tail() -> None:
    torch.manual_seed(0)
    for _ in range(20):
        ratios = 1e-5 * torch.randn(4000, dtype=torch.float64).abs().pow(6) - 3.0
        assert ratios_are_usable(pareto_k(ratios), effective_share(ratios))
