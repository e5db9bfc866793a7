from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from l0bayes.likelihoods import Bernoulli, Binomial, Likelihood, NegativeBinomial, Poisson, StudentT
from l0bayes.selection import infer_gates
from l0bayes.selection.problem.generalised_problem import working_problem
from tests.selection.glm_problems import make_problem

CASES = [
    (Bernoulli(), [0.0, 1.0]),
    (Binomial(4), [0.0, 1.0, 4.0]),
    (Poisson(), [0.0, 1.0, 7.0]),
    (NegativeBinomial(0.4), [0.0, 1.0, 7.0]),
]


@pytest.mark.parametrize(("likelihood", "values"), CASES)
def test_derivatives_are_those_of_the_log_density(likelihood: Likelihood, values: list[float]) -> None:
    for value in values:
        y = torch.full((9,), value, dtype=torch.float64)
        eta = torch.linspace(-4.0, 4.1, 9, dtype=torch.float64, requires_grad=True)
        found = likelihood.derivatives(y, eta, 4)
        assert len(found) == 5
        for lower, upper in itertools.pairwise(found):
            (by_autograd,) = torch.autograd.grad(lower.sum(), eta, retain_graph=True)
            torch.testing.assert_close(upper, by_autograd, rtol=1e-12, atol=1e-12)
        assert len(likelihood.derivatives(y, eta, 2)) == 3


@pytest.mark.parametrize(("likelihood", "values"), CASES)
def test_probabilities_sum_to_one(likelihood: Likelihood, values: list[float]) -> None:
    top = {Bernoulli: 1, Binomial: 4}.get(type(likelihood), 400)
    y = torch.arange(top + 1, dtype=torch.float64)
    for eta in (-2.0, 0.0, 2.0):
        total = likelihood.log_density(y, torch.full_like(y, eta)).exp().sum()
        assert float(total) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("eta", [50.0, 300.0])
def test_nothing_is_lost_far_out(eta: float) -> None:
    """At η = 50 the curvature of a logistic law is e^-50 to rounding, not 0 and not 1e-16."""
    for sign in (-1.0, 1.0):
        at = torch.tensor([sign * eta], dtype=torch.float64)
        y = torch.tensor([1.0 if sign > 0 else 0.0], dtype=torch.float64)
        value, first, second, third, fourth = Bernoulli().derivatives(y, at, 4)
        tail = math.exp(-eta)
        for got, wanted in (
            (value, -tail), (first, sign * tail), (second, -tail), (third, sign * tail), (fourth, -tail),
        ):  # fmt: skip
            assert float(got) == pytest.approx(wanted, rel=1e-12)
    far = torch.tensor([-eta, eta], dtype=torch.float64)
    for likelihood, values in CASES:
        y = torch.full((2,), values[1], dtype=torch.float64)
        assert all(bool(torch.isfinite(part).all()) for part in likelihood.derivatives(y, far, 4))


def test_a_small_dispersion_is_poisson() -> None:
    y = torch.arange(8, dtype=torch.float64)
    eta = torch.linspace(-1.0, 2.0, 8, dtype=torch.float64)
    almost = NegativeBinomial(1e-7).derivatives(y, eta, 4)
    for got, wanted in zip(almost, Poisson().derivatives(y, eta, 4), strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)


def test_bernoulli_is_a_binomial_of_one_trial() -> None:
    y, eta = torch.tensor([0.0, 1.0, 1.0]).double(), torch.tensor([-1.0, 0.3, 40.0]).double()
    for one, other in zip(
        Bernoulli().derivatives(y, eta, 4), Binomial(1).derivatives(y, eta, 4), strict=True
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("likelihood", "y", "match"),
    [
        (Bernoulli(), [0.0, 0.5], "zeros and ones for the bernoulli likelihood; got 0.5 .*in row 1"),
        (Binomial(3), [0.0, 4.0], "number of trials for the binomial likelihood; got 4.0 .*in row 1"),
        (Poisson(), [0.0, -1.0], "counts"),
        (NegativeBinomial(1.0), [0.0, 1.5], "counts"),
        (Binomial(torch.tensor([1, 2, 3])), [0.0, 1.0], "trials must have shape"),
    ],
)
def test_impossible_responses(likelihood: Likelihood, y: list[float], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        likelihood.check(torch.tensor(y, dtype=torch.float64))


def test_impossible_parameters() -> None:
    with pytest.raises(ValueError, match="trials"):
        Binomial(0)
    with pytest.raises(ValueError, match="trials"):
        Binomial(torch.tensor([1.5]))
    with pytest.raises(
        ValueError, match=r"trials must hold whole numbers, not negative; got nan .* in row 1"
    ):
        Binomial(torch.tensor([1.0, math.nan, 2.0]))
    for dispersion in (0.0, -1.0, math.inf):
        with pytest.raises(ValueError, match="dispersion"):
            NegativeBinomial(dispersion)


def test_a_row_without_trials_says_nothing() -> None:
    given = make_problem("binomial", 40, 4)
    trials = given.likelihood.trials  # type: ignore[attr-defined]
    row = torch.full((1, 4), 30.0, dtype=torch.float64)
    more = given.replace(
        x=torch.cat([given.x, row]),
        y=torch.cat([given.y, row[:, 0] * 0]),
        unpenalised=torch.ones(41, 1),
        offset=torch.zeros(41),
        weights=torch.ones(41),
        likelihood=Binomial(torch.cat([trials, row[:, 0] * 0])),
    )
    with_row, without = infer_gates(more, "exact"), infer_gates(given, "exact")
    torch.testing.assert_close(with_row.pip, without.pip, rtol=0, atol=1e-8)
    assert with_row.log_evidence == pytest.approx(without.log_evidence, abs=1e-6)


def test_problems_say_what_they_cannot() -> None:
    problem = make_problem("bernoulli", 20, 3)
    assert Poisson().supports_selection() is None
    assert StudentT(0.5).supports_selection() is None
    for wrong in ("student_t", StudentT(), NegativeBinomial()):
        with pytest.raises(TypeError, match="no refinement"):
            problem.replace(likelihood=wrong)
    with pytest.raises(ValueError, match="zeros and ones"):
        problem.replace(y=problem.y + 2.0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'noise'"):
        problem.replace(noise=2.0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'slab_scaled_by_noise'"):
        problem.replace(slab_scaled_by_noise=True)
    assert not problem.replace(y=1.0 - problem.y).is_gaussian


@pytest.mark.parametrize("kind", ["bernoulli", "poisson"])
def test_the_working_problem_has_the_same_slope_and_curvature(kind: str) -> None:
    problem = make_problem(kind, 30, 3)
    problem = problem.replace(weights=torch.linspace(0.5, 2.0, 30), offset=torch.linspace(-1.0, 1.0, 30))
    eta = torch.linspace(-2.0, 2.0, 30, dtype=torch.float64)
    working = working_problem(problem, eta)
    _, first, second = problem.likelihood.derivatives(problem.y, eta, 2)

    def close(got: Tensor, wanted: Tensor) -> None:
        torch.testing.assert_close(got, wanted * problem.weights, rtol=1e-9, atol=1e-9)

    close(working.weights, -second)
    close(working.weights * (working.y - eta), first)
