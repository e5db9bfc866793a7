"""Verdicts: silent where a posterior is right, loud where it is wrong."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from l0bayes.selection import (
    ExactDiagnostics,
    GibbsDiagnostics,
    GibbsOptions,
    SelectionPosterior,
    SVIDiagnostics,
    TrustWarning,
    infer_gates,
)
from l0bayes.selection.kernels.laplace_accuracy import ImportanceCheck, LaplaceAccuracy
from l0bayes.selection.kernels.mean_field import Factors
from l0bayes.selection.kernels.rao_blackwell import rao_blackwell
from l0bayes.selection.kernels.variational_verdict import _of_k_hat, judge_variational
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.inclusion_prior import InclusionPrior
from l0bayes.selection.problem.noise_prior import InverseGamma
from l0bayes.selection.trust.posterior_trust import trust_of
from tests.selection.glm_problems import make_problem
from tests.selection.problems import problem

CHECK = ImportanceCheck(draws=4000, ess=3600.0, k_hat=0.1, error=0.002, gap=0.001, corrected=False)


def variational(posterior: SelectionPosterior, k_hat: float = 0.0, **changes: Any) -> SelectionPosterior:
    """A posterior as if it were of a variational fit, without signs of error but those given."""
    nothing = torch.zeros(1)
    diagnostics = SVIDiagnostics(
        gate_law="bernoulli",
        elbo=0.0,
        elbo_error=0.0,
        restart_elbo=nothing,
        restart_pip=nothing,
        mode=nothing,
        mode_weights=nothing,
        mode_factors=Factors(nothing, nothing, nothing, nothing, nothing),
        k_hat=k_hat,
        effective_share=0.5,
        disagreement=0.02,
    )
    return replace(posterior, engine="svi", diagnostics=diagnostics, **changes)


def chains(posterior: SelectionPosterior, **changes: Any) -> SelectionPosterior:
    """A posterior as if it were sampled."""
    diagnostics = GibbsDiagnostics(flips=1, chains=2, largest_mcse=0.0, ess=1e4)
    return replace(posterior, engine="gibbs", diagnostics=diagnostics, **changes)


def test_enumeration_is_exact() -> None:
    trust = trust_of(infer_gates(problem(), "exact"))
    assert trust.verdict == "exact"
    assert trust
    trust.warn()  # nothing: warnings are errors here


def test_a_long_chain_is_reliable_and_a_short_one_is_not() -> None:
    given = problem("duplicates", 40, 8)
    assert trust_of(infer_gates(given, "gibbs", options=GibbsOptions())).verdict == "reliable"
    short = infer_gates(given, "gibbs", options=GibbsOptions(chains=2, steps=12, burn_in=2, target_mcse=0.0))
    trust = trust_of(short)
    assert not trust
    assert trust.mcse is not None
    with pytest.warns(TrustWarning, match="Refine them"):
        trust.warn()


def test_one_pass_of_conditionals_leaves_a_right_posterior_alone_and_moves_a_wrong_one() -> None:
    independent = problem("independent", 300, 6)
    exact = infer_gates(independent, "exact")
    again = rao_blackwell(independent, exact.pip)
    assert (again - exact.pip).abs().max() < 0.03
    blocks = problem("duplicates", 60, 6)
    exact = infer_gates(blocks, "exact")
    wrong = exact.pip.clone()
    wrong[0], wrong[1] = 1.0, 0.0  # one of two near-duplicates, for certain
    moved = rao_blackwell(blocks, wrong)
    assert (moved - wrong).abs().max() > 0.05


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("n", [6, 12, 100])
def test_conditionals_with_an_unknown_noise_leave_the_exact_posterior_as_it_is(n: int, scaled: bool) -> None:
    """Draws of the exact posterior: what the conditionals give on average is its PIPs, at any sample size."""
    given = problem("independent", n, 5, noise=InverseGamma(1.0, 1.0), slab_scaled_by_noise=scaled)
    exact = infer_gates(given, "exact")
    draws = exact.draws
    picked = torch.multinomial(
        draws.weights, 4000, replacement=True, generator=torch.Generator().manual_seed(0)
    )
    again = rao_blackwell(given, exact.pip, gates=draws.gates[picked].double())
    assert (again - exact.pip).abs().max() < 0.01


@pytest.mark.parametrize("noise", [1.374, 2.0, 5.0])
def test_a_noise_that_is_too_large_hides_no_small_effect(noise: float) -> None:
    """At its own noise the fit would agree with itself that the second column says nothing."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(100, 2, generator=generator, dtype=torch.float64)
    y = 50.0 * x[:, 0] + 0.3 * x[:, 1] + 0.5 * torch.randn(100, generator=generator, dtype=torch.float64)
    scale = float(y.std())
    given = GaussianProblem(
        x,
        y / scale,
        prior=InclusionPrior(log_odds=torch.zeros(2, dtype=torch.float64)),
        slab_scale=torch.ones(2, dtype=torch.float64),
        noise=InverseGamma.jeffreys(),
    )
    exact = infer_gates(given, "exact")
    assert exact.pip[1] > 0.9
    draws = replace(exact.draws, variances=torch.full_like(exact.draws.variances, (noise / scale) ** 2))
    found = trust_of(variational(exact, pip=exact.pip.new_tensor([0.9998, 0.005]), draws=draws))
    assert found.verdict == "wrong"
    assert found.worst["gate"] == 1


def test_many_active_columns_share_draws_of_the_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 140, generator=generator, dtype=torch.float64)
    given = GaussianProblem(
        x,
        x.sum(1) + torch.randn(300, generator=generator, dtype=torch.float64),
        prior=InclusionPrior(log_odds=torch.zeros(140, dtype=torch.float64)),
        slab_scale=torch.ones(140, dtype=torch.float64),
        noise=InverseGamma.weak(140.0),
    )
    assert rao_blackwell(given, torch.full((140,), 0.999), num_draws=20).min() > 0.9


def test_a_variational_result_that_is_wrong_is_called_so() -> None:
    given = problem("duplicates", 60, 6)
    exact = infer_gates(given, "exact")
    wrong = exact.pip.clone()
    wrong[0], wrong[1] = 1.0, 0.0
    trust = trust_of(variational(exact, pip=wrong))
    assert not trust
    assert trust.residual is not None
    assert trust.residual > 0.05
    assert trust.worst["gate"] in (0, 1)


@pytest.mark.parametrize("kind", ["bernoulli", "poisson"])
def test_a_generalised_linear_model_is_judged_by_its_own_curvature(kind: str) -> None:
    """A right posterior is left alone; columns without a gate are among what is conditioned on."""
    exact = infer_gates(make_problem(kind, 200, 5, correlation=0.0), "exact")
    right = trust_of(variational(exact))
    assert right.residual is not None
    assert right.residual < 0.03
    wrong = exact.pip.clone()
    wrong[0], wrong[4] = 0.3, 0.9
    residual = trust_of(variational(exact, pip=wrong)).residual
    assert residual == pytest.approx(float((wrong - exact.pip).abs().max()), abs=0.05)


@pytest.mark.parametrize("level", [3.0, 8.0, 12.0])
def test_large_counts_are_judged(level: float) -> None:
    """From no intercept at all Newton's method would leave the numbers that there are."""
    given = make_problem("poisson", 100, 3, correlation=0.0)
    generator = torch.Generator().manual_seed(2)
    y = torch.poisson(torch.exp(level + 0.3 * given.x[:, 0]), generator=generator)
    exact = infer_gates(given.replace(y=y, unpenalised_scale=torch.tensor([20.0])), "exact")
    right = trust_of(variational(exact))
    assert right.residual is not None
    assert right.residual < 0.02


def test_a_mean_without_curvature_is_doubtful() -> None:
    exact = infer_gates(make_problem("poisson", 100, 3), "exact")
    trust = trust_of(variational(exact, mean=torch.full((3,), 1e4, dtype=torch.float64)))
    assert trust.verdict == "doubtful"
    assert "no finite curvature" in str(trust)


def test_signs_that_a_fit_left_are_in_its_verdict() -> None:
    exact = infer_gates(problem("independent", 300, 6), "exact")
    trust = trust_of(variational(exact, k_hat=0.8))
    assert (trust.k_hat, trust.disagreement) == (0.8, 0.02)
    assert trust.verdict == "doubtful"
    assert "k-hat of the hardened guide is 0.80" in str(trust)


@pytest.mark.parametrize(
    ("signs", "verdict"),
    [
        ({"residual": 0.01}, "plausible"),
        ({"residual": 0.04}, "doubtful"),
        ({"residual": 0.2}, "wrong"),
        ({"residual": 0.01, "k_hat": 0.9}, "doubtful"),
        ({"residual": 0.01, "k_hat": 0.9, "effective_share": 0.8}, "doubtful"),
        ({"residual": 0.01, "k_hat": 0.9, "effective_share": 0.999}, "plausible"),
        ({"residual": None, "disagreement": 0.4}, "doubtful"),
        ({"residual": None, "k_hat": 0.1, "disagreement": 0.01}, "plausible"),
        ({"residual": None}, "unchecked"),
        ({"residual": None, "disagreement": 0.01}, "unchecked"),
        ({"residual": None, "disagreement": 0.4, "unchecked": ("No conditionals.",)}, "doubtful"),
    ],
)
def test_every_sign_counts(signs: dict[str, float], verdict: str) -> None:
    trust = judge_variational(**signs)
    assert trust.verdict == verdict
    assert bool(trust) == (verdict == "plausible")
    assert str(trust).startswith(verdict)


def test_restarts_do_not_change_the_global_generator() -> None:
    given = problem()
    before = torch.get_rng_state()
    rao_blackwell(given, torch.full((6,), 0.3))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("change", "word", "reason"),
    [
        ({}, "exact", "largest correction is 0.05"),
        ({"correction": 0.6}, "doubtful", "That is large"),
        ({"not_converged": 2}, "doubtful", "2 modes were not found"),
        ({"missed": 0.4}, "doubtful", "0.4 times the probability of the best one was never drawn"),
        ({"shared": 1600.0}, "doubtful", "That is large"),
        ({"correction": float("nan")}, "doubtful", "That is large"),
        ({"importance": CHECK}, "exact", "4000 importance draws (3600 effective, Pareto k-hat 0.10) agree"),
        ({"importance": CHECK, "correction": 8.0, "shared": 1600.0}, "exact", "agree"),
        ({"importance": replace(CHECK, corrected=True)}, "exact", "corrected them, by up to 0.001 of a PIP"),
        ({"importance": replace(CHECK, error=0.02)}, "doubtful", "That error is large"),
        ({"importance": replace(CHECK, ess=50.0)}, "doubtful", "Few of the draws are effective"),
        ({"importance": replace(CHECK, k_hat=1.2, ess=1600.0)}, "doubtful", "may miss a part"),
    ],
)
def test_evidences_by_laplace_are_judged_too(change: dict[str, float], word: str, reason: str) -> None:
    laplace = LaplaceAccuracy(**{"correction": 0.05, "not_converged": 0, **change})
    found = infer_gates(problem(), "exact")
    for engine, diagnostics in {
        "exact": ExactDiagnostics(models=64, laplace=laplace),
        "gibbs": GibbsDiagnostics(flips=1, chains=2, largest_mcse=0.0, ess=1e4, laplace=laplace),
    }.items():
        trust = trust_of(replace(found, engine=engine, diagnostics=diagnostics))
        assert trust.verdict == ("reliable" if (engine, word) == ("gibbs", "exact") else word)
        assert any(reason in one for one in trust.reasons)


def test_a_sampler_that_left_the_numbers_is_wrong() -> None:
    found = infer_gates(problem(), "exact")
    lost = chains(found, pip_mcse=torch.full_like(found.pip, float("nan")))
    assert trust_of(lost).verdict == "wrong"


@pytest.mark.parametrize(
    ("pip", "reason"), [(float("nan"), "are not finite"), (1.5, r"outside of [0, 1], by 0.5")]
)
def test_what_is_no_probability_is_wrong_whatever_the_engine_says(pip: float, reason: str) -> None:
    found = infer_gates(problem(), "exact")
    wrong = found.pip.clone()
    wrong[2] = pip
    trust = trust_of(replace(found, pip=wrong))
    assert trust.verdict == "wrong"
    assert reason in str(trust)


def test_what_a_k_hat_says() -> None:
    assert "few values and have no tail" in _of_k_hat(-math.inf, True)
    assert "hardly vary" in _of_k_hat(0.9, True)
    assert "is 0.90 (usable up to 0.7)" in _of_k_hat(0.9, False)
    assert "is 0.30 (usable up to 0.7)" in _of_k_hat(0.3, True)
    assert "is inf" in _of_k_hat(math.inf, False)
