"""Density, derivatives, means and draws of a likelihood, as tests to be inherited."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy.integrate import quad
from torch import Tensor

from l0bayes.infer.randomness import private_randomness
from l0bayes.likelihoods.likelihood_registry import supports
from l0bayes.testing.likelihood_case import LikelihoodCase

__all__ = ["DensitySuite"]

_DRAWS = 20_000


class DensitySuite(LikelihoodCase):
    """Tests of a likelihood's numbers; what it does not support is skipped."""

    # ---- density ---------------------------------------------------------------------------------

    def test_the_law_is_normalised(self) -> None:
        if supports(self.likelihood(), "draws") is not None:
            pytest.skip("no law of single responses")
        for eta in self.predictors.double():
            total = self.total_probability(eta)
            assert total == pytest.approx(1.0, abs=1e-7), f"at a predictor of {eta}"

    def test_the_density_is_that_of_the_law(self) -> None:
        likelihood = self.with_derivatives()
        y = self.possible.double()
        for eta in self.predictors.double():
            predictor = eta.expand(len(y))
            torch.testing.assert_close(
                likelihood.log_density(y, predictor), self.law(predictor).log_prob(y), rtol=1e-10, atol=1e-10
            )

    def test_derivatives_are_those_of_the_density(self) -> None:
        likelihood = self.with_derivatives()
        y = self.possible.double()
        for start in self.predictors.double():
            eta = start.expand(len(y)).clone().requires_grad_()
            found = likelihood.derivatives(y, eta, 4)
            assert len(found) == 5
            for lower, upper in itertools.pairwise(found):
                (by_autograd,) = (
                    torch.autograd.grad(lower.sum(), eta, retain_graph=True)
                    if lower.requires_grad
                    else (torch.zeros_like(eta),)
                )
                torch.testing.assert_close(upper, by_autograd, rtol=1e-10, atol=1e-10)
            for order in range(5):
                for one, other in zip(likelihood.derivatives(y, eta, order), found, strict=False):
                    torch.testing.assert_close(one, other)

    def test_derivatives_of_several_predictors_at_once(self) -> None:
        likelihood = self.with_derivatives()
        y = self.possible.double()
        eta = self.predictors.double()[:, None].expand(-1, len(y))
        many = likelihood.derivatives(y, eta, 4)
        for row, predictor in enumerate(eta):
            for all_of, one in zip(many, likelihood.derivatives(y, predictor, 4), strict=True):
                assert all_of.shape == eta.shape
                torch.testing.assert_close(all_of[row], one)

    def test_derivatives_are_finite_far_out(self) -> None:
        likelihood = self.with_derivatives()
        y = self.possible.double()
        for eta in (-30.0, 30.0):
            for value in likelihood.derivatives(y, torch.full_like(y, eta), 4):
                assert torch.isfinite(value).all()

    def test_the_log_density_is_concave_where_it_says_so(self) -> None:
        likelihood = self.with_derivatives()
        y = self.possible.double()
        eta = torch.linspace(-6.0, 6.0, 61, dtype=torch.float64)[:, None].expand(-1, len(y))
        second = likelihood.derivatives(y, eta, 2)[2]
        assert bool((second <= 0.0).all()) == likelihood.log_concave

    def test_the_starting_predictor_is_finite(self) -> None:
        likelihood = self.with_derivatives()
        start = likelihood.starting_predictor(self.possible.double())
        assert start.shape == self.possible.shape[:1]
        assert torch.isfinite(start).all()

    def test_what_has_no_derivatives_says_why(self) -> None:
        likelihood = self.likelihood()
        if supports(likelihood, "derivatives") is None:
            pytest.skip("it has derivatives")
        y = self.possible.double()
        with pytest.raises(NotImplementedError, match="has no derivatives: "):
            likelihood.derivatives(y, torch.zeros(len(y), dtype=torch.float64), 2)

    # ---- means and draws -------------------------------------------------------------------------

    def test_link_and_inverse_link(self) -> None:
        likelihood = self.with_draws()
        eta = self.predictors.double()
        means = likelihood.inverse_link(eta)
        torch.testing.assert_close(likelihood.inverse_link(likelihood.link(means)), means)

    def test_draws_have_mean_and_variance(self) -> None:
        likelihood = self.with_draws()
        eta = self.predictors_of_rows()
        with private_randomness(0):
            draws = self.law(eta).sample((_DRAWS,)).double()
        assert not likelihood.impossible(draws).any()
        mean = likelihood.mean(eta)
        if mean.dim() > draws.dim() - 1:  # probabilities of classes
            draws = torch.nn.functional.one_hot(draws.long(), mean.shape[-1]).double()
        self.assert_within_error(draws, mean)
        if not likelihood.unknowns:
            self.assert_within_error((draws - mean).square(), likelihood.variance(eta))

    def total_probability(self, eta: Tensor) -> float:
        """Probability of all responses of the first row."""
        law, y = self.law(eta.expand(len(self.possible), *eta.shape)), self.possible.double().clone()

        def density(value: float) -> float:
            y[0] = value
            return float(law.log_prob(y)[0].exp())

        if self.outcomes is not None:
            return math.fsum(density(value) for value in self.outcomes)
        return float(quad(density, *self.interval, limit=200)[0])

    def assert_within_error(self, draws: Tensor, wanted: Tensor) -> None:
        error = draws.std(0) / math.sqrt(len(draws))
        assert bool(((draws.mean(0) - wanted).abs() <= 5.0 * error + 1e-12).all())
