"""Moments and bias of draws whose law is known."""

import pytest
import torch

from l0bayes.gradients.estimates import Reference, draw_moments, judge
from l0bayes.gradients.gradient_draws import GradientDraws

G = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)
ROOT = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.5, 0.0], [0.0, -0.4, 2.0]], dtype=torch.float64)


class Normal(GradientDraws):
    """Normal draws around a mean; ROOT ROOT' is their covariance."""

    evaluations = 3

    def __init__(self, mean):
        self.mean = mean

    def draw(self, count):
        return self.mean + torch.randn(count, 3, dtype=torch.float64) @ ROOT.T


def judged(bias, seed, reference_draws=None, num_draws=200):
    torch.manual_seed(seed)
    reference = Reference(G)
    if reference_draws is not None:
        moments = draw_moments(Normal(G), reference_draws, 1000)
        reference = Reference(moments.mean, moments)
    return judge(draw_moments(Normal(G + bias), num_draws, 64, reference.gradient), reference, 3), reference


def test_the_moments_are_those_of_the_draws():
    torch.manual_seed(0)
    moments = draw_moments(Normal(G), 103, 10, centre=G)
    torch.manual_seed(0)
    draws = torch.cat([Normal(G).draw(min(10, 103 - start)) for start in range(0, 103, 10)])
    torch.testing.assert_close(moments.mean, draws.mean(0))
    torch.testing.assert_close(moments.variance, draws.var(0))
    torch.testing.assert_close(moments.standard_error, draws.std(0) / 103**0.5)
    torch.testing.assert_close(moments.groups[0], draws[[0, 50, 100]].mean(0))
    torch.testing.assert_close(moments.groups[49], draws[[49, 99]].mean(0))
    cosine = torch.nn.functional.cosine_similarity(draws, G[None]).mean()
    assert moments.cosine == pytest.approx(cosine.item())


def test_the_figures_of_a_candidate():
    one, _ = judged(torch.tensor([0.0, 3.0, 0.0]), seed=0, num_draws=100_000)
    norm2, variance = float(G.square().sum()), float(ROOT.square().sum())
    mean = torch.tensor([2.0, 2.0, 0.5], dtype=torch.float64)
    assert one.bias == pytest.approx(3.0 / norm2**0.5, rel=0.02)
    assert one.variance == pytest.approx(variance, rel=0.02)
    assert one.relative_variance == pytest.approx(variance / norm2, rel=0.02)
    assert one.cost_variance == pytest.approx(3 * variance / norm2, rel=0.02)
    assert one.snr == pytest.approx((float(mean.square().sum()) / variance) ** 0.5, rel=0.02)
    assert one.cosine == pytest.approx(
        float(mean @ G) / (float(mean.square().sum()) * norm2) ** 0.5, rel=0.02
    )


@pytest.mark.parametrize("size", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("reference_draws", [None, 150])
def test_the_bias_is_estimated_without_bias_and_its_interval_covers(size, reference_draws):
    """Also where the reference is itself noisy; |m - g| alone would see a bias that is not there."""
    bias = size * torch.tensor([0.6, 0.0, -0.8], dtype=torch.float64)
    covered, squares, relative = 0, [], []
    for seed in range(200):
        one, reference = judged(bias, seed, reference_draws)
        norm = reference.squared_norm**0.5
        covered += one.bias_low * norm <= size <= one.bias_high * norm
        squares.append((one.bias * norm) ** 2)
        relative.append(float((one.mean - reference.gradient).square().sum()))
    assert covered >= 185  # 95 % of 200 is 190
    if size > 1.0:  # far from 0, where nothing is cut off
        error = torch.tensor(squares).std() / 200**0.5
        assert abs(torch.tensor(squares).mean() - size**2) < 4.0 * error
    if size == 0.0:
        assert torch.tensor(squares).mean() < 0.6 * torch.tensor(relative).mean()


def test_the_norm_of_a_noisy_reference():
    torch.manual_seed(0)
    norms = []
    for _ in range(400):
        moments = draw_moments(Normal(G), 20, 20)
        norms.append(Reference(moments.mean, moments).squared_norm)
    assert sum(norms) / 400 == pytest.approx(float(G.square().sum()), rel=0.03)
