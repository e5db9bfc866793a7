"""Draws between the nodes of a quadrature, beside the density that the nodes are of."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from l0bayes.estimators import SpikeSlabCountRegressor, SpikeSlabRegressor, SpikeSlabRobustRegressor
from l0bayes.selection.kernels.between_nodes import between_nodes, quantiles_between

SHARES = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)


@pytest.mark.parametrize("spacing", [0.5, 0.9, 1.25])
@pytest.mark.parametrize("shift", [0.0, 0.37])
def test_quantiles_of_a_normal_density(spacing, shift):
    """Its logarithm is a parabola, which a cubic spline is through any nodes."""
    places = torch.arange(-12, 13)
    log_masses = -0.5 * ((places - shift) * spacing) ** 2
    found = quantiles_between(places, log_masses.double(), SHARES)
    wanted = shift + stats.norm.ppf(SHARES.numpy()) / spacing
    np.testing.assert_allclose(found.numpy(), wanted, atol=2e-3)


@pytest.mark.parametrize("alpha", [5.0, 50.0])
def test_quantiles_of_a_noise_variance(alpha):
    """The logarithm of an inverse gamma law, at nodes that are one standard deviation apart."""
    step = 1.0 / math.sqrt(alpha)
    places = torch.arange(-25, 40)
    t = places.double() * step
    found = step * quantiles_between(places, -alpha * t - alpha * torch.exp(-t), SHARES)
    wanted = np.log(stats.invgamma(alpha, scale=alpha).ppf(SHARES.numpy()))
    np.testing.assert_allclose(found.numpy(), wanted, atol=0.01 * step)


def test_between_two_peaks_there_is_nothing():
    places = torch.tensor([0, 1, 2, 20, 21, 22])
    masses = torch.tensor([0.0, 1.0, 0.0, 0.0, 1.0, 0.0]).double()
    found = quantiles_between(places, masses, SHARES)
    assert bool(((found <= 2.0) | (found >= 20.0)).all())
    assert abs(float((found <= 2.0).double().mean()) - 0.5) < 0.002
    assert torch.equal(quantiles_between(places[:1], masses[:1], SHARES), torch.zeros(999).double())


def test_two_dimensions_with_weights():
    """A Normal law on a lattice: means, covariance and quantiles are its own, also of weighted draws."""
    generator = torch.Generator().manual_seed(0)
    grid = torch.cartesian_prod(torch.arange(-6, 7), torch.arange(-6, 7)).double()
    precision = torch.tensor([[1.0, 0.3], [0.3, 1.5]], dtype=torch.float64)
    log_masses = -0.5 * torch.einsum("ki,ij,kj->k", grid, precision, grid)
    weights = 0.5 + torch.rand(40_000, generator=generator, dtype=torch.float64)
    nodes = torch.multinomial(log_masses.exp(), 40_000, replacement=True, generator=generator)
    found = between_nodes(grid, log_masses, nodes, weights)
    share = weights / weights.sum()
    mean = share @ found
    covariance = (found - mean).T @ (share[:, None] * (found - mean))
    torch.testing.assert_close(mean, torch.zeros(2).double(), atol=0.02, rtol=0.0)
    torch.testing.assert_close(covariance, torch.linalg.inv(precision), atol=0.03, rtol=0.0)
    assert float((found - grid[nodes]).abs().max()) < 2.0
    assert len(torch.unique(found[:, 0])) > 30_000


@pytest.mark.parametrize("rows", [15, 400])
def test_the_interval_of_an_unknown_noise_holds_what_it_says(rows):
    """Against a quadrature of the one model that matters."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(rows, 3))
    y = x[:, 0] + rng.normal(size=rows)
    fit = SpikeSlabRegressor(random_state=0).fit(x, y)
    draws = np.asarray(fit.inference_data_.posterior["noise_scale"]).ravel()
    response = y.std()
    z, target = (x - x.mean(0)) / x.std(0), (y - y.mean()) / response
    columns = np.column_stack([10.0 * np.ones(rows), z[:, 0]])
    values, vectors = np.linalg.eigh(columns.T @ columns)
    explained = (vectors.T @ (columns.T @ target)) ** 2
    logs = np.linspace(-4.0, 3.0, 20_001)
    noise = np.exp(logs)
    density = (
        -0.5 * ((rows - 2) * logs + np.log(noise[:, None] + values).sum(1))
        - 0.5 * (target @ target - (explained / (noise[:, None] + values)).sum(1)) / noise
        - 0.005 * logs - 0.0025 / noise
    )  # fmt: skip
    cumulative = np.cumsum(np.exp(density - density.max()))
    cumulative /= cumulative[-1]
    for share in (0.03, 0.25, 0.5, 0.75, 0.97):
        true = np.interp(np.quantile(draws, share), np.sqrt(noise) * response, cumulative)
        assert abs(true - share) < 0.02, share


@pytest.mark.parametrize("kind", ["dispersion", "student_t"])
def test_learned_numbers_are_not_rounded_to_nodes(kind):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 3))
    if kind == "dispersion":
        y = rng.poisson(rng.gamma(2.0, 0.5, 60) * np.exp(0.5 + 0.5 * x[:, 0]))
        fit = SpikeSlabCountRegressor("negative_binomial", random_state=0).fit(x, y)
    else:
        fit = SpikeSlabRobustRegressor(random_state=0).fit(x, x[:, 0] + rng.standard_t(4.0, 60))
    scalars = fit.posterior_.draws.scalars
    assert scalars is not None
    assert len(torch.unique(scalars[:, 0])) > 0.9 * len(scalars)
