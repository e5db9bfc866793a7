"""A slab scale that is learned: against sums over all models and a fine grid, by both engines."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from l0bayes import SpikeSlabClassifier, SpikeSlabRegressor
from l0bayes.selection import (
    ExactOptions,
    GaussianProblem,
    GibbsOptions,
    InclusionPrior,
    InverseGamma,
    LearnedSlabProblem,
    coefficients_of,
    infer_gates,
)
from l0bayes.selection.slab_priors.half_cauchy_scale import HalfCauchyScale
from l0bayes.selection.slab_priors.inverse_gamma_scale import InverseGammaScale
from l0bayes.selection.slab_priors.slab_scale_registry import register_slab_scale_law, slab_scale_law
from l0bayes.selection.summaries.moments import joint_moments

ROWS = 25
GENERATOR = torch.Generator().manual_seed(3)
X = torch.randn(ROWS, 3, generator=GENERATOR, dtype=torch.float64)
X[:, 1] = X[:, 0] + 0.5 * X[:, 1]
Y = 0.5 * X[:, 0] + torch.randn(ROWS, generator=GENERATOR, dtype=torch.float64)
LOG_ODDS = torch.full((3,), math.log(0.3 / 0.7), dtype=torch.float64)
LAWS = [HalfCauchyScale(), HalfCauchyScale(0.2), InverseGammaScale(2.0, 0.5)]
INTERCEPT = {"unpenalised": torch.ones(ROWS, 1), "unpenalised_scale": torch.tensor([2.0])}
KINDS = {
    "known noise": {"noise": 0.9},
    "noise and slabs together": {"noise": 0.9, "slab_scaled_by_noise": True},
    "unknown noise": {"noise": InverseGamma(2.0, 1.0), **INTERCEPT},
    "noise in closed form": {"noise": InverseGamma(2.0, 1.0), "slab_scaled_by_noise": True},
    "one gate for two": {"noise": 0.9, "groups": torch.tensor([0, 1, 1])},
}


def problem(law=LAWS[0], **changes):
    given = {"slab_scale": torch.tensor([1.0, 0.6, 1.5]), **changes}
    count = int(given.get("groups", torch.arange(3)).max()) + 1
    return LearnedSlabProblem(X, Y, InclusionPrior(log_odds=LOG_ODDS[:count]), slab_law=law, **given)


def by_hand(given, step=0.1):
    """Evidence, PIPs and moments on a fine grid of log s: every model at each scale by GaussianProblem."""
    grid = torch.arange(-13.0, 13.0, step, dtype=torch.float64)
    found = [infer_gates(given.at(u.exp()), "exact", options=ExactOptions(num_draws=1)) for u in grid]
    logs = given.slab_law.log_density_of_log(grid) + math.log(step)
    logs = logs + torch.tensor([one.log_evidence for one in found], dtype=torch.float64)
    shares = torch.softmax(logs, 0)
    sums = [
        torch.einsum("k,kp->p", shares, torch.stack([getattr(one, name) for one in found]))
        for name in ("pip", "mean", "second_moment")
    ]
    return float(torch.logsumexp(logs, 0)), *sums


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.words)
def test_laws_are_densities_with_their_tails(law):
    grid = torch.arange(-40.0, 40.0, 0.01, dtype=torch.float64)
    density = law.log_density_of_log(grid).exp()
    assert float(density.sum() * 0.01) == pytest.approx(1.0, abs=1e-6)
    low, high = torch.tensor(-0.8, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64)
    below, above = (float(one.exp()) for one in law.tails(low, high))
    assert below == pytest.approx(float(density[grid < -0.8].sum() * 0.01), abs=0.01)
    assert above == pytest.approx(float(density[grid > 0.7].sum() * 0.01), abs=0.01)
    torch.manual_seed(0)
    drawn = torch.stack([law.draw() for _ in range(2000)])
    assert float((drawn.log() < -0.8).double().mean()) == pytest.approx(below, abs=0.04)


def test_one_column_in_closed_form():
    x = torch.zeros(4, 1, dtype=torch.float64)
    x[0] = 1.0
    y = torch.tensor([1.5, 0.2, -0.4, 0.1], dtype=torch.float64)
    even = InclusionPrior(log_odds=torch.zeros(1, dtype=torch.float64))
    law = HalfCauchyScale(0.7)
    found = infer_gates(LearnedSlabProblem(x, y, even, torch.ones(1), noise=1.0, slab_law=law), "exact")
    s = 0.7 * np.tan(0.5 * np.pi * (np.arange(200_000) + 0.5) / 200_000)
    factor = np.mean(np.exp(0.5 * 1.5**2 * s**2 / (1 + s**2)) / np.sqrt(1 + s**2))
    assert float(found.pip[0]) == pytest.approx(factor / (1 + factor), abs=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_all_models_against_a_fine_grid(kind):
    given = problem(**KINDS[kind])
    found = infer_gates(given, "exact")
    evidence, pip, mean, second = by_hand(given)
    assert found.log_evidence == pytest.approx(evidence, abs=2e-5)
    torch.testing.assert_close(found.pip, pip, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.mean, mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.second_moment, second, atol=1e-4, rtol=0)
    assert found.draws.scalars.shape == (4000, 1)
    together = joint_moments(found)[0][given.num_unpenalised :]
    torch.testing.assert_close(together, mean, atol=0.03, rtol=0)
    drawn = coefficients_of(found, seed=0)
    torch.testing.assert_close(drawn.beta.mean(0), mean, atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.beta.square().mean(0), second, atol=0.06, rtol=0.1)


@pytest.mark.parametrize("law", LAWS[1:], ids=lambda law: law.words)
def test_laws_against_a_fine_grid(law):
    given = problem(law, noise=0.9)
    evidence, pip, _, _ = by_hand(given)
    found = infer_gates(given, "exact")
    assert found.log_evidence == pytest.approx(evidence, abs=2e-5)
    torch.testing.assert_close(found.pip, pip, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_sampler_moves_the_scale_with_the_gates(kind):
    given = problem(**KINDS[kind])
    wanted = infer_gates(given, "exact")
    found = infer_gates(given, "gibbs", options=GibbsOptions(chains=64, steps=700, target_mcse=0.0), seed=0)
    torch.testing.assert_close(found.pip, wanted.pip, atol=0.015, rtol=0)
    torch.testing.assert_close(found.mean, wanted.mean, atol=0.02, rtol=0)
    logs = [one.draws.scalars.log().median() for one in (found, wanted)]
    torch.testing.assert_close(*logs, atol=0.2, rtol=0)


def test_a_law_that_is_all_but_a_point_is_a_scale_that_is_given():
    sharp = InverseGammaScale(4e4, 4e4 * 0.49)
    found = infer_gates(problem(sharp, noise=0.9), "exact")
    scales = 0.7 * torch.tensor([1.0, 0.6, 1.5])
    wanted = infer_gates(GaussianProblem(X, Y, InclusionPrior(log_odds=LOG_ODDS), scales, noise=0.9), "exact")
    torch.testing.assert_close(found.pip, wanted.pip, atol=1e-4, rtol=0)
    assert found.log_evidence == pytest.approx(wanted.log_evidence, abs=1e-3)


def test_estimators_take_it_and_say_what_was_learned():
    x, y = X.numpy(), Y.numpy()
    fit = SpikeSlabRegressor(slab_scale="learned", random_state=0).fit(x, y)
    attributes = fit.summary().attrs
    assert attributes["slab_scale_low"] < attributes["slab_scale"] < attributes["slab_scale_high"]
    assert fit.trust_.verdict == "exact"
    for estimator in ("average", "median", "best"):
        assert np.isfinite(fit.predict(x, estimator=estimator)).all()
    assert fit.row_checks().rows["residual"].abs().max() < 4
    table = fit.sensitivity(noise_prior=[(2.0, 0.5)], inclusion=[0.3])
    again = SpikeSlabRegressor(slab_scale="learned", inclusion=0.3, noise_prior=(2.0, 0.5), random_state=0)
    part = table[(table["inclusion"] == "0.3") & (table["noise_prior"] == "(2, 0.5)")]
    np.testing.assert_allclose(part["pip"], again.fit(x, y).pip_, atol=1e-6)


def dense_quantiles(x, y, shares):
    """Of the scale under known noise 1 and gates of even odds: all models on a dense grid of log s."""
    log_scale = np.linspace(-25.0, 25.0, 50_001)
    density = 0.0
    for chosen in np.ndindex(*[2] * x.shape[1]):
        values, vectors = np.linalg.eigh(x[:, np.flatnonzero(chosen)].T @ x[:, np.flatnonzero(chosen)])
        shares_of_y = (vectors.T @ (x[:, np.flatnonzero(chosen)].T @ y)) ** 2
        log_density = np.zeros_like(log_scale)
        for value, share in zip(values, shares_of_y, strict=True):
            odds = value * np.exp(2.0 * log_scale)
            log_density += 0.5 * share / value * odds / (1.0 + odds) - 0.5 * np.log1p(odds)
        density = density + np.exp(log_density)
    cumulated = np.cumsum(density * np.exp(log_scale) / (1.0 + np.exp(2.0 * log_scale)))  # half-Cauchy(1)
    return np.exp(np.interp(np.multiply(shares, cumulated[-1]), cumulated, log_scale))


@pytest.mark.parametrize("size", [0.2, 1.0, 5.0])
def test_median_and_interval_are_those_of_dense_quadrature(size):
    x = X.numpy()[:, 1:]
    y = size * x[:, 0] + np.random.default_rng(0).normal(size=ROWS)
    wanted = dense_quantiles(x, y, [0.5, 0.03, 0.97])
    own = {"noise_scale": 1.0, "inclusion": 0.5, "standardize": False, "fit_intercept": False}
    fit = SpikeSlabRegressor(slab_scale="learned", random_state=0, **own).fit(x, y)
    attributes = fit.summary().attrs
    names = ("slab_scale", "slab_scale_low", "slab_scale_high")
    np.testing.assert_allclose([attributes[name] for name in names], wanted, rtol=0.02)


def test_it_is_calibrated():
    small = {"options": ExactOptions(num_draws=200), "engine": "exact", "random_state": 0}
    law = {"slab_scale": "learned", "slab_scale_prior": ("inverse-gamma", 2, 1)}
    fit = SpikeSlabRegressor(**law, noise_scale=1.0, fit_intercept=False, **small)
    assert fit.calibrate(X.numpy()[:, 1:], num_datasets=12).p_value > 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"slab_scale": "wide"}, "slab_scale must be one of learned"),
        ({"slab_scale_prior": ("half-cauchy", 1.0)}, "slab_scale_prior is of slab_scale='learned'"),
        ({"slab_scale": "learned", "slab_scale_prior": "cauchy"}, "slab_scale_prior must be one of half-ca"),
        ({"slab_scale": "learned", "slab_scale_prior": ("half-cauchy", 1, 2)}, "must hold the numbers of"),
        ({"slab_scale": "learned", "slab_scale_prior": ("half-cauchy", -1)}, "scale must be"),
        ({"slab_scale": "learned", "slab": "g"}, "slab_scale is of slab='normal'"),
        ({"slab_scale": "learned", "engine": "svi"}, "slabs share a scale that is learned"),
        ({"slab_scale": "learned", "engine": "wide"}, "Use the engine 'gibbs'"),
    ],
    ids=str,
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        SpikeSlabRegressor(**arguments).fit(X.numpy(), Y.numpy())


def test_only_normal_responses_have_one():
    with pytest.raises(ValueError, match="a learned scale is for Normal responses"):
        SpikeSlabClassifier(slab_scale="learned").fit(X.numpy(), Y.numpy() > 0)


@dataclass(frozen=True)
class Sharp(InverseGammaScale):
    name: ClassVar[str] = "sharp"


def test_a_law_from_outside_is_known_by_its_name():
    register_slab_scale_law(Sharp)
    assert slab_scale_law(("sharp", 40, 20)) == Sharp(40.0, 20.0)
    given = {"slab_scale": "learned", "slab_scale_prior": ("sharp", 40, 20), "random_state": 0}
    fit = SpikeSlabRegressor(**given).fit(X.numpy(), Y.numpy())
    assert fit.summary().attrs["slab_scale"] == pytest.approx(0.72, abs=0.15)
    with pytest.raises(TypeError, match="kind must be a class of SlabScaleLaw"):
        register_slab_scale_law(GaussianProblem)
