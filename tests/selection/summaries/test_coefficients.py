"""Draws and conditional summaries, against exact moments."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from l0bayes.selection import (
    ExactOptions,
    InclusionPrior,
    InverseGamma,
    coefficients_of,
    infer_gates,
    narrowest_interval,
)
from tests.selection.problems import DOUBLE, everything, problem


@pytest.mark.parametrize("groups", [None, torch.tensor([0, 1, 1, 2, 0, 3])], ids=["columns", "groups"])
def test_draws_have_the_exact_moments(groups: torch.Tensor | None) -> None:
    """4.5 standard errors of 8000 independent draws."""
    changes = {"groups": groups} if groups is not None else {}
    given = problem("blocks", 30, 6, noise=InverseGamma(), **changes, **everything(6, 30))
    exact = infer_gates(given, "exact", options=ExactOptions(num_draws=8000))
    found = coefficients_of(exact)
    error = found.beta.std(0) / 8000**0.5
    assert ((found.beta.mean(0) - exact.mean).abs() < 4.5 * error + 1e-6).all()
    spread = found.beta.square().std(0) / 8000**0.5
    assert ((found.beta.square().mean(0) - exact.second_moment).abs() < 4.5 * spread + 1e-6).all()
    # A coefficient is zero where its gate is shut, and only there.
    assert torch.equal(found.beta != 0, exact.draws.gates.bool()[:, given.groups])


def test_conditionals_are_those_of_the_open_gate() -> None:
    given = problem("independent", 30, 6)
    exact = infer_gates(given, "exact", options=ExactOptions(num_draws=20_000))
    found = coefficients_of(exact)
    pip = exact.pip
    assert (found.conditional_mean - exact.mean / pip).abs().max() < 0.01
    second = exact.second_moment / pip - (exact.mean / pip).square()
    assert (found.conditional_sd - second.sqrt()).abs().max() < 0.01
    assert (found.conditional_draws.mean(0) - found.conditional_mean).abs().max() < 0.02
    assert (found.conditional_draws.std(0) - found.conditional_sd).abs().max() < 0.02
    share = (found.conditional_draws > 0).double().mean(0)
    assert (share - found.positive).abs().max() < 0.02


def test_a_gate_that_is_never_drawn_open_is_still_described() -> None:
    odds = torch.tensor([0.0, -40.0, 0.0, 0.0, 0.0], dtype=DOUBLE)
    given = problem("independent", 30, 5, prior=InclusionPrior(log_odds=odds))
    exact = infer_gates(given, "exact", options=ExactOptions(num_draws=500))
    assert not exact.draws.gates[:, 1].any()
    found = coefficients_of(exact)
    wanted = float(exact.mean[1] / exact.pip[1])
    assert float(found.conditional_mean[1]) == pytest.approx(wanted, abs=0.02)
    assert torch.isfinite(found.conditional_draws).all()


def test_the_intercept_and_the_noise_are_drawn_along() -> None:
    ones = torch.ones(50, 1, dtype=DOUBLE)
    given = problem(
        "independent", 50, 5, noise=InverseGamma(), unpenalised=ones, unpenalised_scale=torch.tensor([10.0])
    )
    given = given.replace(y=given.y + 3.0)
    found = coefficients_of(infer_gates(given, "exact"))
    assert found.unpenalised.shape == (4000, 1)
    assert float(found.unpenalised.mean()) == pytest.approx(3.0, abs=0.5)
    assert float(found.noise_scale.mean()) == pytest.approx(1.0, abs=0.3)


def test_the_narrowest_interval() -> None:
    torch.manual_seed(0)
    draws = torch.stack([torch.randn(200_000), torch.randn(200_000).exp()], 1).double()
    found = narrowest_interval(draws, 0.9)
    assert found[0].tolist() == pytest.approx([-1.645, 1.645], abs=0.05)
    low, high = found[1].tolist()
    law = stats.lognorm(1.0)
    assert law.cdf(high) - law.cdf(low) == pytest.approx(0.9, abs=0.01)
    assert law.pdf(low) == pytest.approx(law.pdf(high), rel=0.2)  # the narrowest has equal densities
    with pytest.raises(ValueError, match=r"probability must lie strictly between 0 and 1, got 1\.0"):
        narrowest_interval(draws, 1.0)
