"""Priors and likelihoods of the sparse network, each against its formula."""

import math

import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import nn
from torch.nn import functional

from l0bayes.distributions import Gate, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import MeanFieldELBO
from l0bayes.infer.objectives.latent_draws import Given
from l0bayes.models import SparseNetwork
from l0bayes.models.network_likelihoods import Observation
from tests.models.networks import X, data_for, dense, values_of
from tests.network.zoo import DIGITS, IMAGES, ROWS, SETS, VECTORS, Blocks, Tokens, lenet, mlp, seeded

pytestmark = pytest.mark.usefixtures("float64")


def priors(model):
    return {name: model.priors[name] for name in model.plan.specs}


# ---- gates -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "gates", "x", "weights"),
    [
        # The parameters of its own module that a gate multiplies, as the paper counts them.
        (mlp, "input", VECTORS, {"0.gate": 4, "2.gate": 3, "4.gate": 2}),
        (mlp, "output", VECTORS, {"0.gate": 6, "2.gate": 5}),
        (mlp, "weight", VECTORS, {"0.gate": 1, "2.gate": 1, "4.gate": 1}),
        (lenet, {"[03]": "output", "8": "input"}, DIGITS, {"0.gate": 10, "3.gate": 27, "8.gate": 5}),
        (lenet, {"3": "input"}, DIGITS, {"3.gate": 36}),
        (Tokens, "heads", SETS, {"layer.self_attn.gate": (4 * 64 + 32) / 4}),
        (Blocks, {"inside1": "block", "branch1": "block"}, IMAGES, {"inside1.gate": 156, "branch1.gate": 31}),
        (mlp, {"rows": ROWS}, VECTORS, {"rows.gate": 5}),
    ],
)
def test_penalties_by_gate_and_by_parameter(make, gates, x, weights):
    options = {"gates": gates, "example": x, "penalty": 0.3}
    each = priors(SparseNetwork(seeded(make), **options))
    assert {name: prior.penalty.item() for name, prior in each.items()} == pytest.approx(
        dict.fromkeys(weights, 0.3)
    )
    by_parameter = priors(SparseNetwork(seeded(make), penalty_per="parameter", **options))
    found = {name: prior.penalty.item() for name, prior in by_parameter.items()}
    assert found == pytest.approx({name: 0.3 * count for name, count in weights.items()})


def test_a_penalty_is_what_the_objective_pays():
    model = SparseNetwork(dense(), penalty={"0": 0.1, "*": 2.0}, penalty_per="parameter", slab=L2Penalty(0.0))
    guide = AutoHardConcrete(model, data_for(model), slab="delta").perturb(1, gates=2.0)
    kl = MeanFieldELBO().terms(model, guide, *data_for(model)).kl
    active = {name: law.prob_active.sum() for name, law in guide.gates().items()}
    for name, price in {"0.gate": 0.1 * 4, "2.gate": 2.0 * 3, "4.gate": 2.0 * 2}.items():
        torch.testing.assert_close(kl[name], price * active[name])


def test_expected_active_gates():
    found = priors(SparseNetwork(dense(), expected_active={"0": 1, "*": 1.5}))
    shares = [float(found[name].inclusion_probability) for name in ("0.gate", "2.gate", "4.gate")]
    assert shares == pytest.approx([1 / 5, 1.5 / 4, 1.5 / 3])


def test_inclusion_by_glob():
    model = SparseNetwork(dense(), inclusion={"4": 0.9, "[02]": Gate(0.2)})
    nodes = poutine.trace(model).get_trace(*data_for(model)).nodes
    found = [
        nodes[f"{n}.gate"]["fn"].base_dist.inclusion_probability.unique().item() for n in ("0", "2", "4")
    ]
    assert found == pytest.approx([0.2, 0.2, 0.9])
    nodes = poutine.trace(SparseNetwork(dense())).get_trace(*data_for(model)).nodes
    assert nodes["0.gate"]["fn"].base_dist.inclusion_probability.unique().item() == 0.5


# ---- slabs -------------------------------------------------------------------------------------------


def test_slabs_by_glob():
    slab = {"0.weight": dist.Normal(0.0, 0.1), "*.bias": dist.Normal(0.0, 5.0), "*": dist.Laplace(0.0, 0.7)}
    model = SparseNetwork(dense(), slab=slab)
    nodes = poutine.trace(model).get_trace(*data_for(model)).nodes
    found = {name: nodes[f"{name}.slab"]["fn"].base_dist.scale.unique().item() for name in model.links}
    biases = {f"{n}.bias": 5.0 for n in (0, 2, 4)}
    assert found == pytest.approx({"0.weight": 0.1, "2.weight": 0.7, "4.weight": 0.7, **biases})


def test_learned_scales():
    r"""KL of N(m, v) to N(0, s²): log(s/√v) + (v + m²)/2s² − 1/2, for open gates; its best s is the RMS."""
    model = SparseNetwork(dense(), gates={}, slab="learned")
    guide = AutoHardConcrete(model, data_for(model), init_scale=0.2).perturb(0, locs=0.3)
    assert [name for name, _ in model.learned_scales.named_parameters()] == [
        n.replace(".", "/") for n in model.links
    ]
    kl = MeanFieldELBO().terms(model, guide, *data_for(model)).kl
    for name in model.links:
        law = guide.laws()[f"{name}.slab"]
        mean, variance = law.mean, law.variance
        log_scale = model.learned_scales[name.replace(".", "/")]
        scale = log_scale.exp()
        expected = (scale.log() - variance.log() / 2 + (variance + mean**2) / (2 * scale**2) - 0.5).sum()
        torch.testing.assert_close(kl[f"{name}.slab"], expected)
        (gradient,) = torch.autograd.grad(kl[f"{name}.slab"], log_scale, retain_graph=True)
        torch.testing.assert_close(gradient, (1 - (variance + mean**2) / scale**2).sum())
        start = dict(dense().named_parameters())[name].square().mean().sqrt()
        torch.testing.assert_close(scale, start.clamp(min=1e-3))


# ---- likelihoods -------------------------------------------------------------------------------------

OUTPUT = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
GRID = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("output", [OUTPUT, GRID])
@pytest.mark.parametrize(
    ("likelihood", "log_prob"),
    [
        ("categorical", lambda f, y: -functional.cross_entropy(f.movedim(-1, 1), y, reduction="none")),
        ("bernoulli", lambda f, y: -functional.binary_cross_entropy_with_logits(f, y, reduction="none")),
        ("gaussian", lambda f, y: torch.distributions.Normal(f, 0.7).log_prob(y)),
        (
            "poisson",
            lambda f, y: -functional.poisson_nll_loss(f, y, full=False, reduction="none") - (y + 1).lgamma(),
        ),
        (
            lambda f: dist.StudentT(4.0, f, 2.0),
            lambda f, y: torch.distributions.StudentT(4.0, f, 2.0).log_prob(y),
        ),
    ],
)
def test_each_example_has_one_log_likelihood(likelihood, log_prob, output):
    observation = Observation(likelihood, 0.7)
    law = observation(output)
    assert law.batch_shape == (6,)
    y = law.sample()
    observation.check(y, output.shape, 6)
    expected = log_prob(output, y).flatten(1).sum(1) if y.dim() > 1 else log_prob(output, y)
    torch.testing.assert_close(law.log_prob(y), expected)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli", "poisson"])
def test_one_number_an_example(likelihood):
    """A network that returns a vector of numbers: each is an example's."""
    net = seeded(lambda: nn.Sequential(nn.Linear(5, 1), nn.Flatten(0)))
    model = SparseNetwork(net, likelihood=likelihood, num_data=18)
    y = torch.tensor([0.0, 1, 1, 0, 1, 0])
    model.check_data(VECTORS, y)
    values = {
        name: v
        for name, v in poutine.trace(model).get_trace(VECTORS, y).nodes.items()
        if v["type"] == "sample"
    }
    trace = poutine.trace(model).get_trace(VECTORS, y)
    trace.compute_log_prob()
    law = Observation(likelihood)(trace.nodes["_RETURN"]["value"])
    torch.testing.assert_close(trace.nodes["y"]["log_prob_sum"], 3 * law.log_prob(y).sum())
    assert values["y"]["value"].shape == (6,)


def test_learned_noise():
    model = SparseNetwork(dense(), likelihood="gaussian", noise_scale="learned")
    values, y = values_of(model), data_for(model)[1]
    with torch.no_grad():
        model.observation.log_noise.fill_(-1.2)
    with Given(values):
        trace = poutine.trace(model).get_trace(X, y)
    trace.compute_log_prob()
    found = trace.nodes["y"]["log_prob_sum"]
    residual = (y - trace.nodes["_RETURN"]["value"]).square().sum()
    torch.testing.assert_close(found, -residual / (2 * math.exp(-2.4)) + 16 * 1.2 - 8 * math.log(2 * math.pi))
    (gradient,) = torch.autograd.grad(found, model.observation.log_noise)
    torch.testing.assert_close(gradient, residual / math.exp(-2.4) - 16)
    assert "observation.log_noise" in dict(model.named_parameters())


def test_any_function_to_a_distribution():
    def likelihood(output):
        return dist.Normal(output[:, 0], functional.softplus(output[:, 1]))

    model = SparseNetwork(dense(), likelihood=likelihood)
    values = values_of_function(model)
    with Given(values):
        trace = poutine.trace(model).get_trace(X, X[:, 0])
    trace.compute_log_prob()
    output = trace.nodes["_RETURN"]["value"]
    expected = torch.distributions.Normal(output[:, 0], functional.softplus(output[:, 1])).log_prob(X[:, 0])
    torch.testing.assert_close(trace.nodes["y"]["log_prob_sum"], expected.sum())
    model.check_data(X, X[:, 0])


def values_of_function(model):
    return AutoHardConcrete(model, (X, X[:, 0]))(X, X[:, 0])


@pytest.mark.parametrize(
    ("likelihood", "y", "message"),
    [
        (
            "categorical",
            torch.tensor([0, 1, 1, 0, 2, 0, 0, 7]),
            r"labels 0 to 1, .* 2 outputs; got 2 \(2 values",
        ),
        (
            "categorical",
            torch.tensor([0, 1, 1, 0, -1, 0, 0, 1]),
            r"labels 0 to 1, .*; got -1 \(1 values out of range",
        ),
        ("categorical", torch.zeros(8).double(), "y must hold labels as integers .*, got torch.float64"),
        ("categorical", torch.zeros(8, 2, dtype=torch.long), r"y must have shape \(8,\)"),
        ("categorical", torch.zeros(7, dtype=torch.long), "x and y must have as many rows; got 8 and 7"),
        ("bernoulli", torch.full((8, 2), 1.5), r"values between 0 and 1 .*; got 1.5 \(16 values"),
        ("bernoulli", torch.zeros(8), r"y must have shape \(8, 2\)"),
        ("poisson", torch.full((8, 2), -1.0), "counts, not negative, for the poisson likelihood; got -1.0"),
        (
            "gaussian",
            torch.zeros(8, 1),
            r"y must have shape \(8, 2\) for the gaussian likelihood, got \(8, 1\)",
        ),
    ],
)
def test_data_that_cannot_be_observed(likelihood, y, message):
    model = SparseNetwork(dense(), likelihood=likelihood)
    with pytest.raises(ValueError, match=message):
        model.check_data(X, y)


def test_data_of_another_type():
    with pytest.raises(TypeError, match="y must be a tensor, got list"):
        SparseNetwork(dense()).check_data(X, [0] * 8)
    SparseNetwork(dense()).check_data(X)
