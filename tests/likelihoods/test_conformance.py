"""Every likelihood of the package through the same tests."""

import math

import torch

from l0bayes.likelihoods import (
    Bernoulli,
    Binomial,
    Categorical,
    Cox,
    Gaussian,
    NegativeBinomial,
    Poisson,
    StudentT,
)
from l0bayes.likelihoods.likelihood_registry import names
from l0bayes.testing.likelihood_suite import LikelihoodSuite

REAL = torch.tensor([-3.0, 0.0, 0.4, 5.0])
NOT_FINITE = (math.nan, math.inf, -math.inf)
COUNTS = torch.tensor([0.0, 1.0, 3.0, 17.0])
NOT_COUNTS = (-1.0, 0.5, math.nan, math.inf)


class TestGaussian(LikelihoodSuite):
    possible, impossible = REAL, NOT_FINITE

    def likelihood(self):
        return Gaussian(noise_scale=0.7)


class TestGaussianOfUnknownNoise(LikelihoodSuite):
    possible, impossible = REAL, NOT_FINITE
    latents = {"noise_variance": 0.8}

    def likelihood(self):
        return Gaussian(noise_prior=(2.0, 0.5))


class TestStudentT(LikelihoodSuite):
    possible, impossible = REAL, NOT_FINITE

    def likelihood(self):
        return StudentT(noise_scale=0.7, df=9.0)


class TestStudentTOfUnknownTails(LikelihoodSuite):
    possible, impossible = REAL, NOT_FINITE
    latents = {"noise_variance": 0.8, "df": 6.0}

    def likelihood(self):
        return StudentT(df="learned")


class TestBernoulli(LikelihoodSuite):
    possible = torch.tensor([0.0, 1.0, 1.0])
    impossible = (0.5, -1.0, 2.0, math.nan)
    outcomes = (0, 1)

    def likelihood(self):
        return Bernoulli()


class TestBernoulliOfShares(LikelihoodSuite):
    possible = torch.tensor([0.0, 0.3, 1.0])
    impossible = (-0.1, 1.1, math.nan)
    outcomes = (0, 1)

    def likelihood(self):
        return Bernoulli(whole=False)

    def test_it_is_recognised_in_a_regression(self):
        """A model shows the law of zeros and ones."""

    def test_the_engines_get_it_from_a_model(self):
        """As above: shares would be refused."""


class TestBinomial(LikelihoodSuite):
    possible = torch.tensor([4.0, 0.0, 1.0, 9.0])
    impossible = (-1.0, 3.0, 0.5, math.nan)
    outcomes = range(7)

    def likelihood(self):
        return Binomial(torch.tensor([6.0, 2.0, 1.0, 9.0]))


class TestBinomialOfOneNumberOfTrials(LikelihoodSuite):
    possible = torch.tensor([4.0, 0.0, 1.0])
    impossible = (-1.0, 6.0, math.nan)
    outcomes = range(6)

    def likelihood(self):
        return Binomial(5)


class TestPoisson(LikelihoodSuite):
    possible, impossible = COUNTS, NOT_COUNTS
    outcomes = range(200)

    def likelihood(self):
        return Poisson()


class TestNegativeBinomial(LikelihoodSuite):
    possible, impossible = COUNTS, NOT_COUNTS
    outcomes = range(400)

    def likelihood(self):
        return NegativeBinomial(0.4)


class TestNegativeBinomialOfUnknownDispersion(LikelihoodSuite):
    possible, impossible = COUNTS, NOT_COUNTS
    outcomes = range(400)
    latents = {"dispersion": 0.3}

    def likelihood(self):
        return NegativeBinomial()


class TestCox(LikelihoodSuite):
    possible = torch.tensor([[2.0, 1.0], [1.0, 0.0], [1.0, 1.0], [4.5, 1.0]])
    impossible = ([-1.0, 1.0], [math.inf, 0.0], [1.0, 0.5], [math.nan, 1.0])

    def likelihood(self):
        return Cox("breslow")


class TestCategorical(LikelihoodSuite):
    possible = torch.tensor([0, 2, 1])
    impossible = (-1.0, 3.0, 0.5)
    outcomes = (0, 1, 2)
    predictors = torch.tensor([[0.0, 0.0, 0.0], [1.0, -2.0, 0.3], [-4.0, 0.1, 2.0]])

    def likelihood(self):
        return Categorical(classes=3)


def test_every_likelihood_is_here():
    suites = [suite for suite in LikelihoodSuite.__subclasses__() if suite.__module__ == __name__]
    assert {suite().likelihood().name for suite in suites} >= set(names())
