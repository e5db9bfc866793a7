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
import pickle
from typing import Any, get_args

import pytest
import torch
from pyro import poutine
from torch import Tensor

from l0bayes.infer.objectives.latent_draws import Given
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
from l0bayes.sites.site_kinds import inner_law
from l0bayes.testing.density_suite import DensitySuite

__all__ = ["LikelihoodSuite"]


class LikelihoodSuite(DensitySuite):
    """Tests of one likelihood with some options; what it does not support is skipped."""

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

    # ---- recognition -----------------------------------------------------------------------------

    def test_it_is_recognised_in_a_regression(self) -> None:
        likelihood, (model, data) = self.likelihood(), self.regression()
        with Given(self.latent_values()):
            trace: Any = poutine.trace(model).get_trace(*data)
        law = inner_law(trace.nodes["y"]["fn"])
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
        model, data = self.regression()
        problem: Any = read_linear_model(model, data).problem
        torch.testing.assert_close(problem.x, data[0], rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(problem.y, self.possible.double())
        if likelihood.conjugate:
            assert problem.noise == pytest.approx(likelihood.settings["noise_scale"])
        else:
            _same_settings(problem.likelihood, likelihood)

    def regression(self) -> tuple[SparseRegression, tuple[Any, ...]]:
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
