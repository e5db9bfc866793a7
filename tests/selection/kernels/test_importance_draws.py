"""Proposals of coefficients: their densities, draws in the models' constants, and resampling."""

import math

import pytest
import torch

from l0bayes.selection.kernels.evidence_grid import Evidences
from l0bayes.selection.kernels.gaussian_expansion import ridge_problem
from l0bayes.selection.kernels.importance_draws import ImportanceDraws, ModelProposals, resampled
from l0bayes.selection.kernels.laplace import find_modes
from l0bayes.selection.kernels.split_law import SplitLaw, factors_at, side_scales
from tests.selection.glm_problems import by_grid, make_problem

DOUBLE = torch.float64


@pytest.mark.parametrize("far", [False, True])
def test_a_split_law_has_the_density_that_it_says(far):
    """The mean of p / q over draws from q is 1 for any density p, here a Normal one; and the sides differ."""
    torch.manual_seed(0)
    factor = torch.tensor([[[2.0, 0.0, 0.0], [0.7, 0.5, 0.0], [0.0, 0.0, 1.0]]], dtype=DOUBLE)
    low, high = torch.tensor([[1.0, 3.0, 1.0]]).double(), torch.tensor([[2.0, 0.7, 1.0]]).double()
    mode, held = torch.tensor([[0.5, -1.0, 0.0]]).double(), torch.tensor([[True, True, False]])
    law = SplitLaw(mode, factor, low, high, held, far)
    values, logs = law.draw(torch.zeros(60_000, dtype=torch.long))
    assert bool((values[:, 2] == 0).all())
    precision = (factor @ factor.mT)[0, :2, :2]
    away = values[:, :2] - mode[0, :2]
    normal = -0.5 * ((away @ precision) * away).sum(1) + 0.5 * torch.logdet(precision) - math.log(2 * math.pi)
    ratio = (normal - logs).exp()
    assert float(ratio.mean()) == pytest.approx(1.0, abs=5.0 * float(ratio.std()) / 60_000**0.5)
    below = (away @ factor[0, :2, :2] < 0).double().mean(0)
    torch.testing.assert_close(below, (low / (low + high))[0, :2], atol=0.01, rtol=0.0)


def test_sides_of_a_skewed_law():
    """Of counts without events the log density falls fast to the right and slowly to the left."""
    problem = make_problem("poisson", 10, 1)
    problem = problem.replace(y=torch.zeros(10), unpenalised_scale=torch.tensor([10.0]))
    modes = find_modes(problem, torch.zeros(1, 1), ridge_problem(problem))
    low, high = side_scales(problem, modes, factors_at(problem, modes))
    assert float(low) > 2.0
    assert float(high) <= 1.0


@pytest.mark.parametrize("kind", ["bernoulli", "poisson"])
def test_ratios_average_to_the_evidence(kind):
    torch.manual_seed(1)
    problem = make_problem(kind, 15, 1, seed=3)
    gates = torch.tensor([[0.0], [1.0]])
    modes = find_modes(problem, gates, ridge_problem(problem))
    evidences = Evidences.of_one(problem, modes)
    draws = ModelProposals(evidences, torch.tensor([True, True])).draw(torch.tensor([4000, 8000]))
    for model, columns in enumerate((torch.arange(1), torch.arange(2))):
        wanted, mean, _ = by_grid(problem, columns)
        own = draws.model == model
        logs = draws.log_ratio[own]
        found = float(logs.logsumexp(0)) - math.log(int(own.sum()))
        error = float(logs.softmax(0).square().sum().sqrt())
        assert found == pytest.approx(wanted, abs=5.0 * error)
        values = draws.values[own][:, : len(columns)]
        torch.testing.assert_close(logs.softmax(0) @ values, mean, atol=0.06, rtol=0.0)


def test_resampling_is_by_ratio_within_each_model():
    torch.manual_seed(2)
    model = torch.tensor([0, 0, 0, 1, 1, 2])
    ratio = torch.tensor([0.2, 0.0, 0.8, 0.5, 0.5, 1e-300], dtype=DOUBLE)
    draws = ImportanceDraws(model, torch.zeros_like(model), torch.zeros(6, 1), ratio.log() + 700.0)
    counts = torch.tensor([1000, 3, 0])
    chosen = resampled(draws, counts)
    assert torch.equal(torch.bincount(model[chosen], minlength=3), counts)
    often = torch.bincount(chosen, minlength=6)
    assert often[:3].tolist() == pytest.approx([200, 0, 800], abs=1)
    assert int(often[5]) == 0
    ordinary = resampled(draws, torch.tensor([0, 0, 4]))
    assert ordinary.tolist() == [5] * 4
