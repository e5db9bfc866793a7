"""One word chooses, and the choice is recorded."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from l0bayes.selection import InverseGamma, infer_gates
from l0bayes.selection.engines.choose_engine import choose_engine, sampler_options
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
    assert choose_engine(problem(n=30, p=columns, **changes)) == engine


@pytest.mark.parametrize(("word", "engine"), [("auto", "exact"), ("exact", "exact"), ("gibbs", "gibbs")])
def test_the_choice_is_recorded(word: Any, engine: str) -> None:
    assert infer_gates(problem(), word).engine == engine


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match="engine must be one of auto, svi, exact, gibbs; got 'mcmc'"):
        infer_gates(problem(), "mcmc")  # type: ignore[arg-type]


def test_few_gates_are_asked_for_more() -> None:
    few, many = sampler_options(problem()), sampler_options(problem(n=30, p=100))
    assert few.target_mcse < many.target_mcse
    assert few.steps > many.steps
