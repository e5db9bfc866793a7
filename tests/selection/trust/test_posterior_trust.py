"""Verdicts: silent where a posterior is right, loud where it is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from l0bayes.selection import GibbsOptions, enumerate_models, sample_models
from l0bayes.selection.engines.exact_glm import enumerate_glm
from l0bayes.selection.trust.posterior_trust import TrustWarning, judge_variational, rao_blackwell, trust_of
from tests.selection.glm_problems import make_problem
from tests.selection.problems import problem


def test_enumeration_is_exact() -> None:
    trust = trust_of(enumerate_models(problem()))
    assert trust.verdict == "exact"
    assert trust
    trust.warn()  # nothing: warnings are errors here


def test_a_long_chain_is_reliable_and_a_short_one_is_not() -> None:
    given = problem("duplicates", 40, 8)
    assert trust_of(sample_models(given)).verdict == "reliable"
    short = sample_models(given, options=GibbsOptions(chains=2, steps=12, burn_in=2, target_mcse=0.0))
    trust = trust_of(short)
    assert not trust
    assert trust.mcse is not None
    with pytest.warns(TrustWarning, match="Refine them"):
        trust.warn()


def test_one_pass_of_conditionals_leaves_a_right_posterior_alone_and_moves_a_wrong_one() -> None:
    independent = problem("independent", 300, 6)
    exact = enumerate_models(independent)
    again = rao_blackwell(independent, exact.pip, 1.0)
    assert (again - exact.pip).abs().max() < 0.03
    blocks = problem("duplicates", 60, 6)
    exact = enumerate_models(blocks)
    wrong = exact.pip.clone()
    wrong[0], wrong[1] = 1.0, 0.0  # one of two near-duplicates, for certain
    moved = rao_blackwell(blocks, wrong, 1.0)
    assert (moved - wrong).abs().max() > 0.05


def test_a_variational_result_that_is_wrong_is_called_so() -> None:
    given = problem("duplicates", 60, 6)
    exact = enumerate_models(given)
    wrong = exact.pip.clone()
    wrong[0], wrong[1] = 1.0, 0.0
    trust = trust_of(replace(exact, engine="svi", pip=wrong))
    assert not trust
    assert trust.residual is not None
    assert trust.residual > 0.05
    assert trust.worst["gate"] in (0, 1)


@pytest.mark.parametrize("kind", ["bernoulli", "poisson"])
def test_a_generalised_linear_model_is_judged_by_its_own_curvature(kind: str) -> None:
    """A right posterior is left alone; columns without a gate are among what is conditioned on."""
    exact = enumerate_glm(make_problem(kind, 200, 5, correlation=0.0))
    right = trust_of(replace(exact, engine="svi"))
    assert right.residual is not None
    assert right.residual < 0.03
    wrong = exact.pip.clone()
    wrong[0], wrong[4] = 0.3, 0.9
    residual = trust_of(replace(exact, engine="svi", pip=wrong)).residual
    assert residual == pytest.approx(float((wrong - exact.pip).abs().max()), abs=0.05)


@pytest.mark.parametrize("level", [3.0, 8.0, 12.0])
def test_large_counts_are_judged(level: float) -> None:
    """From no intercept at all Newton's method would leave the numbers that there are."""
    given = make_problem("poisson", 100, 3, correlation=0.0)
    generator = torch.Generator().manual_seed(2)
    y = torch.poisson(torch.exp(level + 0.3 * given.x[:, 0]), generator=generator)
    exact = enumerate_glm(given.replace(y=y, unpenalised_scale=torch.tensor([20.0])))
    right = trust_of(replace(exact, engine="svi"))
    assert right.residual is not None
    assert right.residual < 0.02


def test_a_mean_without_curvature_is_doubtful() -> None:
    exact = enumerate_glm(make_problem("poisson", 100, 3))
    trust = trust_of(replace(exact, engine="svi", mean=torch.full((3,), 1e4, dtype=torch.float64)))
    assert trust.verdict == "doubtful"
    assert "no finite curvature" in str(trust)


def test_signs_that_a_fit_left_are_in_its_verdict() -> None:
    exact = enumerate_models(problem("independent", 300, 6))
    trust = trust_of(replace(exact, engine="svi", diagnostics={"k_hat": 0.8, "disagreement": 0.02}))
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
    rao_blackwell(given, torch.full((6,), 0.3), 1.0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("change", "word", "reason"),
    [
        ({}, "exact", "largest correction is 0.05"),
        ({"correction": 0.6}, "doubtful", "That is large"),
        ({"not_converged": 2}, "doubtful", "2 modes were not found"),
        ({"missed": 0.4}, "doubtful", "0.4 times the probability of the best one was never drawn"),
    ],
)
def test_evidences_by_laplace_are_judged_too(change: dict[str, float], word: str, reason: str) -> None:
    told = {"evidence": "laplace", "correction": 0.05, "not_converged": 0, **change}
    for engine in ("exact", "gibbs"):
        found = enumerate_models(problem())
        found = replace(found, engine=engine, diagnostics={**told, "ess": 1e4})
        trust = trust_of(found)
        assert trust.verdict == ("reliable" if (engine, word) == ("gibbs", "exact") else word)
        assert any(reason in one for one in trust.reasons)


def test_a_sampler_that_left_the_numbers_is_wrong() -> None:
    found = enumerate_models(problem())
    lost = replace(found, engine="gibbs", pip_mcse=torch.full_like(found.pip, float("nan")))
    assert trust_of(lost).verdict == "wrong"
