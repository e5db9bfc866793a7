"""The prior of an unknown noise: against marginals by scipy, in all engines, and what is told of it."""

import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import betaln, gammaln, logsumexp
from scipy.stats import multivariate_t
from typer.testing import CliRunner

from l0bayes import SpikeSlabRegressor
from l0bayes.cli import app
from l0bayes.likelihoods import Gaussian, StudentT
from l0bayes.likelihoods.noise_priors import weak_noise_prior
from l0bayes.models import SparseRegression
from l0bayes.selection import GaussianProblem, InclusionPrior, InverseGamma
from l0bayes.selection.trust.noise_conflict import NoisePriorWarning

WEAK = (0.005, 0.0025)
PLAIN = {"standardize": False, "fit_intercept": False, "random_state": 0}
HALD = np.array(
    [[7, 26, 6, 60, 78.5], [1, 29, 15, 52, 74.3], [11, 56, 8, 20, 104.3], [11, 31, 8, 47, 87.6],
     [7, 52, 6, 33, 95.9], [11, 55, 9, 22, 109.2], [3, 71, 17, 6, 102.7], [1, 31, 22, 44, 72.5],
     [2, 54, 18, 22, 93.1], [21, 47, 4, 26, 115.9], [1, 40, 23, 34, 83.8], [11, 66, 9, 12, 113.3],
     [10, 68, 8, 12, 109.4]]
)  # fmt: skip


def precise(n=100, noise=0.05, seed=0):
    """An effect of t = 56 beside a far larger one, and two columns of noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    return x, 10 * x[:, 0] + 0.3 * x[:, 1] + noise * rng.normal(size=n)


def models_of(p):
    models = list(itertools.product((0, 1), repeat=p))
    return models, [betaln(1 + sum(model), 1 + p - sum(model)) - betaln(1, 1) for model in models]


def by_marginal_t(x, y, prior):
    """Slabs in units of the noise, no intercept: y given a model is a Student t, or its limit."""
    n, p = x.shape
    models, scores = models_of(p)
    for index, model in enumerate(models):
        held = x[:, np.array(model, bool)]
        spread = np.eye(n) + held @ held.T
        if prior is None:  # the integral of N(y; 0, v C) dv/v
            quadratic = y @ np.linalg.solve(spread, y)
            constant = gammaln(n / 2) - 0.5 * n * np.log(np.pi) - 0.5 * np.linalg.slogdet(spread)[1]
            scores[index] += constant - 0.5 * n * np.log(quadratic)
        else:
            a, b = prior
            scores[index] += multivariate_t.logpdf(y, np.zeros(n), b / a * spread, df=2 * a)
    return np.exp(scores - logsumexp(scores)) @ np.array(models), logsumexp(scores)


def by_grid(x, y, prior, intercept=10.0, flat=False):
    """Slabs not in units of the noise: a fine grid in log σ². PIPs, evidence, E σ, E σ²."""
    n, p = x.shape
    models, scores = models_of(p)
    scores = [0.0] * len(models) if flat else scores
    t = np.linspace(-25.0, 6.0, 2500)
    a, b = (0.0, 0.0) if prior is None else prior
    log_prior = (0.0 if prior is None else a * np.log(b) - gammaln(a)) - a * t - b * np.exp(-t)
    sigmas, squares = [], []
    for index, model in enumerate(models):
        columns = np.column_stack([intercept * np.ones(n), x[:, np.array(model, bool)]])
        values, vectors = np.linalg.eigh(columns @ columns.T)
        values = np.clip(values, 0.0, None)
        total = np.exp(t)[:, None] + values
        at = -0.5 * (n * np.log(2 * np.pi) + np.log(total).sum(1) + ((vectors.T @ y) ** 2 / total).sum(1))
        at += log_prior + np.log(t[1] - t[0])
        scores[index] += logsumexp(at)
        weight = np.exp(at - logsumexp(at))
        sigmas.append(weight @ np.exp(0.5 * t))
        squares.append(weight @ np.exp(t))
    weight = np.exp(scores - logsumexp(scores))
    return weight @ np.array(models), logsumexp(scores), weight @ sigmas, weight @ squares


# ---- the numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "prior"), [("weak", "weak"), ("jeffreys", None), ((2.0, 0.3), (2.0, 0.3))])
@pytest.mark.parametrize("unit", [1.0, 1e-4, 1e5])
def test_against_the_marginal_t(given, prior, unit):
    """In the user's own units, in which the weak prior follows the response."""
    x, y = precise(30, 1.0)
    y = unit * y
    prior = weak_noise_prior(np.mean(y**2)) if prior == "weak" else prior
    found = SpikeSlabRegressor(slab_scaled_by_noise=True, noise_prior=given, **PLAIN)
    if unit == 1e-4 and given == (2.0, 0.3):
        with pytest.warns(NoisePriorWarning):
            found.fit(x, y)
    else:
        found.fit(x, y)
    pip, evidence = by_marginal_t(x, y, prior)
    np.testing.assert_allclose(found.pip_, pip, atol=1e-9)
    assert found.log_evidence_ == pytest.approx(evidence, abs=1e-7)


@pytest.mark.parametrize(("given", "prior"), [("weak", WEAK), ("jeffreys", None), ((2.0, 0.3), (2.0, 0.3))])
@pytest.mark.parametrize("noise", [0.3, 30.0])
def test_against_a_grid(given, prior, noise):
    x, y = precise(40, noise)
    found = SpikeSlabRegressor(noise_prior=given, random_state=0)
    if noise == 0.3 and given == (2.0, 0.3):
        with pytest.warns(NoisePriorWarning):
            found.fit(x, y)
    else:
        found.fit(x, y)
    z, u = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
    pip, evidence, sigma, square = by_grid(z, u, prior)
    np.testing.assert_allclose(found.pip_, pip, atol=1e-7)
    assert found.log_evidence_ == pytest.approx(evidence - len(y) * np.log(y.std()), abs=1e-5)
    # Of 4,000 draws.
    assert found.summary().attrs["sigma"] == pytest.approx(sigma * y.std(), rel=0.02)
    assert found.original_scale_.noise_variance == pytest.approx(square * y.var(), rel=0.04)


@pytest.mark.parametrize("engine", ["exact", "gibbs"])
@pytest.mark.parametrize(("given", "prior"), [("weak", WEAK), ("jeffreys", None)])
def test_precise_measurements_keep_their_small_effects(engine, given, prior):
    """Gates so certain that the weights of the sampler overflow are handled as exactly as others."""
    x, y = precise()
    fit = SpikeSlabRegressor(noise_prior=given, engine=engine, random_state=0)
    if given == "weak":
        with pytest.warns(NoisePriorWarning, match="residuals alone say"):
            fit.fit(x, y)
    else:
        fit.fit(x, y)
    z, u = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
    pip, _, sigma, _ = by_grid(z, u, prior)
    np.testing.assert_allclose(fit.pip_, pip, atol=0.003)
    assert fit.summary().attrs["sigma"] == pytest.approx(sigma * y.std(), rel=0.03)
    if given == "jeffreys":
        assert fit.summary().attrs["sigma"] == pytest.approx(0.05, rel=0.2)


@pytest.mark.parametrize(
    ("n", "p", "active", "noise", "more"),
    [
        (500, 12, 6, 0.02, {}),
        (40, 12, 3, 0.1, {"groups": [0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 5]}),
        (30, 12, 3, 0.1, {"slab_scaled_by_noise": True}),
        (10, 12, 2, 0.1, {}),
    ],
)
@pytest.mark.filterwarnings("ignore::l0bayes.selection.trust.noise_conflict.NoisePriorWarning")
def test_the_sampler_agrees_with_enumeration_where_much_is_explained(n, p, active, noise, more):
    rng = np.random.default_rng(n)
    x = rng.normal(size=(n, p)) + 0.7 * rng.normal(size=(n, 1))
    y = x[:, :active] @ rng.normal(size=active) + noise * rng.normal(size=n)
    exact, gibbs = (
        SpikeSlabRegressor(engine=e, random_state=0, **more).fit(x, y) for e in ("exact", "gibbs")
    )
    np.testing.assert_allclose(gibbs.pip_, exact.pip_, atol=0.012)
    assert gibbs.summary().attrs["sigma"] == pytest.approx(exact.summary().attrs["sigma"], rel=0.08)


@pytest.mark.parametrize(("given", "prior"), [("weak", WEAK), ("jeffreys", None)])
def test_the_bayes_factor_of_a_certain_effect(given, prior):
    """What a model without it leaves is at noises that have none of the posterior."""
    x, y = precise(60, 1.0)
    table = SpikeSlabRegressor(noise_prior=given, inclusion=0.5, random_state=0).fit(x, y).summary()
    z, u = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
    # With π = ½ the two averages are over models of one weight each.
    without = by_grid(z[:, 1:], u, prior, flat=True)[1]
    every = by_grid(z, u, prior, flat=True)[1]
    assert table.loc["x0", "log10_bf"] == pytest.approx((every - without) / np.log(10.0), rel=1e-6)
    assert table.loc["x0", "log10_bf"] > 40


def test_hald():
    """The noise is that of least squares, and X1 is in."""
    x, y = HALD[:, :4], HALD[:, 4]
    fit = SpikeSlabRegressor(random_state=0).fit(x, y)
    least = np.linalg.lstsq(np.column_stack([np.ones(13), x]), y, rcond=None)[1][0]
    assert fit.original_scale_.noise_variance**0.5 < 1.3 * np.sqrt(least / 8)
    assert fit.pip_[0] > 0.95
    with pytest.warns(NoisePriorWarning):
        old = SpikeSlabRegressor(random_state=0, noise_prior=(1.0, 1.0)).fit(x, y)
    assert "Prior and data conflict" in str(old.trust_)
    assert old.original_scale_.noise_variance**0.5 > 6.0


def test_weak_is_what_it_is_said_to_be():
    assert weak_noise_prior() == pytest.approx(WEAK)
    assert weak_noise_prior(8.0) == pytest.approx((0.005, 0.02))
    x, y = precise(50, 3.0)
    problem = SpikeSlabRegressor(random_state=0).fit(x, y).posterior_.problem
    assert (problem.noise_prior.shape, problem.noise_prior.rate) == pytest.approx(WEAK)
    weights = np.arange(1, 51)
    plain = SpikeSlabRegressor(random_state=0, standardize=False).fit(x, y, sample_weight=weights)
    variance = np.cov(y, fweights=weights, ddof=0)
    assert plain.posterior_.problem.noise_prior.rate == pytest.approx(0.0025 * variance)


# ---- sigma and R² ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_sigma_and_r2_are_those_of_the_draws(fit_intercept):
    x, y = precise(60, 5.0)
    x = x * [1.0, 100.0, 0.01, 1.0] + 3.0
    weights = np.tile([1, 2, 3], 20)
    fit = SpikeSlabRegressor(random_state=0, fit_intercept=fit_intercept).fit(x, y, sample_weight=weights)
    attrs = fit.summary(0.9).attrs
    posterior = fit.inference_data_["posterior"]
    beta, sigma = (np.asarray(posterior[name]) for name in ("beta", "noise_scale"))
    eta = beta.reshape(-1, 4) @ x.T
    explained = np.average((eta - np.average(eta, 1, weights)[:, None]) ** 2, 1, weights)
    r2 = explained / (explained + sigma.ravel() ** 2)
    assert attrs["r2"] == pytest.approx(r2.mean(), rel=1e-9)
    assert attrs["sigma"] == pytest.approx(sigma.mean(), rel=1e-9)
    inside = (r2 >= attrs["r2_low"] - 1e-9) & (r2 <= attrs["r2_high"] + 1e-9)
    assert inside.mean() == pytest.approx(0.9, abs=0.01)


def test_a_known_noise_is_told_too():
    x, y = precise(60, 5.0)
    attrs = SpikeSlabRegressor(random_state=0, noise_scale=5.0).fit(x, y).summary().attrs
    assert attrs["sigma"] == attrs["sigma_low"] == attrs["sigma_high"] == pytest.approx(5.0)
    assert 0.0 < attrs["r2_low"] < attrs["r2"] < attrs["r2_high"] < 1.0


# ---- what is refused or warned of ------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "p"), [(6, 6), (6, 9), (7, 6)])
def test_jeffreys_needs_residuals(n, p):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, p)), rng.normal(size=n)
    with pytest.raises(ValueError, match=rf"{n} rows are fitted by {p + 1} columns .*'weak'"):
        SpikeSlabRegressor(noise_prior="jeffreys").fit(x, y)
    fit = SpikeSlabRegressor(noise_prior="jeffreys", slab_scaled_by_noise=True, random_state=0).fit(x, y)
    assert np.isfinite(fit.log_evidence_)
    assert np.isfinite(SpikeSlabRegressor(random_state=0).fit(x, y).pip_).all()


def test_jeffreys_and_a_perfect_fit():
    x, _ = precise(30)
    with pytest.raises(ValueError, match="the response is fitted without a residual"):
        SpikeSlabRegressor(noise_prior="jeffreys").fit(x, 2 * x[:, 0] - 7)
    with pytest.warns(NoisePriorWarning):
        fit = SpikeSlabRegressor(random_state=0).fit(x, 2 * x[:, 0] - 7)
    assert fit.pip_[0] > 0.999
    with pytest.raises(ValueError, match="the response is 0"):
        GaussianProblem(
            torch.randn(9, 2), torch.zeros(9), InclusionPrior(beta=(1.0, 1.0)), torch.ones(2),
            noise=InverseGamma.jeffreys(), slab_scaled_by_noise=True,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ("week", "noise_prior must be one of weak, jeffreys or a pair .* did you mean 'weak'"),
        (1.0, "noise_prior must be one of weak, jeffreys or a pair"),
        ((1.0,), "noise_prior as a pair must be two positive numbers"),
        ((1.0, 0.0), "noise_prior as a pair must be two positive numbers"),
        ((1.0, np.inf), "noise_prior as a pair must be two positive numbers"),
    ],
)
def test_what_is_no_prior(given, match):
    x, y = precise(20)
    with pytest.raises(ValueError, match=match):
        SpikeSlabRegressor(noise_prior=given).fit(x, y)


def test_one_noise_only():
    x, y = precise(20)
    with pytest.raises(ValueError, match="give noise_scale or noise_prior, not both"):
        SpikeSlabRegressor(noise_scale=1.0, noise_prior="jeffreys").fit(x, y)


def test_no_conflict_is_told_where_there_is_none():
    """Warnings are errors here: ordinary data of many sizes, all noise or mostly signal."""
    rng = np.random.default_rng(1)
    for n, p, noise in itertools.product((8, 30, 200), (2, 6), (0.2, 1.0, 5.0)):
        x = rng.normal(size=(n, p))
        y = 3.0 + x[:, 0] + noise * rng.standard_normal(n)
        assert SpikeSlabRegressor(random_state=0).fit(x, y).trust_.verdict == "exact"


@pytest.mark.parametrize(("n", "jeffreys"), [(6, False), (60, True)])
def test_the_remedy_of_a_conflict_can_be_taken(n, jeffreys):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 8))
    y = 3.0 * x[:, 0] + 1e-3 * rng.normal(size=n)
    with pytest.warns(NoisePriorWarning) as told:
        SpikeSlabRegressor(random_state=0, noise_prior=(1.0, 1.0)).fit(x, y)
    words = " ".join(str(one.message) for one in told)
    assert ("'jeffreys'" in words) == jeffreys
    assert "a pair (shape, rate)" in words
    again = SpikeSlabRegressor(random_state=0, noise_prior="jeffreys")
    if jeffreys:
        again.fit(x, y)
    else:
        with pytest.raises(ValueError, match="needs data that no model fits perfectly"):
            again.fit(x, y)


def test_a_prior_that_holds_the_noise_down_is_told():
    x, y = precise(50, 10.0)
    with pytest.warns(NoisePriorWarning, match="too large PIPs for columns of noise"):
        SpikeSlabRegressor(random_state=0, noise_prior=(200.0, 2.0)).fit(x, y)


# ---- models ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("likelihood", ["gaussian", "student_t"])
def test_models_have_the_weak_prior_of_a_standardised_response(likelihood):
    from pyro import poutine

    model = SparseRegression(2, likelihood)
    x, y = torch.randn(20, 2), torch.randn(20)
    law = poutine.trace(model).get_trace(x, y).nodes["noise_variance"]["fn"]
    assert (float(law.concentration), float(law.rate)) == pytest.approx(WEAK)
    with pytest.raises(ValueError, match="'jeffreys' has no law that a Pyro program could draw from"):
        SparseRegression(2, likelihood, noise_prior="jeffreys")
    with pytest.raises(ValueError, match="noise_prior must be one of weak or a pair"):
        SparseRegression(2, likelihood, noise_prior="strong")


def test_likelihoods_say_their_prior():
    assert Gaussian().settings == {"noise_scale": None, "noise_prior": "weak"}
    assert StudentT(noise_prior=(1.0, 2.0)).noise_prior == (1.0, 2.0)


# ---- the command -----------------------------------------------------------------------------------------


def run(folder, *options):
    x, y = precise(60, 1.0)
    pd.DataFrame(x, columns=list("abcd")).assign(y=y).to_csv(folder / "t.csv", index=False)
    arguments = ["select", str(folder / "t.csv"), "y ~ .", "--out", str(folder / "out"), "--json", *options]
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize(
    ("options", "formula"),
    [
        ((), "InverseGamma(0.005, 0.0025)"),
        (("--noise-prior", "weak"), "InverseGamma(0.005, 0.0025)"),
        (("--noise-prior", "jeffreys"), "p(σ²) ∝ 1/σ²"),
        (("--noise-prior", "3,0.2"), "InverseGamma(3, 0.2)"),
    ],
)
def test_the_command_takes_it_and_tells_sigma_and_r2(tmp_path, options, formula):
    ran = run(tmp_path, *options)
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert told["sigma"]["low"] < told["sigma"]["mean"] < told["sigma"]["high"]
    assert 0.0 < told["r2"]["low"] < told["r2"]["mean"] < told["r2"]["high"] < 1.0
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert formula in page
    assert re.search(r"explain 9\d\.\d % of the response's variance \(R², 94 % interval", page)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--noise-prior", "flat"), "noise_prior must be one of weak, jeffreys or a pair"),
        (("--noise-prior", "1,x"), "noise-prior must be weak, jeffreys, or shape,rate"),
        (("--noise-prior", "1,-1"), "noise_prior as a pair must be two positive numbers"),
        (("--noise-prior", "weak", "--likelihood", "poisson"), "noise-prior is of the gaussian likelihood"),
        (
            ("--noise-prior", "1,1", "--likelihood", "gaussian", "--likelihood-option", "noise_scale=1"),
            "give noise_scale or noise_prior, not both",
        ),
    ],
)
def test_what_the_command_refuses(tmp_path, options, words):
    ran = run(tmp_path, *options)
    assert ran.exit_code == 2
    assert words in ran.stderr
    assert not (tmp_path / "out").exists()


def test_a_conflict_is_a_warning_of_the_command(tmp_path):
    told = json.loads(run(tmp_path, "--noise-prior", "20,20").stdout)
    assert any("Prior and data conflict about the noise" in words for words in told["warnings"])
