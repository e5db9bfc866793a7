"""Chains that work on a part of the columns have the law of all of them."""

import math

import pytest
import torch

from l0bayes.selection import (
    GaussianProblem,
    GibbsOptions,
    InclusionPrior,
    InverseGamma,
    WideOptions,
    WideProblem,
    column_source,
    infer_gates,
    infer_wide,
)
from l0bayes.selection.kernels.active_sets import ActiveSets
from l0bayes.selection.wide.full_pass import column_squares, conditionals_of_all

# Two columns are always in the set, two others by chance: nearly everything happens outside.
_SMALL_SET = WideOptions(
    chains=16, steps=700, burst=7, target_mcse=0.0, working_set=2, others=2, num_draws=3000
)


def _columns(rows, count, seed, correlation=0.8):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, count, generator=generator, dtype=torch.float64)
    for j in range(1, count):
        x[:, j] = correlation * x[:, j - 1] + math.sqrt(1.0 - correlation**2) * x[:, j]
    return x, torch.randn(rows, generator=generator, dtype=torch.float64)


def _problem(prior=None, rows=50, count=8, seed=0, **changes):
    x, error = _columns(rows, count, seed)
    y = 0.5 * x[:, 2] - 0.3 * x[:, 6] + error
    prior = prior or InclusionPrior(beta=(1.0, 3.0))
    slab = torch.linspace(0.6, 1.2, count, dtype=torch.float64)
    return GaussianProblem(x, y, prior, slab, **{"noise": 1.0, **changes})


_UNKNOWN = InverseGamma(2.0, 1.5)
_INTERCEPT = {
    "unpenalised": torch.ones(50, 1, dtype=torch.float64),
    "unpenalised_scale": torch.tensor([torch.inf]),
}
_PROBLEMS = {
    "a known noise": lambda: _problem(),
    "own odds and an unknown noise": lambda: _problem(
        InclusionPrior(log_odds=torch.linspace(-3.0, 0.5, 8, dtype=torch.float64)), noise=_UNKNOWN
    ),
    "an intercept, slabs in units of the noise, weights": lambda: _problem(
        noise=_UNKNOWN,
        slab_scaled_by_noise=True,
        weights=torch.linspace(0.5, 1.5, 50, dtype=torch.float64),
        offset=torch.linspace(-1.0, 1.0, 50, dtype=torch.float64),
        **_INTERCEPT,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", _PROBLEMS)
def test_a_small_working_set_agrees_with_enumeration(name):
    problem = _PROBLEMS[name]()
    exact = infer_gates(problem, "exact")
    found = infer_gates(problem, "wide", options=_SMALL_SET, seed=1)
    diagnostics = found.diagnostics
    assert 2 <= diagnostics.anchors < problem.num_columns
    assert diagnostics.outside > 0.2
    torch.testing.assert_close(found.pip, exact.pip, atol=0.06, rtol=0.0)
    # Standard errors over eight groups.
    assert bool(((found.pip - exact.pip).abs() <= 5.0 * found.pip_mcse + 2e-3).all())
    torch.testing.assert_close(found.mean, exact.mean, atol=0.03, rtol=0.0)
    torch.testing.assert_close(found.second_moment, exact.second_moment, atol=0.03, rtol=0.0)
    torch.testing.assert_close(found.size_probabilities, exact.size_probabilities, atol=0.06, rtol=0.0)
    torch.testing.assert_close(found.draws.gates.mean(0), exact.pip, atol=0.1, rtol=0.0)
    apart = abs(diagnostics.outside - diagnostics.counted_outside)
    assert apart <= 0.05 + 5.0 * math.hypot(diagnostics.outside_error, diagnostics.counted_error)


@pytest.mark.parametrize("name", _PROBLEMS)
def test_a_pass_gives_the_conditionals_that_chains_on_all_columns_have(name):
    problem = _PROBLEMS[name]()
    generator = torch.Generator().manual_seed(3)
    gates = torch.rand(5, 8, generator=generator) < 0.4
    variances = torch.linspace(0.7, 1.4, 5, dtype=torch.float64)
    sets = ActiveSets(problem, gates, variances)
    wide = WideProblem.of(problem)
    blocks = conditionals_of_all(wide, column_squares(wide), sets, torch.arange(5), torch.arange(8))
    (found,) = blocks
    wanted = torch.sigmoid(sets.log_odds() + problem.prior.conditional_log_odds(gates.double()))
    mean, variance = sets.conditional_moments()
    torch.testing.assert_close(found.open_, wanted, atol=1e-10, rtol=0.0)
    torch.testing.assert_close(found.mean, mean, atol=1e-10, rtol=1e-9)
    torch.testing.assert_close(found.variance, variance, atol=1e-10, rtol=1e-9)


def _wide_problem():
    """600 columns, of which three matter."""
    x, error = _columns(120, 600, 5, correlation=0.5)
    y = x[:, [3, 100, 250]] @ torch.tensor([1.0, -0.8, 0.6], dtype=torch.float64) + error
    odds = torch.full((600,), math.log(4 / 600), dtype=torch.float64)
    return GaussianProblem(x, y, InclusionPrior(odds), torch.ones(600), noise=InverseGamma(1.0, 1.0))


@pytest.mark.slow
def test_it_agrees_with_long_chains_on_all_columns():
    problem = _wide_problem()
    long = infer_gates(problem, "gibbs", options=GibbsOptions(steps=1500, burn_in=200, target_mcse=0.0))
    found = infer_gates(problem, "wide", seed=2)
    assert found.diagnostics.anchors < 300
    torch.testing.assert_close(found.pip, long.pip, atol=0.02, rtol=0.0)
    assert float(found.pip.sum()) == pytest.approx(float(long.pip.sum()), abs=0.1)
    assert found.diagnostics.verdict(found).verdict == "reliable"


def test_an_interruption_leaves_what_was_drawn():
    problem = _wide_problem()

    def interrupt(share):
        if share > 0.5:
            raise KeyboardInterrupt

    options = WideOptions(chains=16, steps=450, target_mcse=0.0)
    found = infer_gates(problem, "wide", options=options, progress=interrupt)
    assert found.diagnostics.cut_short
    assert "interrupted" in str(found.diagnostics.verdict(found))
    assert float(found.pip[3]) > 0.9

    def at_once(share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        infer_gates(problem, "wide", options=options, progress=at_once)


def test_a_source_gives_all_probabilities_and_a_posterior_as_other_engines_do():
    problem = _wide_problem()
    wide = WideProblem(
        column_source(problem.x.to(torch.float32)),
        torch.zeros(600, dtype=torch.float64),
        torch.ones(600, dtype=torch.float64),
        y=problem.y,
        prior=problem.prior,
        slab_scale=problem.slab_scale,
        noise=problem.noise,
    )
    found = infer_wide(wide, options=WideOptions(chains=16, steps=225, target_mcse=0.0))
    assert found.pip.shape == found.pip_mcse.shape == found.mean.shape == (600,)
    few = found.few
    assert {3, 100, 250} <= set(found.kept.tolist())
    assert few.problem.num_columns == len(found.kept) == 600  # these are few enough to keep all
    torch.testing.assert_close(few.problem.x, problem.x[:, found.kept], atol=1e-6, rtol=0.0)
    torch.testing.assert_close(few.pip, found.pip[found.kept])
    torch.testing.assert_close(few.draws.gates.mean(0), few.pip, atol=0.1, rtol=0.0)


def test_what_it_cannot_take_is_refused_with_what_to_do_instead():
    x, y = _columns(20, 4, 0)
    problem = GaussianProblem(
        x, y, InclusionPrior(beta=(1.0, 1.0)), torch.ones(4), noise=1.0, groups=torch.tensor([0, 0, 1, 2])
    )
    with pytest.raises(ValueError, match=r"one column each.*Use the engine 'gibbs'"):
        infer_gates(problem, "wide")
    with pytest.raises(ValueError, match="burst must be odd"):
        WideOptions(burst=10)
