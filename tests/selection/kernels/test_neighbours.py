"""A look one gate away from the best model that was sampled."""

from __future__ import annotations

import math

import pytest
import torch

from l0bayes.selection.kernels.elimination import all_models
from l0bayes.selection.kernels.gaussian_expansion import ridge_problem
from l0bayes.selection.kernels.laplace import find_modes
from l0bayes.selection.kernels.neighbours import missed_probability
from tests.selection.glm_problems import make_problem


@pytest.mark.parametrize("kind", ["bernoulli", "poisson"])
def test_the_odds_of_what_was_left_out(kind: str) -> None:
    problem = make_problem(kind, 80, 6, seed=4)
    start = ridge_problem(problem)
    models = all_models(6).double()
    every = find_modes(problem, models, start)
    scores = every.log_evidence + problem.prior.log_prob(models)
    best = int(scores.argmax())
    near = (models - models[best]).abs().sum(1) == 1
    order = scores.masked_fill(~near, -math.inf).argsort(descending=True)
    for left_out in (1, 3, 6):  # the best neighbours
        kept = torch.ones(64, dtype=torch.bool)
        kept[order[:left_out]] = False
        odds = missed_probability(problem, start, models[kept], every[kept.nonzero()[:, 0]])
        assert odds == pytest.approx(float((scores[order[0]] - scores[best]).exp()), rel=1e-6)
    assert missed_probability(problem, start, models, every) == 0.0


def test_a_sample_of_the_empty_model_alone_is_found_out() -> None:
    problem = make_problem("poisson", 800, 6, seed=4)
    near = ridge_problem(problem)
    empty = torch.zeros(1, 6, dtype=torch.float64)
    assert missed_probability(problem, near, empty, find_modes(problem, empty, near)) > 10.0
