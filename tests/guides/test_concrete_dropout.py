"""Concrete Dropout, written from its published formulas, against the ELBO that is to be the same.

The reference is in the source's coordinates: weights W, dropout probability p, inputs scaled by 1 / (1 - p),
and a loss that is a mean over examples. Ours are slabs M = W / (1 - p), gates that are open with probability
1 - p, and nats of the whole data set.
"""

import math
from types import SimpleNamespace

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

import l0bayes
from l0bayes.distributions import Gate, L2Penalty
from l0bayes.guides import AutoConcreteDropout
from l0bayes.infer import MeanFieldELBO, describe_objective
from l0bayes.infer.loop.collapse import most_open, reopen_collapsed
from l0bayes.models import SparseNetwork
from l0bayes.network import GateGroup

pytestmark = pytest.mark.usefixtures("float64")

SIZES = [(4, 6), (6, 6)]  # fan-in and fan-out of the two layers; the regression has 3 means, 3 log variances
ROWS, NUM_DATA = 7, 35
CLOSE = {"rtol": 1e-10, "atol": 1e-13}

SETTINGS = [(0.1, 0.1, 1e-2), (0.02, 0.35, 0.7), (0.6, 0.45, 3.0)]  # p of each layer, prior length scale


# ---- the published objective -------------------------------------------------------------------------


class Published:
    """Loss of a two-layer network with Concrete Dropout, term by term."""

    def __init__(self, task, weights, biases, probabilities, length_scale):
        self.task, self.length_scale = task, length_scale
        self.weights = [w.clone().requires_grad_() for w in weights]
        self.biases = [b.clone().requires_grad_() for b in biases]
        self.logits = [torch.tensor(math.log(p / (1 - p))).requires_grad_() for p in probabilities]

    @property
    def probabilities(self):
        return [torch.sigmoid(logit) for logit in self.logits]

    def forward(self, x, noise):
        for layer, u in enumerate(noise):
            p = self.probabilities[layer]
            odds = torch.log(p) - torch.log(1 - p) + torch.log(u) - torch.log(1 - u)
            dropped = torch.sigmoid(odds / 0.1)
            x = x * (1 - dropped) / (1 - p)
            x = x @ self.weights[layer].mT + self.biases[layer]
            x = torch.relu(x) if layer == 0 else x
        return x

    def data(self, x, y, noise):
        output = self.forward(x, noise)
        if self.task == "classification":
            return (torch.logsumexp(output, -1) - output[torch.arange(len(y)), y]).mean()
        mean, log_variance = output[:, :3], output[:, 3:]
        return (torch.exp(-log_variance) * (y - mean) ** 2 + log_variance).sum(-1).mean()

    @property
    def factor(self):
        """The two of the regulariser's scales, left out for cross-entropy."""
        return 1.0 if self.task == "classification" else 2.0

    def weight_term(self, layer):
        scale = self.factor * self.length_scale**2 / (2 * NUM_DATA)
        return scale * (self.weights[layer] ** 2).sum() / (1 - self.probabilities[layer])

    def dropout_term(self, layer):
        p, scale = self.probabilities[layer], self.factor / NUM_DATA
        return scale * SIZES[layer][0] * (p * torch.log(p) + (1 - p) * torch.log(1 - p))

    def total(self, x, y, noise):
        regulariser = sum(self.weight_term(layer) + self.dropout_term(layer) for layer in (0, 1))
        return self.data(x, y, noise) + regulariser


def problem(task, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=generator)

    weights = [normal(out, into) / into**0.5 for into, out in SIZES]
    biases = [0.3 * normal(out) for _, out in SIZES]
    x = normal(ROWS, SIZES[0][0])
    y = normal(ROWS, 3) if task == "regression" else torch.arange(ROWS) % SIZES[1][1]
    return SimpleNamespace(task=task, weights=weights, biases=biases, x=x, y=y)


def two_gaussians(output):
    return dist.Normal(output[:, :3], torch.exp(0.5 * output[:, 3:])).to_event(1)


# ---- ours --------------------------------------------------------------------------------------------


class Plain:
    """The same network as a plain Pyro model with gates on inputs."""

    supports_per_example_gates = True

    def __init__(self, task, length_scale):
        self.task, self.length_scale = task, length_scale

    def __call__(self, x, y):
        for layer, (into, out) in enumerate(SIZES):
            unit = l0bayes.gate(f"{layer}.gate", 0.5, [into])
            decay = L2Penalty(torch.tensor(self.length_scale**2)).expand([out, into]).to_event(2)
            weight = l0bayes.slab(f"{layer}.weight", decay, unit.view(1, into))
            bias = l0bayes.slab(f"{layer}.bias", L2Penalty(0.0).expand([out]).to_event(1))
            x = (x * unit.value) @ weight.mT + bias
            x = torch.relu(x) if layer == 0 else x
        with pyro.plate("data", NUM_DATA, subsample=torch.arange(len(x))):
            law = dist.Categorical(logits=x) if self.task == "classification" else two_gaussians(x)
            pyro.sample("y", law, obs=y)


def columns(layer, count):
    """One gate a column of a layer's weight, and nothing else: no bias, no neighbouring layer."""
    return GateGroup([[(f"{layer}.weight", (slice(None), column))] for column in range(count)])


def network(task, length_scale, gates):
    net = nn.Sequential(nn.Linear(*SIZES[0]), nn.ReLU(), nn.Linear(*SIZES[1]))
    return SparseNetwork(
        net,
        gates=gates,
        inclusion=Gate(0.5),
        slab={"*.weight": L2Penalty(torch.tensor(length_scale**2)), "*.bias": L2Penalty(0.0)},
        likelihood="categorical" if task == "classification" else two_gaussians,
        num_data=NUM_DATA,
    )


AS_GROUPS = {"first": columns("0", SIZES[0][0]), "second": columns("2", SIZES[1][0])}

# How it is written: the model, the gate site and the layer's name of each layer.
WAYS = {
    "plain": (Plain, ["0.gate", "1.gate"], ["0", "1"]),
    "groups": (lambda *args: network(*args, AS_GROUPS), ["first.gate", "second.gate"], ["0", "2"]),
    "input": (lambda *args: network(*args, "input"), ["0.gate", "2.gate"], ["0", "2"]),
}


class Ours:
    """A model and its guide at given W, b and p."""

    def __init__(self, way, given, probabilities, length_scale):
        make, self.gates, self.layers = WAYS[way]
        self.model = make(given.task, length_scale)
        self.guide = AutoConcreteDropout(self.model, (given.x, given.y))
        with torch.no_grad():
            for layer, p in enumerate(probabilities):
                self.log_alpha(layer).fill_(math.log((1 - p) / p))
                self.slab(layer, "weight").copy_(given.weights[layer] / (1 - p))
                self.slab(layer, "bias").copy_(given.biases[layer])

    def log_alpha(self, layer):
        return self.guide.log_alpha._parameters[self.gates[layer].replace(".", "/") + "_unconstrained"]

    def slab(self, layer, kind):
        name = f"{self.layers[layer]}/{kind}/slab_unconstrained"
        return self.guide.loc._parameters[name]

    def terms(self, given, seed, **options):
        torch.manual_seed(seed)
        return MeanFieldELBO(**options).terms(self.model, self.guide, given.x, given.y)


def noise_of(seed, rows=None):
    """What our guide draws, as the source's noise: that is of dropping, ours of keeping."""
    torch.manual_seed(seed)
    return [1.0 - torch.rand(*([rows] if rows else []), into) for into, _ in SIZES]


def both(way, task, setting):
    *probabilities, length_scale = setting
    given = problem(task)
    published = Published(task, given.weights, given.biases, probabilities, length_scale)
    return given, published, Ours(way, given, probabilities, length_scale)


def scale(published):
    """From nats of all data to the published loss."""
    return published.factor / NUM_DATA


def data_constant(published):
    """What the published regression loss leaves out of twice the Gaussian's negative log density."""
    return 3 * math.log(2 * math.pi) if published.task == "regression" else 0.0


TASKS = ["regression", "classification"]
EXACT = ["plain", "groups"]


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("way", EXACT)
def test_the_objective_is_the_published_one_term_by_term(way, task, setting):
    given, published, ours = both(way, task, setting)
    for seed in range(3):
        noise = noise_of(seed)
        terms = ours.terms(given, seed)
        to_loss = scale(published)
        data = published.data(given.x, given.y, noise)
        torch.testing.assert_close(-to_loss * terms.log_likelihood - data_constant(published), data, **CLOSE)
        for layer, (into, _) in enumerate(SIZES):
            weight = to_loss * terms.kl[f"{ours.layers[layer]}.weight.slab"]
            torch.testing.assert_close(weight, published.weight_term(layer), **CLOSE)
            dropout = to_loss * (terms.kl[ours.gates[layer]] - into * math.log(2))
            torch.testing.assert_close(dropout, published.dropout_term(layer), **CLOSE)
            assert terms.kl[f"{ours.layers[layer]}.bias.slab"] == 0
        free_energy = terms.total_kl - terms.log_likelihood
        constant = data_constant(published) + to_loss * sum(into for into, _ in SIZES) * math.log(2)
        torch.testing.assert_close(
            to_loss * free_energy - constant, published.total(given.x, given.y, noise), **CLOSE
        )


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("way", EXACT)
def test_its_gradients_are_the_published_ones_through_the_map(way, task, setting):
    """At a fixed W the slab M = W / (1 - p) moves with p: dM / d logit p = p M."""
    given, published, ours = both(way, task, setting)
    published.total(given.x, given.y, noise_of(4)).backward()
    terms = ours.terms(given, 4)
    (scale(published) * (terms.total_kl - terms.log_likelihood)).backward()
    for layer, p in enumerate(setting[:2]):
        slab, bias = ours.slab(layer, "weight"), ours.slab(layer, "bias")
        torch.testing.assert_close(slab.grad / (1 - p), published.weights[layer].grad, **CLOSE)
        torch.testing.assert_close(bias.grad, published.biases[layer].grad, **CLOSE)
        through_slab = p * (slab.grad * slab).sum()
        found = through_slab - ours.log_alpha(layer).grad
        torch.testing.assert_close(found.detach(), published.logits[layer].grad, **CLOSE)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("pair", [(1e-6, 1e-5), (0.02, 0.3)])
def test_any_pair_of_regularisers_is_a_length_scale_and_a_weight_of_the_kl(pair, task):
    weight_regularizer, dropout_regularizer = pair
    length_scale = math.sqrt(2 * weight_regularizer / dropout_regularizer)
    given, published, ours = both("plain", task, (0.1, 0.3, length_scale))
    noise = noise_of(8)
    expected = published.data(given.x, given.y, noise)
    for weight, p, (into, _) in zip(published.weights, published.probabilities, SIZES, strict=True):
        expected = expected + weight_regularizer * (weight**2).sum() / (1 - p)
        expected = expected + dropout_regularizer * into * (p * torch.log(p) + (1 - p) * torch.log(1 - p))
    kl_weight = dropout_regularizer * NUM_DATA / published.factor
    torch.manual_seed(8)
    elbo = MeanFieldELBO(kl_weight=kl_weight)
    loss = elbo.differentiable_loss(ours.model, ours.guide, given.x, given.y)
    constant = data_constant(published) + dropout_regularizer * sum(into for into, _ in SIZES) * math.log(2)
    torch.testing.assert_close(scale(published) * loss - constant, expected, **CLOSE)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("way", ["plain", "input"])
def test_gates_of_each_example_are_its_masks(way, task):
    given, published, ours = both(way, task, SETTINGS[1])
    terms = ours.terms(given, 6, per_example_gates=True)
    data = published.data(given.x, given.y, noise_of(6, ROWS))
    found = -scale(published) * terms.log_likelihood - data_constant(published)
    torch.testing.assert_close(found, data, **CLOSE)


@pytest.mark.parametrize("setting", SETTINGS)
def test_gates_on_units_pay_for_a_weight_while_both_its_ends_are_there(setting):
    """All else of ``gates="input"`` is Concrete Dropout."""
    given, published, ours = both("input", "classification", setting)
    terms = ours.terms(given, 5)
    data = published.data(given.x, given.y, noise_of(5))
    torch.testing.assert_close(-scale(published) * terms.log_likelihood, data, **CLOSE)
    for layer, (into, _) in enumerate(SIZES):
        dropout = scale(published) * (terms.kl[ours.gates[layer]] - into * math.log(2))
        torch.testing.assert_close(dropout, published.dropout_term(layer), **CLOSE)
    first, second = (scale(published) * terms.kl[f"{name}.weight.slab"] for name in ours.layers)
    torch.testing.assert_close(first, published.weight_term(0) * (1 - setting[1]), **CLOSE)
    torch.testing.assert_close(second, published.weight_term(1), **CLOSE)


# ---- where the two part ------------------------------------------------------------------------------


def test_its_gates_are_never_shut_and_it_says_that_it_is_no_bound():
    given, _, ours = both("plain", "regression", SETTINGS[2])
    for law in ours.guide.gates().values():
        assert not law.has_atom_at_zero
        assert (law.sample((1000,)) > 0).all()
    objective = describe_objective(ours.model, ours.guide, (given.x, given.y))
    assert not objective.is_bound
    assert "no atom at 0" in objective.note


@pytest.mark.parametrize("setting", SETTINGS[:2])
def test_eq13_deploys_the_weights_of_dropout_and_the_median_deploys_slabs(setting):
    given, _, ours = both("groups", "regression", setting)
    scaled = ours.model.deploy(ours.guide, "eq13")
    for layer, p in zip((0, 2), setting[:2], strict=True):
        weight = given.weights[layer // 2]
        torch.testing.assert_close(scaled[layer].weight.detach(), weight, **CLOSE)
        median = ours.model.deploy(ours.guide)[layer].weight.detach() * (1 - p) / weight
        sharp = 1 / (1 + (p / (1 - p)) ** 10)  # the median gate, at temperature 0.1
        np.testing.assert_allclose(median.numpy(), sharp, rtol=1e-9)


def test_a_tied_probability_closes_all_units_or_none():
    _, _, ours = both("input", "regression", (0.6, 0.45, 1.0))
    small = ours.model.deploy(ours.guide)
    assert small[0].weight.count_nonzero() == 0
    assert small[2].weight.count_nonzero() == SIZES[1][0] * SIZES[1][1]


def test_a_probability_beyond_one_half_is_no_collapsed_layer():
    given, _, ours = both("input", "regression", (0.6, 0.45, 1.0))
    start = most_open(AutoConcreteDropout(ours.model, (given.x, given.y)))
    collapsed = {}
    reopen_collapsed(ours.guide, start, collapsed, step=1)
    assert not collapsed
    assert torch.sigmoid(-ours.log_alpha(0)).item() == pytest.approx(0.6)


def test_without_data_the_dropout_probability_goes_to_one_half():
    given, _, ours = both("plain", "regression", SETTINGS[0])
    for parameter in ours.guide.loc.parameters():
        parameter.data.zero_()
    optimizer = torch.optim.Adam(ours.guide.gate_parameters(), lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        ours.terms(given, 0).total_kl.backward()
        optimizer.step()
    for law in ours.guide.gates().values():
        np.testing.assert_allclose(law.prob_active.detach().numpy(), 0.5, atol=1e-3)
