"""Predictions for draws from the guide, against a loop over the draws."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer.autoguide import AutoNormal

from l0bayes.guides import AutoHardConcrete
from l0bayes.infer.draws import draw_latents
from l0bayes.models import SparseNetwork, SparseRegression
from l0bayes.posterior import predict
from tests.posterior import fits
from tests.posterior.fits import LABELS, X, Y

NEW = torch.randn(7, 3, generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize("chunk_size", [None, 1, 4, 25])
def test_a_regressions_linear_predictor(chunk_size):
    fit = fits.plain()
    found = predict(fit.model, fit.guide, (NEW,), num_draws=10, seed=3, chunk_size=chunk_size)
    draws = draw_latents(fit.guide, (NEW,), 10, seed=3)
    loop = [NEW @ (draws["beta.gate"][s] * draws["beta.slab"][s]) + draws["intercept"][s] for s in range(10)]
    torch.testing.assert_close(found, torch.stack(loop))


def test_a_networks_logits():
    fit = fits.network()
    found = predict(fit.model, fit.guide, (NEW,), num_draws=8, seed=1)
    draws = draw_latents(fit.guide, (NEW,), 8, seed=1)
    loop = []
    for s in range(8):
        one = {name: value[s] for name, value in draws.items()}
        hidden = (NEW * one["0.gate"]) @ one["0.weight.slab"].T + one["0.bias.slab"]
        loop.append((hidden.relu() * one["2.gate"]) @ one["2.weight.slab"].T + one["2.bias.slab"])
    torch.testing.assert_close(found, torch.stack(loop))
    assert found.shape == (8, 7, 3)


def test_responses_may_be_given_and_change_nothing():
    fit = fits.plain()
    one = predict(fit.model, fit.guide, (NEW,), num_draws=4)
    assert torch.equal(one, predict(fit.model, fit.guide, (NEW, torch.zeros(7)), num_draws=4))


def test_more_rows_than_the_data_had():
    """num_data scales the likelihood of minibatches; predictions are for any number of rows."""
    net = torch.nn.Sequential(torch.nn.Linear(3, 2))
    model = SparseNetwork(net, num_data=20)
    guide = AutoHardConcrete(model, (X[:20], LABELS[:20].clamp(max=1)))
    assert predict(model, guide, (X,), num_draws=2).shape == (2, 30, 2)
    assert predict(model, guide, (NEW,), num_draws=2).shape == (2, 7, 2)


def test_a_model_that_cannot_be_batched():
    def model(x, y=None):
        w = pyro.sample("w", dist.Normal(0.0, 1.0))
        return x * (2.0 if w > 0 else -1.0)  # a branch on a value

    guide = AutoHardConcrete(model, (NEW,))
    found = predict(model, guide, (NEW,), num_draws=9)
    w = draw_latents(guide, (NEW,), 9, seed=0)["w"]
    assert {bool(v > 0) for v in w} == {True, False}
    expected = torch.stack([NEW * (2.0 if v > 0 else -1.0) for v in w])
    assert torch.equal(found, expected)


def test_pyros_own_guide():
    def model(x, y=None):
        w = pyro.sample("w", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(x @ w, 1.0), obs=y)
        return x @ w

    guide = AutoNormal(model)
    guide(X, Y)
    found = predict(model, guide, (NEW,), num_draws=6, seed=2)
    draws = draw_latents(guide, (NEW,), 6, seed=2)["w"]
    torch.testing.assert_close(found, draws @ NEW.T)


def test_predictions_follow_their_seed_and_carry_no_gradient():
    fit = fits.plain()
    before = torch.get_rng_state()
    one = predict(fit.model, fit.guide, (NEW,), num_draws=5, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert not one.requires_grad
    torch.rand(3)
    assert torch.equal(one, predict(fit.model, fit.guide, (NEW,), num_draws=5, seed=1))
    assert not torch.equal(one, predict(fit.model, fit.guide, (NEW,), num_draws=5, seed=2))


def test_a_point_slab_whose_gate_is_sure_gives_one_prediction():
    model = SparseRegression(3, noise_scale=1.0, intercept_scale=None)
    guide = AutoHardConcrete(model, (X, Y), slab="delta").perturb(0)
    with torch.no_grad():
        for parameter in guide.gate_parameters():
            parameter.fill_(200.0)
    found = predict(model, guide, (NEW,), num_draws=3)
    expected = NEW @ guide.median()["beta.slab"]
    torch.testing.assert_close(found, expected.expand(3, 7))
    assert not found.requires_grad


@pytest.mark.parametrize("count", [0, -2])
def test_no_draws(count):
    with pytest.raises(ValueError, match=f"num_draws must be at least 1, got {count}"):
        predict(fits.plain().model, fits.plain().guide, (NEW,), num_draws=count)
