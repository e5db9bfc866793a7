r"""What every likelihood must do, as tests to be inherited.

A subclass gives a likelihood, responses, and what is known of them::

    class TestExponential(LikelihoodSuite):
        possible = torch.tensor([0.1, 1.0, 7.0])
        impossible = (-1.0, 0.0, math.nan)
        interval = (0.0, math.inf)

        def likelihood(self):
            return Exponential()
"""

from __future__ import annotations

import copy
import itertools
import math
import pickle
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, get_args

import pytest
import torch
from pyro import poutine
from scipy.integrate import quad
from torch import Tensor
from torch.distributions import Independent

from l0bayes.infer.objectives.latent_draws import Given
from l0bayes.infer.randomness import private_randomness
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_registry import (
    Use,
    likelihood_by_name,
    likelihood_of_law,
    names,
    registered,
    supports,
)
from l0bayes.models.regression import SparseRegression
from l0bayes.selection.recognise.linear_model import read_linear_model

__all__ = ["LikelihoodSuite"]

_DRAWS = 20_000


class LikelihoodSuite:
    """Tests of one likelihood with some options; what it says it does not support is skipped.

    Attributes:
        possible: Responses of n rows, at least 3, shape ``(n, *response_shape)``.
        impossible: Rows that cannot be observed.
        outcomes: All responses, up to where the rest has no probability; ``None`` for a continuous law.
        interval: Between what a continuous response lies.
        predictors: Values of η that are tried, none of them 0, where autograd takes a kink for a slope; of
            shape ``(m, classes)`` where each class has one.
        latents: Values of the latents that the likelihood samples, by site.
    """

    possible: ClassVar[Tensor]
    impossible: ClassVar[Sequence[Any]]
    outcomes: ClassVar[Sequence[float] | None] = None
    interval: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    predictors: ClassVar[Tensor] = torch.tensor([-2.0, -0.3, 0.05, 0.4, 1.5])
    latents: ClassVar[Mapping[str, float]] = {}

    def likelihood(self) -> Likelihood:
        """The likelihood that is tested."""
        raise NotImplementedError("a suite must define likelihood()")

    # ---- name, options, words --------------------------------------------------------------------

    def test_it_is_known_by_its_name(self) -> None:
        likelihood = self.likelihood()
        assert likelihood.name in names()
        assert registered(likelihood.name) is type(likelihood)
        again = likelihood_by_name(likelihood.name, **likelihood.settings)
        _same_settings(again, likelihood)
        with pytest.raises(ValueError, match=f"the {likelihood.name} likelihood has no option 'colour'"):
            likelihood_by_name(likelihood.name, colour="red")

    def test_copies_and_pickles_have_the_same_options(self) -> None:
        likelihood = self.likelihood()
        for other in (copy.deepcopy(likelihood), pickle.loads(pickle.dumps(likelihood))):
            _same_settings(other, likelihood)
        assert repr(likelihood).startswith(f"{type(likelihood).__name__}(")

    def test_it_has_words(self) -> None:
        likelihood = self.likelihood()
        words = likelihood.words
        for text in (words.kind, words.formula, words.effects, words.summary, likelihood.accepts):
            assert text.strip()
        assert "<" not in words.html().replace("<sub>", "").replace("</sub>", "")
        assert "<" not in words.plain()
        assert "{" not in words.plain("yes")

    def test_it_gives_reasons(self) -> None:
        likelihood = self.likelihood()
        for use in get_args(Use):
            reason = supports(likelihood, use)
            assert reason is None or reason.strip()
            assert (likelihood.name in names(use)) == (supports(type(likelihood)(), use) is None)

    # ---- what can be observed --------------------------------------------------------------------

    def test_possible_responses_are_accepted(self) -> None:
        likelihood, y = self.likelihood(), self.possible.double()
        likelihood.check(y)
        likelihood.fractional().check(y)
        assert not likelihood.impossible(y).any()

    def test_impossible_responses_are_refused_by_row(self) -> None:
        likelihood = self.likelihood()
        for row in self.impossible:
            y = self.possible.double().clone()
            y[1] = torch.as_tensor(row, dtype=torch.float64)
            wrong = likelihood.impossible(y)
            assert wrong[1].any()
            assert not wrong[0].any()
            with pytest.raises(ValueError, match=r"must hold .*; got .* the first in row 1\)"):
                likelihood.check(y)

    def test_trials_are_for_those_that_take_them(self) -> None:
        likelihood = self.likelihood()
        trials = torch.full(self.possible.shape[:1], 9.0)
        if likelihood.takes_trials:
            likelihood.with_trials(trials).check(self.possible.double().clamp(max=9.0))
        else:
            with pytest.raises(ValueError, match="trials must be None"):
                likelihood.with_trials(trials)
        assert likelihood.with_trials(None) is likelihood

    # ---- density ---------------------------------------------------------------------------------

    def test_the_law_is_normalised(self) -> None:
        if supports(self.likelihood(), "draws") is not None:
            pytest.skip("no law of single responses")
        for eta in self.predictors.double():
            total = self._total(eta)
            assert total == pytest.approx(1.0, abs=1e-7), f"at a predictor of {eta}"

    def test_the_density_is_that_of_the_law(self) -> None:
        likelihood = self._with_derivatives()
        y = self.possible.double()
        for eta in self.predictors.double():
            predictor = eta.expand(len(y))
            torch.testing.assert_close(
                likelihood.log_density(y, predictor), self.law(predictor).log_prob(y), rtol=1e-10, atol=1e-10
            )

    def test_derivatives_are_those_of_the_density(self) -> None:
        likelihood = self._with_derivatives()
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
        likelihood = self._with_derivatives()
        y = self.possible.double()
        eta = self.predictors.double()[:, None].expand(-1, len(y))
        many = likelihood.derivatives(y, eta, 4)
        for row, predictor in enumerate(eta):
            for all_of, one in zip(many, likelihood.derivatives(y, predictor, 4), strict=True):
                assert all_of.shape == eta.shape
                torch.testing.assert_close(all_of[row], one)

    def test_derivatives_are_finite_far_out(self) -> None:
        likelihood = self._with_derivatives()
        y = self.possible.double()
        for eta in (-30.0, 30.0):
            for value in likelihood.derivatives(y, torch.full_like(y, eta), 4):
                assert torch.isfinite(value).all()

    def test_the_log_density_is_concave_where_it_says_so(self) -> None:
        likelihood = self._with_derivatives()
        y = self.possible.double()
        eta = torch.linspace(-6.0, 6.0, 61, dtype=torch.float64)[:, None].expand(-1, len(y))
        second = likelihood.derivatives(y, eta, 2)[2]
        assert bool((second <= 0.0).all()) == likelihood.log_concave

    def test_the_starting_predictor_is_finite(self) -> None:
        likelihood = self._with_derivatives()
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
        likelihood = self._with_draws()
        eta = self.predictors.double()
        means = likelihood.inverse_link(eta)
        torch.testing.assert_close(likelihood.inverse_link(likelihood.link(means)), means)

    def test_draws_have_mean_and_variance(self) -> None:
        likelihood = self._with_draws()
        eta = self._predictors_of_rows()
        with private_randomness(0):
            draws = self.law(eta).sample((_DRAWS,)).double()
        assert not likelihood.impossible(draws).any()
        mean = likelihood.mean(eta)
        if mean.dim() > draws.dim() - 1:  # probabilities of classes
            draws = torch.nn.functional.one_hot(draws.long(), mean.shape[-1]).double()
        self._within_error(draws, mean)
        if not likelihood.unknowns:
            self._within_error((draws - mean).square(), likelihood.variance(eta))

    # ---- recognition -----------------------------------------------------------------------------

    def test_it_is_recognised_in_a_regression(self) -> None:
        likelihood, (model, data) = self.likelihood(), self._regression()
        with Given(self._latent_values()):
            trace: Any = poutine.trace(model).get_trace(*data)
        law = trace.nodes["y"]["fn"]
        while isinstance(law, Independent):
            law = law.base_dist
        kind = likelihood_of_law(law)
        assert kind is type(likelihood)
        eta = trace.nodes["_RETURN"]["value"]
        torch.testing.assert_close(kind.predictor_of(law), eta, rtol=1e-9, atol=1e-9)
        precision = kind.precision_of(law)
        assert bool((precision.rounding_error(eta) < 1e-6).all())
        found = kind.of_law(law, lambda value: value.expand(eta.shape).double())
        assert type(found) is type(likelihood)
        if not likelihood.unknowns:
            _same_settings(found, likelihood)

    def test_the_engines_get_it_from_a_model(self) -> None:
        likelihood = self.likelihood()
        if supports(likelihood, "selection") is not None or likelihood.unknowns:
            pytest.skip("no selection with it")
        model, data = self._regression()
        problem = read_linear_model(model, data).problem
        torch.testing.assert_close(problem.x, data[0], rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(problem.y, self.possible.double())
        if likelihood.conjugate:
            assert problem.noise == pytest.approx(likelihood.settings["noise_scale"])
        else:
            _same_settings(problem.likelihood, likelihood)  # type: ignore[attr-defined]

    # ---- parts -----------------------------------------------------------------------------------

    def law(self, eta: Tensor) -> Any:
        """The Pyro law at a predictor.

        Args:
            eta: η.
        """
        likelihood = self.likelihood()
        with Given(self._latent_values()):
            return likelihood.law(eta, likelihood.latents(eta.new_ones(())))

    def _latent_values(self) -> dict[str, Tensor]:
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in self.latents.items()}

    def _with_derivatives(self) -> Likelihood:
        likelihood = self.likelihood()
        reason = supports(likelihood, "derivatives")
        if reason is not None:
            pytest.skip(reason)
        return likelihood

    def _with_draws(self) -> Likelihood:
        likelihood = self.likelihood()
        reason = supports(likelihood, "draws")
        if reason is not None:
            pytest.skip(reason)
        return likelihood

    def _predictors_of_rows(self) -> Tensor:
        """One predictor a row of ``possible``, which fixes what is known of rows."""
        count = len(self.possible)
        return self.predictors.double().repeat(count, *[1] * (self.predictors.dim() - 1))[:count]

    def _total(self, eta: Tensor) -> float:
        """Probability of all responses of the first row."""
        law, y = self.law(eta.expand(len(self.possible), *eta.shape)), self.possible.double().clone()

        def density(value: float) -> float:
            y[0] = value
            return float(law.log_prob(y)[0].exp())

        if self.outcomes is not None:
            return math.fsum(density(value) for value in self.outcomes)
        return float(quad(density, *self.interval, limit=200)[0])

    def _within_error(self, draws: Tensor, wanted: Tensor) -> None:
        error = draws.std(0) / math.sqrt(len(draws))
        assert bool(((draws.mean(0) - wanted).abs() <= 5.0 * error + 1e-12).all())

    def _regression(self) -> tuple[SparseRegression, tuple[Any, ...]]:
        likelihood = self.likelihood()
        reason = supports(likelihood, "regression")
        if reason is not None:
            pytest.skip(reason)
        count = len(self.possible)
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(count, 2, generator=generator, dtype=torch.float64)
        offset = 0.1 * torch.randn(count, generator=generator, dtype=torch.float64)
        return SparseRegression(2, likelihood, inclusion=0.4), (x, self.possible.double(), offset)


def _same_settings(found: Likelihood, wanted: Likelihood) -> None:
    assert type(found) is type(wanted)
    assert found.settings.keys() == wanted.settings.keys()
    for name, value in wanted.settings.items():
        if isinstance(value, Tensor):
            other = torch.as_tensor(found.settings[name], dtype=value.dtype)
            torch.testing.assert_close(other, value.expand(other.shape))
        else:
            numbers = isinstance(value, float | tuple)
            assert found.settings[name] == (pytest.approx(value) if numbers else value)
