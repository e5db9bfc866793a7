"""Bayes factors against hypergeometric functions, quadrature of many digits, and dense covariances."""

import math

import mpmath
import numpy as np
import pytest
import torch

from l0bayes.selection import GRule, SlabPrior, SlabSetting, register_slab_prior, slab_names
from l0bayes.selection.slab_priors.factor_table import FactorTable
from l0bayes.selection.slab_priors.fixed_g import FixedG
from l0bayes.selection.slab_priors.hyper_g import HyperG
from l0bayes.selection.slab_priors.hyper_g_n import HyperGN
from l0bayes.selection.slab_priors.jzs import JZS
from l0bayes.selection.slab_priors.slab_prior import log_bayes_factor, posterior_of_g
from l0bayes.selection.slab_priors.slab_registry import slab_prior

CASES = [(47, 3, 0.6), (30, 6, 0.9), (1000, 10, 0.3), (100, 20, 0.999), (100_000, 5, 2e-4), (12, 2, 0.01)]


def factor(slab, n, p, r2):
    share = torch.tensor([r2], dtype=torch.float64)
    return float(log_bayes_factor(slab, SlabSetting(n, n - 1, p), torch.tensor([p]), share))


@pytest.mark.parametrize(("n", "p", "r2"), CASES)
def test_hyper_g_is_the_hypergeometric_function(n, p, r2):
    with mpmath.workdps(30):
        value = mpmath.hyp2f1(mpmath.mpf(n - 1) / 2, 1, mpmath.mpf(3 + p) / 2, mpmath.mpf(r2)) / (p + 1)
        assert factor(HyperG(), n, p, r2) == pytest.approx(float(mpmath.log(value)), rel=1e-12, abs=1e-11)


@pytest.mark.parametrize(("n", "p", "r2"), CASES)
@pytest.mark.parametrize("name", ["hyper-g/n", "jzs"])
def test_integrals_over_g(name, n, p, r2):
    scale = 0.5

    def density(g):
        if name == "hyper-g/n":
            return (1 + g / n) ** mpmath.mpf(-1.5) / (2 * n)
        rate = mpmath.mpf(n) * scale**2 / 2
        return mpmath.sqrt(rate / mpmath.pi) * g ** mpmath.mpf(-1.5) * mpmath.exp(-rate / g)

    with mpmath.workdps(20):
        share = mpmath.mpf(r2)

        def integrand(u):
            g = mpmath.exp(u)
            gain = mpmath.mpf(n - 1 - p) / 2 * mpmath.log1p(g)
            gain -= mpmath.mpf(n - 1) / 2 * mpmath.log1p(g * (1 - share))
            return mpmath.exp(gain) * density(g) * g

        value = mpmath.log(mpmath.quad(integrand, list(range(-40, 81, 4))))
    slab = HyperGN() if name == "hyper-g/n" else JZS(scale)
    assert factor(slab, n, p, r2) == pytest.approx(float(value), rel=1e-9, abs=1e-9)


def test_the_marginal_likelihood_of_dense_covariances():
    rng = np.random.default_rng(0)
    n, g = 20, 7.0
    x, y = rng.normal(size=(n, 3)), rng.normal(size=n)
    # Contrasts, which know no intercept.
    z = np.linalg.svd(np.eye(n) - 1.0 / n)[0][:, : n - 1]

    def log_marginal(columns):
        inside = z.T @ columns
        covariance = np.eye(n - 1) + g * inside @ np.linalg.pinv(inside.T @ inside) @ inside.T
        square = z.T @ y @ np.linalg.solve(covariance, z.T @ y)
        return -0.5 * np.linalg.slogdet(covariance)[1] - 0.5 * (n - 1) * math.log(square)

    centred, response = x - x.mean(0), y - y.mean()
    fitted = centred @ np.linalg.lstsq(centred, response, rcond=None)[0]
    r2 = fitted @ fitted / (response @ response)
    expected = log_marginal(x) - log_marginal(np.zeros((n, 1)))
    assert factor(FixedG(g), n, 3, r2) == pytest.approx(expected, abs=1e-11)


def test_empirical_g():
    local, setting = slab_prior("g", "eb-local"), SlabSetting(50, 49, 4)
    rank, r2 = torch.tensor([1, 2, 3]), torch.tensor([0.001, 0.2, 0.6], dtype=torch.float64)
    found = log_bayes_factor(local, setting, rank, r2)
    grid = torch.linspace(-15, 15, 60001, dtype=torch.float64).exp()
    for number in range(3):
        size = float(rank[number])
        values = 0.5 * (49 - size) * torch.log1p(grid) - 24.5 * torch.log1p(grid * (1 - r2[number]))
        assert float(found[number]) == pytest.approx(float(values.max()), abs=1e-5)
    assert float(found[0]) == 0.0  # worse than nothing: g is 0
    prior = torch.zeros(3, dtype=torch.float64)
    settled = slab_prior("g", "eb-global").settled(setting, rank, r2, prior)
    best = max(grid[::40].tolist(), key=lambda g: _together(FixedG(g), setting, rank, r2))
    assert math.log(settled.value(setting)) == pytest.approx(math.log(best), abs=0.05)


def _together(slab, setting, rank, r2):
    return float(torch.logsumexp(log_bayes_factor(slab, setting, rank, r2), 0))


@pytest.mark.parametrize("name", ["g", "hyper-g", "hyper-g/n", "jzs"])
@pytest.mark.parametrize("n", [40, 100_000])
def test_the_table_reads_what_is_computed(name, n):
    slab, setting = slab_prior(name), SlabSetting(n, n - 1, 30)
    generator = torch.Generator().manual_seed(0)
    rank = torch.randint(0, 30, (2000,), generator=generator)
    r2 = 0.95 * torch.rand(2000, dtype=torch.float64, generator=generator)
    r2[:1000] = (r2[:1000] * 30 / n).clamp(max=0.95)
    table = FactorTable(slab, setting, 0.95)
    difference = table.log_factors(rank, r2) - log_bayes_factor(slab, setting, rank, r2)
    assert float(difference.abs().max()) < 1e-8
    rule, probability = posterior_of_g(slab, setting, rank, r2)
    first, second = table.shrinkages(rank, r2)
    shrunk = torch.sigmoid(rule.log_g)
    some = rank > 0
    torch.testing.assert_close(first[some], (probability * shrunk).sum(1)[some], rtol=0, atol=1e-8)
    torch.testing.assert_close(second[some], (probability * shrunk.square()).sum(1)[some], rtol=0, atol=1e-8)


def test_values_of_g():
    setting = SlabSetting(50, 49, 10)
    assert [FixedG(one).value(setting) for one in ("unit", "bric", 3.5)] == [50.0, 100.0, 3.5]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "zs"}, "slab must be one of normal, g, hyper-g, hyper-g/n, jzs"),
        ({"name": "g", "g": "gprior"}, "g must be one of unit, bric, eb-local, eb-global or a number"),
        ({"name": "g", "g": -1.0}, "g must be"),
        ({"name": "hyper-g", "g": 3.0}, "g is of slab='g'"),
        ({"name": "g", "rscale": 1.0}, "rscale is the scale of slab='jzs'"),
        ({"name": "jzs", "rscale": 0.0}, "rscale must be"),
    ],
)
def test_refusals(given, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        slab_prior(**given)


def test_a_slab_prior_from_outside_is_known_by_its_name():
    @register_slab_prior
    class Benchmark(SlabPrior):
        name = "benchmark-of-a-test"

        def rule(self, setting, rank, r2):
            return GRule(torch.full((1,), math.log(9.0), dtype=torch.float64), r2.new_zeros(1))

        def words(self, setting):
            return "g = 9"

    assert Benchmark.name in slab_names()
    assert factor(slab_prior(Benchmark.name), 30, 2, 0.4) == factor(FixedG(9.0), 30, 2, 0.4)
    with pytest.raises(TypeError, match="must be a class of SlabPrior"):
        register_slab_prior(int)
