r"""What every engine must do, as tests to be inherited.

A subclass gives an engine, and options that are quick; the tests do the rest, on small problems of every kind
that the engine supports, against enumeration::

    class TestGibbs(EngineSuite):
        engine = GibbsEngine()

        def options(self, problem):
            return GibbsOptions(chains=64, steps=600, burn_in=50)
"""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, ClassVar, get_args

import pytest
import torch
from torch import Tensor

from l0bayes.selection import (
    Diagnostics,
    Engine,
    GaussianProblem,
    SelectionPosterior,
    SelectionProblem,
    Trust,
    coefficients_of,
)
from l0bayes.selection.problem.gram import second_moments
from l0bayes.selection.problem.selection_posterior import Evidence
from l0bayes.selection.summaries.credible_sets import credible_sets
from l0bayes.selection.summaries.top_models import top_models
from l0bayes.selection.trust.posterior_trust import trust_of
from l0bayes.testing.engine_problems import GENERALISED, PROBLEMS, many_gates
from l0bayes.testing.engine_reference import ExactPosterior, enumerate_all

__all__ = ["EngineSuite"]

_MOST_ERRORS = 5.0  # Monte Carlo standard errors
_COUNTED = 0.03  # error of the frequency of a model size
# An error that is declared is allowed for, but not one with which nothing could be wrong any more.
_LARGEST_ACCURACY = 0.3
_LARGEST_MCSE = 0.02
_ONE_OF_EACH = ("a known noise", "all at once", "Bernoulli, all at once")


@cache
def _reference(name: str) -> ExactPosterior:
    return enumerate_all(PROBLEMS[name]())


class EngineSuite:
    """Tests of one engine.

    Attributes:
        engine: The engine.
        evidence_error: Largest error of a log evidence, where the engine gives one and models' evidences are
            not in closed form.
    """

    engine: ClassVar[Engine[Any]]
    evidence_error: ClassVar[float] = 5e-3
    _found: ClassVar[dict[str, SelectionPosterior]]
    _shares: ClassVar[dict[str, list[float]]]

    def __init_subclass__(cls) -> None:
        cls._found, cls._shares = {}, {}

    def options(self, problem: SelectionProblem) -> Any:
        """Options to test with: by default those that the engine takes for a problem.

        Args:
            problem: The problem.
        """
        return self.engine.options_for(problem)

    def infer(self, name: str, **keywords: Any) -> SelectionPosterior:
        """The posterior of a problem of the suite; the test is skipped where the engine does not take it.

        Args:
            name: Name of the problem.
            **keywords: Arguments of the engine's ``infer``.
        """
        problem = PROBLEMS[name]()
        options = self.options(problem)
        reason = self.engine.supports(problem, options)
        if reason is not None:
            pytest.skip(reason)
        found = self.engine.infer(problem, options, **keywords)
        assert found.problem is problem
        return found

    def found(self, name: str) -> SelectionPosterior:
        """The posterior of a problem of the suite at the default seed, computed once.

        Args:
            name: Name of the problem.
        """
        if name not in self._found:
            shares: list[float] = []
            self._found[name], self._shares[name] = self.infer(name, progress=shares.append), shares
        return self._found[name]

    # ---- against enumeration ---------------------------------------------------------------------

    @pytest.mark.parametrize("name", PROBLEMS)
    def test_it_agrees_with_enumeration(self, name: str) -> None:
        found, wanted = self.found(name), _reference(name)
        error = self.error(found)
        assert 0.0 <= error <= _LARGEST_ACCURACY, f"accuracy() declares an error of {error}"
        worst = float(found.pip_mcse.nan_to_num(0.0).max())
        assert worst <= _LARGEST_MCSE, f"a standard error of {worst:.3g}: give options that sample longer"
        self.close(found.pip, wanted.pip, error + _MOST_ERRORS * found.pip_mcse.nan_to_num(0.0))
        largest = float(error + _MOST_ERRORS * found.pip_mcse.nan_to_num(0.0).max())
        self.close(found.mean, wanted.mean, 2.0 * largest)
        self.close(found.second_moment, wanted.second_moment, 4.0 * largest)
        # Sizes are counted, not averaged over exact conditionals: a sampler's error in them is larger.
        counted = _COUNTED if bool((found.pip_mcse > 0).any()) else 0.0
        self.close(found.size_probabilities, wanted.size_probabilities, 4.0 * largest + counted)
        if math.isfinite(found.log_evidence):
            closed = found.diagnostics.evidence == "closed form"
            tolerance = 1e-6 if closed else self.evidence_error
            assert found.log_evidence == pytest.approx(wanted.log_evidence, abs=tolerance)

    @pytest.mark.parametrize("name", PROBLEMS)
    def test_its_sample_of_models_agrees_with_its_probabilities(self, name: str) -> None:
        found = self.found(name)
        draws, problem = found.draws, found.problem
        assert draws.gates.shape == (len(draws.weights), problem.num_groups)
        assert bool(((draws.gates == 0) | (draws.gates == 1)).all())
        assert bool((draws.weights >= 0).all())
        assert float(draws.weights.sum()) == pytest.approx(1.0)
        assert draws.chains.shape == draws.variances.shape == draws.weights.shape
        assert bool((draws.variances > 0).all())
        spread = 0.5 / math.sqrt(self.effective_size(found))
        error = self.error(found) + _MOST_ERRORS * (spread + float(found.pip_mcse.nan_to_num(0.0).max()))
        self.close(draws.weights @ draws.gates, found.pip, error)
        self.close(found.joint.diagonal(), found.pip, error)

    @pytest.mark.parametrize("name", PROBLEMS)
    def test_its_numbers_fit_together(self, name: str) -> None:
        found = self.found(name)
        problem = found.problem
        groups, columns = (problem.num_groups,), (problem.num_columns,)
        assert found.engine == self.engine.name
        assert found.pip.shape == found.pip_mcse.shape == groups
        assert found.mean.shape == found.second_moment.shape == columns
        assert found.size_probabilities.shape == (problem.num_groups + 1,)
        assert found.joint.shape == (*groups, *groups)
        assert bool(((found.pip >= 0) & (found.pip <= 1.0 + 1e-9)).all())
        assert bool((found.second_moment >= found.mean.square() - 1e-9).all())
        assert float(found.size_probabilities.sum()) == pytest.approx(1.0)
        if found.unpenalised_mean is not None:
            assert found.unpenalised_mean.shape == (problem.num_unpenalised,)

    # ---- what it says of itself ------------------------------------------------------------------

    def test_it_has_a_name_and_options(self) -> None:
        engine, kind = self.engine, type(self.engine).options
        assert isinstance(engine, Engine)
        assert engine.name.isidentifier()
        assert is_dataclass(kind)
        assert kind.__doc__, f"{kind.__name__} must describe its options in a docstring"
        default = kind()
        with pytest.raises(AttributeError):
            setattr(default, fields(kind)[0].name, None)
        for make in PROBLEMS.values():
            assert type(engine.options_for(make())) is kind

    def test_it_refuses_with_a_reason(self) -> None:
        problems = [*(make() for make in PROBLEMS.values()), *many_gates()]
        for problem in problems:
            reason = self.engine.supports(problem, self.engine.options_for(problem))
            assert reason is None or (isinstance(reason, str) and reason.strip())
            if self.engine.auto_order is not None and self.engine.suits(problem):
                assert reason is None

    @pytest.mark.parametrize("name", _ONE_OF_EACH)
    def test_it_knows_its_error(self, name: str) -> None:
        found = self.found(name)
        diagnostics = found.diagnostics
        assert isinstance(diagnostics, Diagnostics)
        assert is_dataclass(diagnostics)
        assert diagnostics.method
        assert diagnostics.evidence in get_args(Evidence)
        assert diagnostics.evidence != "closed form" or name not in GENERALISED
        trust = diagnostics.verdict(found, seed=1)
        assert isinstance(trust, Trust)
        assert trust == diagnostics.verdict(found, seed=1) == trust_of(found, seed=1)

    @pytest.mark.parametrize("name", _ONE_OF_EACH)
    def test_its_posterior_is_read_by_all(self, name: str) -> None:
        found = self.found(name)
        models, shares = top_models(found, 3)
        assert len(models) == len(shares) <= 3
        credible_sets(found)
        if len(set(found.draws.weights.tolist())) == 1:  # a sample of equal weights is one of coefficients
            coefficients = coefficients_of(found)
            assert coefficients.beta.shape == (len(found.draws.weights), found.problem.num_columns)

    # ---- how it is called ------------------------------------------------------------------------

    @pytest.mark.parametrize("name", _ONE_OF_EACH)
    def test_one_seed_gives_one_posterior(self, name: str) -> None:
        state = torch.get_rng_state()
        again, other = (self.infer(name, seed=seed) for seed in (0, 1))
        assert torch.equal(torch.get_rng_state(), state)
        first = self.found(name)
        for ours, theirs in ((first.pip, again.pip), (first.draws.gates, again.draws.gates)):
            assert torch.equal(ours, theirs)
        assert not torch.equal(first.draws.gates, other.draws.gates)

    @pytest.mark.parametrize("name", _ONE_OF_EACH)
    def test_a_start_does_not_change_the_answer(self, name: str) -> None:
        if not self.engine.takes_start:
            pytest.skip("it takes no start")
        wanted, count = _reference(name), PROBLEMS[name]().num_groups
        for start in (0.02, 0.98):
            found = self.infer(name, start=torch.full((count,), start, dtype=torch.float64))
            error = self.error(found) + _MOST_ERRORS * found.pip_mcse.nan_to_num(0.0)
            self.close(found.pip, wanted.pip, error)

    @pytest.mark.parametrize("name", _ONE_OF_EACH)
    def test_the_problem_is_not_changed(self, name: str) -> None:
        problem, same = self.found(name).problem, PROBLEMS[name]()
        for part in fields(problem):
            value, before = getattr(problem, part.name), getattr(same, part.name)
            if isinstance(value, Tensor):
                assert torch.equal(value, before)
        if isinstance(problem, GaussianProblem):  # what all readers share is computed once and kept
            kept, anew = problem.gram, second_moments(same)
            for part in fields(kept):
                torch.testing.assert_close(getattr(kept, part.name), getattr(anew, part.name))

    @pytest.mark.parametrize("name", _ONE_OF_EACH)
    def test_its_progress_is_shown(self, name: str) -> None:
        self.found(name)
        shares = self._shares[name]
        assert shares == sorted(shares)
        assert shares[0] >= 0.0
        assert shares[-1] == 1.0

    # ---- parts -----------------------------------------------------------------------------------

    def error(self, found: SelectionPosterior) -> float:
        """Error of an inclusion probability that the engine declares.

        Args:
            found: A posterior of it.
        """
        return self.engine.accuracy(found.problem, self.options(found.problem))

    @staticmethod
    def effective_size(found: SelectionPosterior) -> float:
        """Number of independent draws that a sample of models is worth by its weights and repetitions.

        Args:
            found: A posterior.
        """
        return min(200.0, float(1.0 / found.draws.weights.square().sum()))

    @staticmethod
    def close(found: Tensor, wanted: Tensor, error: float | Tensor) -> None:
        """Assert that no entry is further off than an error.

        Args:
            found: What was found.
            wanted: What it should be.
            error: The largest difference, one or one an entry.
        """
        gaps = (found - wanted).abs()
        assert bool((gaps <= error).all()), f"off by up to {float(gaps.max()):.3g}: {found} for {wanted}"
