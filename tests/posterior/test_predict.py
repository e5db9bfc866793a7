"""Predictions for draws from the guide, against a loop over the draws."""

import copy

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer.autoguide import AutoNormal

from l0bayes.distributions import deployed_gates
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer.objectives.latent_draws import draw_latents
from l0bayes.models import SparseNetwork, SparseRegression
from l0bayes.posterior import predict, predict_probabilities, prediction_scores
from l0bayes.sites import spike_and_slab
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


# ---- class probabilities -----------------------------------------------------------------------------


class OneLayer(torch.nn.Module):
    """A network with one gated Linear layer behind a normalisation, as a Pyro model."""

    likelihood = "categorical"

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(3)
        self.norm.running_mean.copy_(torch.tensor([0.5, -1.0, 0.0]))

    def forward(self, x, y=None):
        weight = spike_and_slab("w", 0.5, dist.Normal(0.0, 1.0).expand([4, 3]).to_event(2), gate_shape=(1, 3))
        logits = self.norm(x) @ weight.mT
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Categorical(logits=logits), obs=y)
        return logits

    def deploy(self, guide, rule="median"):
        gates = deployed_gates(guide.gates()["w.gate"], rule)
        net = torch.nn.Linear(3, 4, bias=False)
        net.weight = torch.nn.Parameter(guide.median()["w.slab"] * gates)
        return torch.nn.Sequential(copy.deepcopy(self.norm), torch.nn.Dropout(0.5), net)


@pytest.fixture
def layer():
    model = OneLayer()
    guide = AutoHardConcrete(model, (X, LABELS)).perturb(0, gates=1.0, locs=1.0)
    model.norm.running_mean.copy_(torch.tensor([0.5, -1.0, 0.0]))  # the guide's first run moved it
    model.norm.num_batches_tracked.zero_()
    return model, guide


def by_hand(model, x, gate, slab):
    normed = (x - model.norm.running_mean) / (model.norm.running_var + model.norm.eps).sqrt()
    return (normed @ (gate * slab).T).softmax(-1)


def draws_of(guide, count, seed):
    seeds = torch.randint(2**62, (count,), generator=torch.Generator().manual_seed(seed))
    return [{n: v[0] for n, v in draw_latents(guide, (X,), 1, int(one)).items()} for one in seeds]


def test_the_posterior_predictive_is_an_average_of_probabilities(layer):
    model, guide = layer
    found = predict_probabilities(layer, NEW, num_draws=12, seed=5)
    draws = draws_of(guide, 12, seed=5)
    expected = torch.stack([by_hand(model, NEW, d["w.gate"], d["w.slab"]) for d in draws]).mean(0)
    torch.testing.assert_close(found, expected)
    assert found.shape == (7, 4)
    assert not found.requires_grad


@pytest.mark.parametrize("how", ["posterior", "mean", "deployed"])
def test_batches_and_chunks_change_nothing(layer, how):
    whole = predict_probabilities(layer, X, how=how, num_draws=11, batch_size=1000, chunk_size=1000)
    parts = predict_probabilities(layer, X, how=how, num_draws=11, batch_size=7, chunk_size=4)
    torch.testing.assert_close(whole, parts)
    torch.testing.assert_close(whole.sum(-1), torch.ones(30))
    assert prediction_scores(whole, LABELS).count == 30


def test_one_pass_with_means(layer):
    model, guide = layer
    laws = guide.laws()
    expected = by_hand(model, NEW, laws["w.gate"].mean, laws["w.slab"].mean)
    torch.testing.assert_close(predict_probabilities(layer, NEW, how="mean"), expected)


@pytest.mark.parametrize("rule", ["median", "mean", "top_k"])
def test_the_deployed_network(layer, rule):
    model, guide = layer
    expected = by_hand(model, NEW, deployed_gates(guide.gates()["w.gate"], rule), guide.median()["w.slab"])
    found = predict_probabilities(layer, NEW, how="deployed", rule=rule)
    torch.testing.assert_close(found, expected)
    assert not found.requires_grad


def test_a_deployed_draw_follows_its_seed(layer):
    options = {"how": "deployed", "rule": "sample"}
    before = torch.get_rng_state()
    one = predict_probabilities(layer, NEW, seed=1, **options)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one, predict_probabilities(layer, NEW, seed=1, **options))
    assert not torch.equal(one, predict_probabilities(layer, NEW, seed=2, **options))


def test_probabilities_follow_their_seed_and_seeds_share_no_draw(layer):
    _, guide = layer
    before = torch.get_rng_state()
    one = predict_probabilities(layer, NEW, num_draws=3, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one, predict_probabilities(layer, NEW, num_draws=3, seed=1))
    first, second = ({float(d["w.slab"].sum()) for d in draws_of(guide, 20, seed)} for seed in (1, 2))
    assert not first & second


@pytest.mark.parametrize("how", ["posterior", "mean"])
def test_statistics_of_batches_are_left_alone(layer, how):
    model, _ = layer
    model.train()
    model.norm.eval()  # a mode of its own, which must come back
    before = {name: value.clone() for name, value in model.state_dict().items()}
    predict_probabilities(layer, NEW, how=how, num_draws=2)
    assert (model.training, model.norm.training) == (True, False)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_predict_runs_in_eval_mode_too(layer):
    model, guide = layer
    found = predict(model, guide, (NEW,), num_draws=3).softmax(-1)
    draws = draw_latents(guide, (NEW,), 3, seed=0)
    expected = [by_hand(model, NEW, draws["w.gate"][s], draws["w.slab"][s]) for s in range(3)]
    torch.testing.assert_close(found, torch.stack(expected))
    assert model.training


def test_a_fit_of_a_network():
    fit = fits.network()
    found = predict_probabilities(fit, NEW, num_draws=50)
    assert found.shape == (7, 3)
    torch.testing.assert_close(found, predict_probabilities((fit.model, fit.guide), NEW, num_draws=50))
    torch.testing.assert_close(
        predict_probabilities(fit, NEW, how="deployed"), fit.model.deploy(fit.guide)(NEW).softmax(-1).detach()
    )


def test_logistic_regression_has_the_probability_of_one():
    model = SparseRegression(3, likelihood="bernoulli")
    fit = fits.fit(model, (X, (Y > 0).float()), steps=20)
    found = predict_probabilities(fit, X, num_draws=400, seed=2)
    logits = predict(fit.model, fit.guide, (X,), num_draws=400, seed=3)
    torch.testing.assert_close(found, logits.sigmoid().mean(0), atol=0.05, rtol=0)
    assert prediction_scores(found, Y > 0).accuracy > 0.5


def test_latents_without_a_closed_mean_take_their_median():
    def model(x, y=None):
        share = pyro.sample("share", dist.Beta(2.0, 2.0))
        w = spike_and_slab("w", share)
        return torch.stack([x[:, 0] * w, share + 0.0 * x[:, 0]], -1)

    guide = AutoHardConcrete(model, (NEW,)).perturb(1)
    laws = guide.laws()
    found = predict_probabilities((model, guide), NEW, how="mean", likelihood="categorical")
    w = laws["w.gate"].mean * laws["w.slab"].mean
    share = guide.median()["share"].expand(7)
    torch.testing.assert_close(found, torch.stack([NEW[:, 0] * w, share], -1).softmax(-1).detach())


def test_pyros_own_guide_has_probabilities():
    def model(x, y=None):
        return x @ pyro.sample("w", dist.Normal(0.0, 1.0).expand([3, 2]).to_event(2))

    guide = AutoNormal(model)
    guide(X)
    pair = (model, guide)
    assert predict_probabilities(pair, NEW, num_draws=4, likelihood="categorical").shape == (7, 2)
    with pytest.raises(TypeError, match=r"how='mean' needs a guide with laws.*got AutoNormal"):
        predict_probabilities(pair, NEW, how="mean", likelihood="categorical")
    with pytest.raises(TypeError, match=r"how='deployed' needs a model with deploy\(\), got function"):
        predict_probabilities(pair, NEW, how="deployed", likelihood="categorical")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"how": "best"}, "how must be one of posterior, mean, deployed; got 'best'"),
        ({"num_draws": 0}, "num_draws must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"chunk_size": -1}, "chunk_size must be at least 1, got -1"),
        ({"likelihood": "poisson"}, "likelihood must be one of categorical, bernoulli.* got 'poisson'"),
    ],
)
def test_options_that_are_refused(layer, options, message):
    with pytest.raises(ValueError, match=message):
        predict_probabilities(layer, NEW, **options)


def test_models_without_classes_and_inputs_without_rows(layer):
    with pytest.raises(ValueError, match=r"the model's likelihood must be one of .*, got 'gaussian'"):
        predict_probabilities(fits.plain(), NEW)
    with pytest.raises(ValueError, match=r"x must have at least one row, got shape \(0, 3\)"):
        predict_probabilities(layer, NEW[:0])
