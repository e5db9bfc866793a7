"""The sampler against enumeration."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from l0bayes.selection import GibbsOptions, InclusionPrior, InverseGamma, infer_gates
from tests.selection.problems import DOUBLE, everything, problem

QUICK = GibbsOptions(chains=64, steps=600, burn_in=60, target_mcse=0.0)
CASES: dict[str, dict[str, Any]] = {
    "known noise": {},
    "unknown noise": {"noise": InverseGamma()},
    "beta, scaled slab": {
        "prior": InclusionPrior(beta=(1.0, 4.0)),
        "noise": InverseGamma(),
        "slab_scaled_by_noise": True,
    },
    "groups": {"groups": torch.tensor([0, 1, 1, 2, 0, 3, 4, 4]), **everything(8, 40)},
}


@pytest.mark.parametrize("kind", ["independent", "blocks", "suppressor"])
@pytest.mark.parametrize("name", CASES)
def test_it_finds_the_exact_posterior(name: str, kind: str) -> None:
    """Within 4.5 of its own standard errors: probability 1e-5 a number."""
    given = problem(kind, 40, 8, **CASES[name])
    exact, found = infer_gates(given, "exact"), infer_gates(given, "gibbs", options=QUICK)
    gap = (found.pip - exact.pip).abs()
    assert (gap < 4.5 * found.pip_mcse + 1e-6).all(), gap / found.pip_mcse
    assert (found.pip_mcse < 0.015).all()
    assert (found.mean - exact.mean).abs().max() < 0.03
    assert (found.sd - exact.sd).abs().max() < 0.03
    assert (found.size_probabilities - exact.size_probabilities).abs().max() < 0.03
    assert (found.joint - exact.joint).abs().max() < 0.05


@pytest.mark.parametrize("kind", ["duplicates", "null"])
def test_hard_designs(kind: str) -> None:
    given = problem(kind, 40, 8, noise=InverseGamma())
    exact, found = infer_gates(given, "exact"), infer_gates(given, "gibbs", options=GibbsOptions())
    assert (found.pip - exact.pip).abs().max() < 0.02


def test_a_bad_start_is_left() -> None:
    given = problem("blocks", 60, 8)
    exact = infer_gates(given, "exact")
    start = (exact.pip < 0.5).double()  # everything the wrong way round
    found = infer_gates(given, "gibbs", options=QUICK, start=start)
    assert (found.pip - exact.pip).abs().max() < 0.02


def test_it_stops_when_it_is_sure_and_not_before() -> None:
    easy = problem("independent", 200, 8)
    quick = infer_gates(easy, "gibbs", options=GibbsOptions(steps=5000, target_mcse=0.01))
    assert quick.diagnostics.flips < 1000
    assert quick.diagnostics.largest_mcse <= 0.01
    whole = infer_gates(easy, "gibbs", options=GibbsOptions(steps=300, target_mcse=0.0))
    assert whole.diagnostics.flips == 300


def test_the_seed_decides() -> None:
    given = problem("blocks", 30, 8, noise=InverseGamma())
    before = torch.get_rng_state()
    first, second, third = (
        infer_gates(given, "gibbs", options=GibbsOptions(steps=150, burn_in=20), seed=seed)
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.pip, second.pip)
    assert not torch.equal(first.pip, third.pip)


def test_the_sample_of_models_agrees_with_the_probabilities() -> None:
    given = problem("blocks", 40, 8)
    found = infer_gates(given, "gibbs", options=replace(QUICK, num_draws=4000))
    assert (found.draws.gates.mean(0) - found.pip).abs().max() < 0.05
    assert math.isnan(found.log_evidence)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chains": 1}, "chains must be at least 2, got 1"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"steps": 50, "burn_in": 50}, "burn_in must be at least 0 and below steps = 50, got 50"),
        ({"exploration": 0.0}, "exploration must be positive, got 0.0"),
    ],
)
def test_options_out_of_range_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GibbsOptions(**change)


def test_wide_data_with_more_columns_than_rows() -> None:
    """Chains from two seeds, with p of ten times n, agree as their standard errors say."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(40, 400, generator=generator, dtype=DOUBLE)
    y = 2.0 * x[:, 7] - 2.0 * x[:, 300] + torch.randn(40, generator=generator, dtype=DOUBLE)
    odds = torch.full((400,), math.log(0.01 / 0.99), dtype=DOUBLE)
    given = problem().replace(
        x=x,
        y=y,
        groups=torch.arange(400),
        prior=InclusionPrior(log_odds=odds),
        slab_scale=torch.ones(400),
        unpenalised=torch.empty(40, 0),
        offset=torch.zeros(40),
        weights=torch.ones(40),
    )
    one, two = (
        infer_gates(given, "gibbs", options=GibbsOptions(steps=300, target_mcse=0.0), seed=s) for s in (0, 1)
    )
    gap = (one.pip - two.pip).abs()
    error = (one.pip_mcse.square() + two.pip_mcse.square()).sqrt()
    assert (gap < 5.0 * error + 1e-3).all()
    assert one.pip[[7, 300]].min() > 0.9


@pytest.mark.parametrize("slab", [1e4, 1e6])
@pytest.mark.parametrize("noise", [1.0, InverseGamma()])
def test_a_column_twice_under_a_slab_far_wider_than_the_data_say(slab: float, noise: Any) -> None:
    """What one of the two leaves of the other is 1e-10 and less of it, where updates lose their digits."""
    given = problem("independent", 50, 5, noise=noise, slab_scale=torch.full((5,), slab))
    x = given.x.clone()
    x[:, 1] = x[:, 0]
    given = given.replace(x=x)
    exact, found = infer_gates(given, "exact"), infer_gates(given, "gibbs", options=QUICK)
    assert torch.isfinite(found.pip).all()
    assert (exact.pip[0] - exact.pip[1]).abs() < 1e-4  # the same column
    gap = (found.pip - exact.pip).abs()
    assert (gap < 4.5 * found.pip_mcse + 1e-3).all(), gap / found.pip_mcse
