"""Batched variational restarts: their bounds against dense references, their mixture, their families."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from l0bayes.selection import InclusionPrior, InverseGamma, enumerate_models
from l0bayes.selection.elimination import all_models
from l0bayes.selection.glm import enumerate_glm
from l0bayes.selection.gram import Gram
from l0bayes.selection.hardened import Factors, gate_kl, hardened_elbos
from l0bayes.selection.modes import distinct_modes
from l0bayes.selection.relaxations import RELAXATIONS
from l0bayes.selection.svi import SVIOptions, _Run, fit_gates
from tests.selection.glm_problems import make_problem
from tests.selection.problems import everything, problem

DOUBLE = torch.float64
SHORT = SVIOptions(restarts=4, steps=300)
BETA = {"prior": InclusionPrior(beta=(1.0, 3.0))}
UNKNOWN = {"noise": InverseGamma(1.5, 0.7)}
GROUPS = {"groups": torch.tensor([0, 1, 1, 2, 3, 3])}


def some_factors(given, rows=2, seed=1):
    generator = torch.Generator().manual_seed(seed)
    p, k = given.num_columns, given.always.shape[1]

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=DOUBLE)

    return Factors(
        draw(rows, given.num_groups),
        draw(rows, p),
        0.3 * draw(rows, p).exp(),
        draw(rows, k),
        0.2 * draw(rows, k).exp(),
    )


@pytest.mark.parametrize("changes", [{}, GROUPS, {"always": True}])
def test_the_gaussian_bound_is_the_sum_over_all_models(changes):
    """Every model by itself: expected squares of Normal coefficients, written out."""
    if "always" in changes:
        changes = everything(6, 40)
    given = problem("blocks", **changes)
    factors = some_factors(given)
    gates = all_models(given.num_groups).double()
    columns = torch.cat([given.always, given.x], 1)
    for row in range(2):
        q = torch.sigmoid(factors.logits[row])
        probability = (q * gates + (1 - q) * (1 - gates)).prod(1)
        total = torch.zeros((), dtype=DOUBLE)
        for weight, model in zip(probability, gates, strict=True):
            z = model[given.groups]
            mean = torch.cat([factors.always_mean[row], z * factors.mean[row]])
            variance = torch.cat([factors.always_sd[row] ** 2, z * factors.sd[row] ** 2])
            left = given.y - given.offset - columns @ mean
            squares = given.weights @ (left**2 + columns**2 @ variance)
            total += weight * (given.weights.log().sum() / 2 - squares / 2)
            slab = kl_divergence(Normal(factors.mean[row], factors.sd[row]), Normal(0.0, given.slab_scale))
            total -= weight * (z * slab).sum()
            total += weight * (given.prior.log_prob(model) - weight.log())
        total -= kl_divergence(
            Normal(factors.always_mean[row], factors.always_sd[row]), Normal(0.0, given.always_scale)
        ).sum()
        total -= given.num_rows * math.log(2 * math.pi) / 2
        found = hardened_elbos(given, Gram.of(given), factors).elbo[row]
        assert float(found) == pytest.approx(float(total), abs=1e-9)


@pytest.mark.parametrize("scaled", [False, True])
def test_an_unknown_noise_is_under_its_optimal_law(scaled):
    """log of the integral over σ² of p(σ²) exp(E log p), on a fine grid."""
    given = problem(**UNKNOWN, slab_scaled_by_noise=scaled)
    factors = some_factors(given)
    found = hardened_elbos(given, Gram.of(given), factors).elbo
    t = torch.linspace(-4.0, 9.0, 801, dtype=DOUBLE)
    rows = []
    for log_variance in t:
        known = given.replace(
            noise=math.exp(float(log_variance) / 2),
            slab_scaled_by_noise=False,
            slab_scale=given.slab_scale * (log_variance / 2).exp() if scaled else given.slab_scale,
        )
        rows.append(hardened_elbos(known, Gram.of(known), factors).elbo)
    weight = given.noise.log_density_of_log(t) + math.log(float(t[1] - t[0]))
    wanted = torch.logsumexp(torch.stack(rows) + weight[:, None], 0)
    torch.testing.assert_close(found, wanted, atol=1e-8, rtol=0.0)


def test_the_kl_of_gates_under_a_beta_prior():
    """The bound with π ~ Beta at its optimum, on a grid of π."""
    logits = torch.tensor([0.3, -2.0, 1.0], dtype=DOUBLE)
    pi = torch.linspace(0.0, 1.0, 200_001, dtype=DOUBLE)[1:-1]
    q = torch.sigmoid(logits)
    expected = q.sum() * pi.log() + (1 - q).sum() * torch.log1p(-pi)
    density = torch.distributions.Beta(2.0, 5.0).log_prob(pi.float()).double()
    entropy = -(q * q.log() + (1 - q) * (1 - q).log()).sum()
    wanted = -(torch.logsumexp(expected + density, 0) + math.log(float(pi[1] - pi[0]))) - entropy
    found = gate_kl(InclusionPrior(beta=(2.0, 5.0)), logits)
    assert float(found) == pytest.approx(float(wanted), abs=1e-5)


@pytest.mark.parametrize("changes", [{}, BETA, UNKNOWN | {"slab_scaled_by_noise": True}, GROUPS])
def test_the_bound_is_below_the_evidence_and_near_it(changes):
    given = problem(n=60, **changes)
    exact = enumerate_models(given)
    found = fit_gates(given, options=SHORT)
    assert exact.log_evidence - 1.0 < found.diagnostics["elbo"] < exact.log_evidence
    # The mean-field error of near-independent columns, and what relaxed gates add.
    torch.testing.assert_close(found.pip, exact.pip, atol=0.2, rtol=0.0)
    torch.testing.assert_close(found.mean, exact.mean, atol=0.1, rtol=0.0)


@pytest.mark.parametrize("family", RELAXATIONS)
def test_every_family_finds_the_signals(family):
    given = problem(n=80)
    found = fit_gates(given, family=family, options=SHORT)
    assert found.diagnostics["family"] == family
    assert (found.pip[[0, 2, 4]] > 0.9).all()
    assert (found.pip[[1, 3, 5]] < 0.6).all()


@pytest.mark.parametrize("kind", ["bernoulli", "poisson"])
def test_generalised_linear_models(kind):
    given = make_problem(kind, 120, 6, correlation=0.1)
    exact = enumerate_glm(given)
    found = fit_gates(given, options=SHORT)
    error = 4 * found.diagnostics["elbo_error"]
    assert exact.log_evidence - 2.0 < found.diagnostics["elbo"] < exact.log_evidence + error
    torch.testing.assert_close(found.pip, exact.pip, atol=0.25, rtol=0.0)


def test_more_columns_than_rows():
    given = problem(n=30, p=50)
    found = fit_gates(given, options=SHORT)
    assert torch.isfinite(found.pip).all()
    assert found.pip[0] > 0.8


def test_both_ways_to_the_likelihood_are_one():
    """By second moments and row by row: the same number of the same draws, but for a constant."""
    given = problem(n=40, **UNKNOWN)
    run = _Run(given, RELAXATIONS["hard_concrete"], SVIOptions(restarts=3))
    cold = torch.tensor(0.3, dtype=DOUBLE)
    losses = []
    for by_rows in (False, True):
        run.by_rows = by_rows
        torch.manual_seed(0)
        losses.append(run.loss(run.parameters, cold))
    torch.testing.assert_close(*losses)


def test_the_training_objective_is_the_bound_where_gates_are_decided():
    """Activities of nearly 0 and 1 relax nothing: the mean over draws is the hardened ELBO but for
    constants, at a known noise."""
    given = problem(n=40)
    run = _Run(given, RELAXATIONS["hard_concrete"], SVIOptions(restarts=2, particles=20_000))
    values = run.parameters.clone()
    values[:, : given.num_groups] = torch.tensor([40.0, -40.0, 40.0, -40.0, 40.0, -40.0], dtype=DOUBLE)
    cold = torch.tensor(0.1, dtype=DOUBLE)
    law, loc, scale, _, _ = run._read(values, cold)
    none = loc[:, :0]
    bound = hardened_elbos(given, run.gram, Factors(law.activity_logits, loc, scale, none, none)).elbo
    torch.manual_seed(0)
    constant = given.num_rows * math.log(2 * math.pi) / 2
    torch.testing.assert_close(-run.loss(values, cold) - constant, bound, atol=0.2, rtol=0.0)


def test_a_mode_found_several_times_counts_once():
    pip = torch.tensor([[0.9, 0.1], [0.88, 0.12], [0.1, 0.9], [0.91, 0.1]], dtype=DOUBLE)
    elbo = torch.tensor([-3.0, -2.0, -1.0, -4.0], dtype=DOUBLE)
    assert distinct_modes(pip, elbo).tolist() == [1, 1, 2, 1]


def test_the_mixture():
    """Two near-duplicates: two modes of nearly equal weight, which share the inclusion between them."""
    given = problem("duplicates", n=60, seed=3)
    found = fit_gates(given, options=SVIOptions(restarts=16, steps=400))
    details, kept = found.diagnostics, torch.unique(found.diagnostics["mode"])
    assert details["modes"] == len(kept) > 1
    torch.testing.assert_close(
        details["mode_weights"], torch.softmax(details["restart_elbo"][kept], 0), atol=1e-12, rtol=0.0
    )
    torch.testing.assert_close(found.pip, details["mode_weights"] @ details["restart_pip"][kept])
    torch.testing.assert_close(found.joint.diagonal(), found.pip)
    sizes = found.size_probabilities
    torch.testing.assert_close(sizes.sum(), torch.ones((), dtype=DOUBLE))
    torch.testing.assert_close(sizes @ torch.arange(7).double(), found.pip.sum())
    drawn = found.draws.gates.mean(0)
    torch.testing.assert_close(drawn, found.pip, atol=4 / math.sqrt(4000) * 0.5 + 1e-3, rtol=0.0)
    assert math.isnan(found.log_evidence)


def test_seeds():
    given = problem()
    state = torch.get_rng_state()
    runs = [fit_gates(given, options=SHORT, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(runs[0].pip, runs[1].pip)
    assert not torch.equal(runs[0].pip, runs[2].pip)


def test_flat_priors_are_compared_as_evidences_are():
    """An intercept with a flat prior: the bound stays below the evidence in its convention."""
    always = {"always": torch.ones(60, 1, dtype=DOUBLE), "always_scale": torch.tensor([math.inf])}
    given = problem(n=60, **always)
    exact = enumerate_models(given).log_evidence
    assert exact - 1.0 < fit_gates(given, options=SHORT).diagnostics["elbo"] < exact


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"restarts": 0}, "restarts must be at least 1, got 0"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"lr": 0.0}, "lr must be positive, got 0.0"),
        ({"temperature": (0.5, 0.0)}, "temperature must be two positive numbers"),
    ],
)
def test_wrong_options(options, match):
    with pytest.raises(ValueError, match=match):
        SVIOptions(**options)


def test_an_unknown_family():
    with pytest.raises(ValueError, match=r"family must be one of hard_concrete, .*; got 'bernoulli'"):
        fit_gates(problem(), family="bernoulli")
