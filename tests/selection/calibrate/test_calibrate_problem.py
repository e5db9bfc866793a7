"""Calibration of problems before data: right posteriors pass, wrong ones are caught and named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from l0bayes.likelihoods import Bernoulli, Poisson
from l0bayes.selection import (
    ExactOptions,
    GateRestriction,
    GaussianProblem,
    GeneralisedProblem,
    InclusionPrior,
    InverseGamma,
    ZellnerProblem,
    coefficients_of,
    infer_gates,
)
from l0bayes.selection.calibrate import simulated_fits
from l0bayes.selection.calibrate.calibrate_problem import calibrate_problem
from l0bayes.selection.calibrate.calibration_result import Calibration
from l0bayes.selection.calibrate.gate_draws import drawn_gates
from l0bayes.selection.calibrate.prior_draws import prior_draws
from l0bayes.selection.kernels.elimination import all_models
from l0bayes.selection.problem.inclusion_prior import BetaBlocks
from l0bayes.selection.slab_priors.local_empirical_g import LocalEmpiricalG
from l0bayes.selection.slab_priors.slab_registry import slab_prior

DOUBLE = torch.float64
ONES = torch.ones(25, 1)
FLAT = {"unpenalised": ONES, "unpenalised_scale": torch.tensor([torch.inf])}
EVEN = InclusionPrior(beta=(1.0, 1.0))
FEW = {"engine": "exact", "options": ExactOptions(num_draws=500)}


def design(n: int = 25, p: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(n, p, generator=generator, dtype=DOUBLE)
    x[:, 1] = x[:, 0] + 0.4 * x[:, 1]
    return x


def gaussian(**changes: Any) -> GaussianProblem:
    x = design()
    settings: dict[str, Any] = {
        "prior": InclusionPrior(beta=(1.0, 1.0)),
        "slab_scale": torch.full((4,), 0.7),
        "noise": 1.0,
    }
    return GaussianProblem(x, torch.zeros(len(x)), **{**settings, **changes})


def calibrated(problem: Any, sets: int = 60, **changes: Any) -> Calibration:
    return calibrate_problem(problem, num_datasets=sets, seed=3, **{**FEW, **changes})


@pytest.mark.parametrize(
    "problem",
    [
        gaussian(),
        gaussian(noise=InverseGamma(3.0, 2.0), unpenalised=ONES, unpenalised_scale=torch.tensor([2.0])),
        GeneralisedProblem(design(), torch.zeros(25), EVEN, torch.ones(4), likelihood=Bernoulli()),
    ],
    ids=["known noise", "unknown noise, intercept", "logistic"],
)
def test_right_posteriors_pass(problem: Any) -> None:
    found = calibrated(problem, 40)
    assert found.right
    assert "Nothing speaks against the posteriors" in found.words
    table = found.to_frame()
    assert list(table.columns) == ["promised", "realised", "low", "high", "count"]
    assert int(table.loc["inclusion", "count"].sum()) == 40 * 4
    inside = (table["realised"] >= table["low"]) & (table["realised"] <= table["high"])
    assert inside[table["count"] > 20].mean() > 0.75
    assert set(found.power.columns[3:]) == {"found by PIP > 0.5", "found by Bayesian FDR ≤ 10 %"}


def wrong_pips(change: Any) -> Any:
    def infer(*args: Any, **options: Any) -> Any:
        posterior = infer_gates(*args, **options)
        return replace(posterior, pip=torch.sigmoid(change(torch.logit(posterior.pip.clamp(1e-9, 1 - 1e-9)))))

    return infer


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda odds: 3.0 * odds, "the inclusion probabilities are too sure"),
        (lambda odds: 0.1 * odds, "the inclusion probabilities are too cautious"),
        (lambda odds: odds + 1.5, "fewer gates were open than the inclusion probabilities say"),
    ],
    ids=["tempered", "flattened", "shifted"],
)
def test_wrong_inclusion_probabilities_are_caught(change: Any, words: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(simulated_fits, "infer_gates", wrong_pips(change))
    found = calibrated(gaussian(), 80)
    assert not found.right
    assert "The posteriors are wrong for this design and prior" in found.words
    assert words in found.words
    assert found.tests["adjusted"].iloc[0] < 0.02


@pytest.mark.parametrize(
    ("shift", "width", "words"),
    [
        (0.0, 0.5, "conditional intervals are too narrow"),
        (0.0, 2.0, "conditional intervals are too wide"),
        (0.4, 1.0, "coefficients are below what their intervals say"),
    ],
    ids=["narrow", "wide", "shifted"],
)
def test_wrong_intervals_are_caught(shift: float, width: float, words: str, monkeypatch: Any) -> None:
    def changed(*args: Any, **options: Any) -> Any:
        known = coefficients_of(*args, **options)
        mean = known.conditional_mean
        moved = mean + shift * known.conditional_sd + width * (known.conditional_draws - mean)
        return replace(known, conditional_draws=moved)

    monkeypatch.setattr(simulated_fits, "coefficients_of", changed)
    found = calibrated(gaussian(), 80)
    assert not found.right
    assert words in found.words


def test_a_posterior_that_does_not_heed_the_data_is_caught(monkeypatch: Any) -> None:
    """The prior itself is calibrated in everything but the fit."""

    def heedless(problem: Any, *args: Any, **options: Any) -> Any:
        noise = torch.randn(len(problem.y), dtype=DOUBLE)
        unheard = problem.replace(y=noise, weights=torch.full((len(noise),), 1e-12))
        return infer_gates(unheard, *args, **options)

    monkeypatch.setattr(simulated_fits, "infer_gates", heedless)
    found = calibrated(gaussian(), 80)
    assert not found.right
    assert found.tests["adjusted"]["log likelihood"] < 0.02


@pytest.mark.parametrize(
    "prior",
    [
        InclusionPrior(log_odds=torch.tensor([-1.0, 0.5, 0.0, 2.0], dtype=DOUBLE)),
        InclusionPrior(beta=(1.0, 3.0)),
        InclusionPrior(
            blocks=BetaBlocks(torch.tensor([0, 0, 1, 1]), torch.tensor([1.0, 2.0]), torch.tensor([1.0, 5.0]))
        ),
        InclusionPrior(
            beta=(1.0, 1.0),
            restriction=GateRestriction(torch.tensor([True, False, False, False]), [(), (), (), (1, 2)]),
        ),
    ],
    ids=["odds", "beta", "blocks", "heredity"],
)
def test_gates_are_drawn_from_their_prior(prior: InclusionPrior) -> None:
    torch.manual_seed(0)
    count = 1500
    drawn = torch.stack([drawn_gates(prior, 4) for _ in range(count)])
    wanted = prior.log_prob(all_models(4).double()).exp()
    index = (drawn @ (2.0 ** torch.arange(4, dtype=DOUBLE))).long()
    share = torch.bincount(index, minlength=16) / count
    assert ((share - wanted).abs() <= 4.5 * (wanted * (1 - wanted) / count).sqrt() + 1e-9).all()


def test_coefficients_and_noise_are_drawn_from_theirs() -> None:
    torch.manual_seed(0)
    source = prior_draws(gaussian(noise=InverseGamma(4.0, 3.0), slab_scaled_by_noise=True))
    draws = [source.draw() for _ in range(2000)]
    variances = torch.tensor([one.variance for one in draws])
    assert float((1.0 / variances).mean()) == pytest.approx(4.0 / 3.0, rel=0.06)
    scaled = torch.stack([one.beta for one in draws]) / (0.7 * variances.sqrt()[:, None])
    opened = scaled[scaled != 0]
    assert float(opened.std()) == pytest.approx(1.0, rel=0.06)
    assert float((scaled != 0).double().mean()) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("name", ["g", "hyper-g", "hyper-g/n", "jzs"])
def test_zellners_slabs_are_drawn_with_their_g(name: str) -> None:
    torch.manual_seed(0)
    x = design()
    y = torch.randn(25, dtype=DOUBLE)
    given = ZellnerProblem(
        x, y, InclusionPrior(beta=(1.0, 1.0)), unpenalised=torch.ones(25, 1), slab=slab_prior(name)
    )
    rule = given.slab.prior_rule(given.setting)
    assert float(rule.log_mass.exp().sum()) == pytest.approx(1.0)
    source = prior_draws(given)
    if name == "g":  # of Mahalanobis' squares the mean is g times the rank
        draws = [source.draw() for _ in range(600)]
        squares = sum(float(one.beta @ given.system.matrix @ one.beta) for one in draws)
        assert squares / sum(float(one.gates.sum()) for one in draws) == pytest.approx(25.0, rel=0.1)
    found = calibrate_problem(given, "exact", options=ExactOptions(num_draws=500), num_datasets=8, seed=4)
    assert found.right
    assert "on which no answer depends" in found.words


def test_what_is_held_is_said() -> None:
    found = calibrated(gaussian(noise=InverseGamma.weak(), **FLAT), 3)
    held = "Held and not drawn: the intercept at 0, at the mean of the columns; the noise at σ = 0.707"
    assert held in found.words
    counts = GeneralisedProblem(
        design(), torch.zeros(25), EVEN, torch.full((4,), 0.5),
        unpenalised=ONES, unpenalised_scale=torch.tensor([10.0]), likelihood=Poisson(),
    )  # fmt: skip
    assert "the intercept at 1.5" in calibrated(counts, 3, intercept=1.5).words


def test_what_cannot_be_drawn_is_refused_by_name() -> None:
    flat = gaussian(**FLAT)
    with pytest.raises(ValueError, match="intercept='prior' needs a prior to draw from"):
        calibrated(flat, 3, intercept="prior")
    x = design()
    with pytest.raises(ValueError, match="'eb-local' has no law of g before the data"):
        calibrated(ZellnerProblem(x, torch.randn(25, dtype=DOUBLE), EVEN, slab=LocalEmpiricalG()))
    likely = InclusionPrior(log_odds=torch.full((4,), 5.0))
    steep = GeneralisedProblem(1e4 * x, torch.zeros(25), likely, torch.ones(4), likelihood=Poisson())
    with pytest.raises(ValueError, match="take a smaller slab_scale"):
        calibrated(steep, 3)
    with pytest.raises(ValueError, match="intercept must be a number, 'prior' or None, got 'flat'"):
        calibrated(flat, 3, intercept="flat")
    with pytest.raises(ValueError, match="num_datasets must be at least 2"):
        calibrated(flat, 1)
    with pytest.raises(ValueError, match="fdr"):
        calibrated(flat, 3, fdr=1.0)


def test_the_same_seed_gives_the_same_answer() -> None:
    once, again = calibrated(gaussian(), 4), calibrated(gaussian(), 4)
    np.testing.assert_array_equal(once.to_frame(), again.to_frame())
    assert once.p_value == again.p_value
