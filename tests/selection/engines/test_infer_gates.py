"""An engine is asked for by name; what it does not take is refused by name, with what to do instead."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

import l0bayes
from l0bayes import SpikeSlabRegressor
from l0bayes.apps.select.select_settings import SelectSettings
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Fit
from l0bayes.models import SparseRegression
from l0bayes.selection import (
    Diagnostics,
    Engine,
    ExactOptions,
    GibbsOptions,
    InverseGamma,
    SelectionPosterior,
    SelectionProblem,
    SVIOptions,
    Trust,
    engine_names,
    infer_gates,
    register_engine,
)
from l0bayes.selection.engines import engine_registry
from l0bayes.selection.engines.engine_registry import auto_engines, choose_engine
from l0bayes.selection.trust.posterior_trust import trust_of
from tests.selection.glm_problems import make_problem
from tests.selection.problems import problem


@pytest.mark.parametrize(
    ("columns", "changes", "engine"),
    [
        (12, {}, "exact"),
        (20, {}, "exact"),
        (21, {}, "gibbs"),
        (20, {"noise": InverseGamma()}, "exact"),
        (20, {"noise": InverseGamma(), "slab_scaled_by_noise": True}, "exact"),
        (30, {"groups": torch.arange(30) // 3}, "exact"),
        (51, {"groups": torch.arange(51) // 3}, "gibbs"),  # 17 gates, and nine times the work of columns
    ],
)
def test_auto_takes_all_models_where_that_is_quick(
    columns: int, changes: dict[str, Any], engine: str
) -> None:
    assert choose_engine("auto", problem(n=30, p=columns, **changes)).name == engine


@pytest.mark.parametrize(("columns", "engine"), [(12, "exact"), (13, "gibbs")])
def test_auto_takes_fewer_models_where_each_has_a_mode(columns: int, engine: str) -> None:
    assert choose_engine("auto", make_problem("poisson", 30, columns)).name == engine


@pytest.mark.parametrize(("word", "engine"), [("auto", "exact"), ("exact", "exact"), ("gibbs", "gibbs")])
def test_the_choice_is_recorded(word: Any, engine: str) -> None:
    assert infer_gates(problem(), word).engine == engine


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match="engine must be one of auto, svi, exact, gibbs, wide; got 'mcmc'"):
        infer_gates(problem(), "mcmc")


def test_few_gates_are_asked_for_more() -> None:
    gibbs = engine_registry.engine_by_name("gibbs")
    few, many = gibbs.options_for(problem()), gibbs.options_for(problem(n=30, p=100))
    assert few.target_mcse < many.target_mcse
    assert few.steps > many.steps


# ---- options -----------------------------------------------------------------------------------------


def test_options_of_another_engine_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"engine 'svi' must be SVIOptions; got GibbsOptions.*'gibbs'"):
        infer_gates(problem(), "svi", options=GibbsOptions())
    with pytest.raises(TypeError, match=r"'auto' chose 'exact' for this problem: give engine='gibbs'"):
        infer_gates(problem(), options=GibbsOptions())
    with pytest.raises(
        TypeError, match=r"SVIOptions, ExactOptions, GibbsOptions, WideOptions; got \{'steps': 3\}"
    ):
        infer_gates(problem(), "gibbs", options={"steps": 3})


def test_auto_takes_options_of_the_engine_it_chooses() -> None:
    assert len(infer_gates(problem(), options=ExactOptions(num_draws=77)).draws.weights) == 77


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (21, None, r"2\*\*21 models, and max_gates is 20. Use the engine 'gibbs', or options=ExactOptions\("),
        (21, None, r"--max-gates 21\): 25, the most, take a minute and 3 GB"),
        (26, None, r"Use the engine 'gibbs'; more than 25 gates"),
        (26, ExactOptions(max_gates=25), r"max_gates is 25. Use the engine 'gibbs'; more than 25 gates"),
    ],
)
def test_too_many_gates_are_refused_with_what_to_do(columns: int, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        infer_gates(problem(n=30, p=columns), "exact", options=options)


def test_too_many_gates_of_a_generalised_model() -> None:
    with pytest.raises(ValueError, match=r"max_gates is 16.*max_gates=17\).* 20, the most, take 10 minutes"):
        infer_gates(make_problem("poisson", 30, 17), "exact")
    with pytest.raises(ValueError, match=r"max_gates is 20. Use the engine 'gibbs'; more than 20 gates"):
        infer_gates(make_problem("poisson", 30, 21), "exact", options=ExactOptions(max_gates=24))


def test_more_gates_on_demand() -> None:
    given = problem(n=30, p=5)
    with pytest.raises(ValueError, match="max_gates is 4"):
        infer_gates(given, "exact", options=ExactOptions(max_gates=4))
    assert infer_gates(given, "exact", options=ExactOptions(max_gates=5)).diagnostics.models == 32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ExactOptions(max_gates=26),
            r"max_gates must be at most 25 \(a minute and 3 GB\), got 26",
        ),
        (lambda: ExactOptions(max_gates=0), "max_gates must be at least 1, got 0"),
        (lambda: ExactOptions(num_draws=0), "num_draws must be at least 1, got 0"),
        (lambda: SVIOptions(gate_law="normal"), "gate_law must be one of hard_concrete, .*; got 'normal'"),
        (lambda: GibbsOptions(target_mcse=-1.0), "target_mcse must not be negative, got -1.0"),
        (lambda: GibbsOptions(num_draws=0), "num_draws must be at least 1, got 0"),
    ],
)
def test_options_out_of_range_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("engine", ["exact", "svi"])
def test_a_start_is_refused_where_it_is_not_used(engine: str) -> None:
    start = torch.full((6,), 0.3)
    with pytest.raises(ValueError, match=f"engine '{engine}' takes no start"):
        infer_gates(problem(), engine, start=start)
    assert infer_gates(problem(), start=start).engine == "exact"  # "auto": which does not depend on it


def test_a_start_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"start must have shape \(6,\), got \(5,\)"):
        infer_gates(problem(), "gibbs", start=torch.full((5,), 0.3))
    with pytest.raises(ValueError, match="start must hold probabilities"):
        infer_gates(problem(), "gibbs", start=torch.full((6,), 1.3))


# ---- an engine from outside --------------------------------------------------------------------------


@dataclass(frozen=True)
class GuessOptions:
    pip: float = 0.25


@dataclass(frozen=True)
class NeedyOptions:
    least: float


@dataclass(frozen=True)
class GuessDiagnostics(Diagnostics):
    method: ClassVar[str] = "all gates were guessed"
    remedy: ClassVar[str] = "do not guess"

    @property
    def evidence(self) -> Any:
        return "none"

    def verdict(self, posterior: SelectionPosterior, *, seed: int = 0) -> Trust:
        return Trust("wrong", ("It was guessed.",))


class Guess(Engine[GuessOptions]):
    name = "guess"
    options = GuessOptions

    def supports(self, problem: SelectionProblem, options: GuessOptions) -> str | None:
        return None if problem.num_groups < 10 else "it counts to nine only: use the engine 'gibbs'"

    def accuracy(self, problem: SelectionProblem, options: GuessOptions) -> float:
        return 1.0

    def infer(
        self,
        problem: SelectionProblem,
        options: GuessOptions,
        *,
        start: Tensor | None = None,
        seed: int = 0,
        progress: Any = None,
    ) -> SelectionPosterior:
        exact = infer_gates(problem, "exact", seed=seed, progress=progress)
        pip = torch.full_like(exact.pip, options.pip)
        return replace(exact, engine=self.name, pip=pip, diagnostics=GuessDiagnostics())


@pytest.fixture
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_registry, "_ENGINES", dict(engine_registry._ENGINES))
    register_engine(Guess())


RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(30, 4)), RNG.normal(size=30)


@pytest.mark.usefixtures("_registered")
def test_a_registered_engine_works_by_name() -> None:
    assert engine_names() == ["auto", "svi", "exact", "gibbs", "wide", "guess"]
    assert (infer_gates(problem(), "guess").pip == 0.25).all()
    assert (infer_gates(problem(), "guess", options=GuessOptions(0.5)).pip == 0.5).all()
    with pytest.raises(ValueError, match="engine 'guess' cannot take this problem: it counts to nine only"):
        infer_gates(problem(n=30, p=12), "guess")
    assert str(trust_of(infer_gates(problem(), "guess"))).endswith("It was guessed.")


@pytest.mark.usefixtures("_registered")
def test_a_registered_engine_refines() -> None:
    data = (torch.tensor(X).float(), torch.tensor(Y).float())
    model = SparseRegression(4)
    fit = Fit.of(model, AutoHardConcrete(model, data), data)
    assert (l0bayes.refine(fit, "guess", options=GuessOptions(0.5)).pip("beta") == 0.5).all()


@pytest.mark.usefixtures("_registered")
def test_a_registered_engine_fits_estimators() -> None:
    with pytest.warns(l0bayes.selection.TrustWarning, match=r"It was guessed. Refine them: do not guess"):
        fit = SpikeSlabRegressor(engine="guess", options=GuessOptions(0.5)).fit(X, Y)
    assert (fit.pip_ == 0.5).all()
    assert fit.engine_ == "guess"
    assert fit.posterior_.diagnostics.method == "all gates were guessed"


@pytest.mark.usefixtures("_registered")
def test_a_registered_engine_is_known_to_the_command() -> None:
    assert SelectSettings(engine="guess").engine == "guess"
    with pytest.raises(ValueError, match="one of auto, svi, exact, gibbs, wide, guess; got 'no'"):
        SelectSettings(engine="no")


@pytest.mark.usefixtures("_registered")
def test_auto_asks_engines_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [engine.name for engine in auto_engines()] == ["exact", "wide", "gibbs"]
    monkeypatch.setattr(Guess, "auto_order", -1, raising=False)
    assert choose_engine("auto", problem()).name == "guess"
    assert choose_engine("auto", problem(n=30, p=15)).name == "exact"  # which it does not support


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"name": "auto"}, ValueError, "name 'auto' of Changed is taken by the choice among engines"),
        ({"name": "exact"}, ValueError, r"name 'exact' of Changed is taken by l0bayes\..*ExactEngine"),
        ({"name": "two words"}, ValueError, "name of Changed must be a word, got 'two words'"),
        ({"options": dict}, TypeError, "options of Changed must be a frozen dataclass"),
        ({"options": NeedyOptions}, TypeError, "options of Changed must all have defaults: least"),
    ],
)
def test_what_is_no_engine_is_refused(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    monkeypatch.setattr(engine_registry, "_ENGINES", dict(engine_registry._ENGINES))
    with pytest.raises(error, match=message):
        register_engine(type("Changed", (Guess,), change)())
    with pytest.raises(TypeError, match="engine must be an Engine, got 'exact'"):
        register_engine("exact")  # type: ignore[arg-type]
    register_engine(Guess())
    register_engine(Guess())  # the same class again


# ---- estimators --------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["auto", "gibbs", "exact"])
def test_options_that_an_engine_does_not_use_are_refused(engine: str) -> None:
    message = rf"restarts is an option of the engine 'svi', and engine='{engine}' does not use it"
    with pytest.raises(ValueError, match=message):
        SpikeSlabRegressor(engine=engine, restarts=3).fit(X, Y)


def test_options_and_their_fields_are_not_given_together() -> None:
    with pytest.raises(ValueError, match="give restarts within options, not beside them"):
        SpikeSlabRegressor(engine="svi", restarts=3, options=SVIOptions()).fit(X, Y)
    with pytest.raises(TypeError, match="engine 'svi' must be SVIOptions; got ExactOptions"):
        SpikeSlabRegressor(engine="svi", options=ExactOptions()).fit(X, Y)


@pytest.mark.filterwarnings("ignore::l0bayes.selection.TrustWarning")
def test_estimators_and_refinements_have_the_same_defaults() -> None:
    arguments = {"engine": "svi", "standardize": False, "fit_intercept": False, "noise_scale": 1.0}
    fit = SpikeSlabRegressor(**arguments, random_state=0).fit(X, Y)
    assert len(fit.posterior_.diagnostics.restart_elbo) == SVIOptions().restarts
    named = SpikeSlabRegressor(**arguments, random_state=0, options=SVIOptions()).fit(X, Y)
    assert np.array_equal(fit.pip_, named.pip_)
    model, data = SparseRegression(4), (torch.tensor(X).float(), torch.tensor(Y).float())
    refined = l0bayes.refine(Fit.of(model, AutoHardConcrete(model, data), data), "svi")
    assert len(refined.posterior.diagnostics.restart_elbo) == SVIOptions().restarts
