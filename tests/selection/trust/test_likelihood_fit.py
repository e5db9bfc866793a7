"""Data beside the likelihood: dispersions and tails against references, alarms where they belong."""

import numpy as np
import pytest
import torch
from scipy.stats import kurtosis, kurtosistest

from l0bayes.likelihoods import Bernoulli, NegativeBinomial, Poisson
from l0bayes.selection.problem.verdict import Trust
from l0bayes.selection.trust.likelihood_fit import (
    LikelihoodWarning,
    anscombe_glynn,
    dispersion_check,
    judge_likelihood,
    noise_check,
    tail_check,
)


def ones(count):
    return torch.ones(count, dtype=torch.float64)


@pytest.mark.parametrize("count", [20, 57, 400])
def test_kurtosis_and_its_significance(count):
    residuals = np.random.default_rng(count).standard_t(5, size=count)
    check = tail_check(torch.tensor(residuals), ones(count))
    assert check.value == pytest.approx(kurtosis(residuals), rel=1e-10)
    assert anscombe_glynn(check.value, count, check.error) == pytest.approx(
        kurtosistest(residuals)[0], rel=1e-9
    )


def test_weights_are_rows():
    rng = np.random.default_rng(0)
    residuals, weights = rng.standard_t(3, size=60), rng.integers(1, 4, 60)
    one = tail_check(torch.tensor(residuals), torch.tensor(weights, dtype=torch.float64))
    other = tail_check(torch.tensor(np.repeat(residuals, weights)), ones(weights.sum()))
    assert (one.value, one.error) == pytest.approx((other.value, other.error))


@pytest.mark.parametrize("count", [30, 300])
@pytest.mark.parametrize("mean", [0.1, 2.0, 40.0])
def test_the_dispersion_of_counts(count, mean):
    rng = np.random.default_rng(count)
    mu = mean * np.exp(0.3 * rng.normal(size=count))
    y = rng.poisson(mu).astype(float)
    check = dispersion_check(Poisson(), torch.tensor(y), torch.tensor(np.log(mu)), ones(count), 3.5)
    assert check.value == pytest.approx(((y - mu) ** 2 / mu).sum() / (count - 3.5), rel=1e-10)
    assert check.error == pytest.approx(np.sqrt((2 + (1 / mu).mean()) / count), rel=0.3)
    assert not check.contradicted


def test_counts_that_vary_more_are_told_with_a_likelihood_that_fits():
    rng = np.random.default_rng(0)
    mu = 20.0 * np.exp(0.3 * rng.normal(size=300))
    y, eta = torch.tensor(rng.negative_binomial(1, 1 / (1 + mu)) * 1.0), torch.tensor(np.log(mu))
    check = dispersion_check(Poisson(), y, eta, ones(300), 2.0)
    assert check.contradicted
    assert check.value > 10.0
    assert "try the negative_binomial likelihood with a dispersion near" in check.words
    assert not dispersion_check(NegativeBinomial(1.0), y, eta, ones(300), 2.0).contradicted


def test_counts_that_vary_less_are_told():
    eta = torch.full((200,), np.log(50.0), dtype=torch.float64)
    check = dispersion_check(Poisson(), torch.tensor([50.0, 51.0] * 100).double(), eta, ones(200), 2.0)
    assert check.contradicted
    assert check.value < 0.1
    assert "try" not in check.words


def test_a_noise_that_is_known():
    residuals = torch.tensor(np.random.default_rng(0).normal(size=100))
    assert not noise_check(residuals, 1.0, ones(100), 3.0).contradicted
    check = noise_check(residuals, 0.3, ones(100), 3.0)
    assert check.contradicted
    assert check.value == pytest.approx(float((residuals**2).sum()) / 97 / 0.09)


def test_what_cannot_be_checked_is_not():
    assert dispersion_check(Bernoulli(), ones(50), ones(50), ones(50), 2.0) is None
    assert dispersion_check(Poisson(), ones(12), ones(12), ones(12), 11.0) is None
    assert tail_check(torch.arange(10).double(), ones(10)) is None
    assert tail_check(torch.zeros(50).double(), ones(50)) is None


def test_the_verdict_says_what_it_is_conditional_on():
    bad = noise_check(torch.full((50,), 9.0).double(), 1.0, ones(50), 1.0)
    with pytest.warns(LikelihoodWarning, match="conditional on a likelihood that the data contradict"):
        trust = judge_likelihood(Trust("exact"), [bad])
    assert trust.verdict == "doubtful"
    assert not trust
    assert str(trust).startswith(
        "doubtful: The answer is conditional on a likelihood that the data contradict."
    )
    assert trust.reasons[0] == "If the likelihood held, this would be exact: All models were enumerated."
    assert "Pearson's dispersion" in trust.contradiction
    assert judge_likelihood(Trust("exact"), []) == Trust("exact")
    with pytest.warns(LikelihoodWarning):
        assert judge_likelihood(Trust("wrong", ("No.",)), [bad]).verdict == "wrong"
