"""The enumerated gradient is the gradient."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

import l0bayes
from l0bayes.distributions import HardConcrete, L0Penalty
from l0bayes.gradients import GateProblem, enumerated_gradient
from l0bayes.gradients.exact_gradient import exact_gradient
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import MeanFieldELBO
from l0bayes.sites import gate, slab, spike_and_slab
from l0bayes.testing import guide_models
from tests.gradients.problems import (
    classification,
    closed_form,
    delta_guide,
    enumerated_objective,
    logits_of,
    slabs_of,
)
from tests.infer.exact import all_models
from tests.infer.problems import X, Y, guide_of, regression

LABELS = (Y > 0).double()


def exact(model, guide, data):
    return exact_gradient(GateProblem.of(model, guide, data), chunk_size=5)


def gradient_of(function, logits):
    leaf = logits.clone().requires_grad_()
    return torch.autograd.grad(function(leaf), leaf)[0]


def kl_gradient_of_elbo(model, guide, data):
    """From the library's own ELBO of the guide with binary gates; log alpha has slope 1."""
    hard = guide.harden()
    MeanFieldELBO().terms(model, hard, *data).total_kl.backward()
    return torch.cat([parameter.grad.reshape(-1) for parameter in hard.gate_parameters()])


@pytest.mark.parametrize("seed", range(3))
def test_of_a_linear_gaussian_model_in_closed_form(seed):
    guide = delta_guide(seed=seed, gates=2.0)
    slabs = slabs_of(guide)
    expected = gradient_of(lambda logits: closed_form(logits, slabs), logits_of(guide))
    torch.testing.assert_close(exact(regression(), guide, (X, Y)), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_against_finite_differences_of_the_expected_objective(seed):
    guide = delta_guide(classification, seed=seed)
    logits, slabs = logits_of(guide), slabs_of(guide)

    def objective(at):
        return enumerated_objective(at, slabs, lambda w: dist.Bernoulli(logits=X @ w).log_prob(LABELS).sum())

    step = 1e-5 * torch.eye(len(logits), dtype=torch.float64)
    differences = torch.stack([objective(logits + h) - objective(logits - h) for h in step]) / 2e-5
    torch.testing.assert_close(exact(classification, guide, (X, LABELS)), differences, rtol=1e-7, atol=1e-7)


def test_the_order_of_configurations():
    """f = product of distinct powers tells every gate and every pair of gates apart."""
    logits = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    gates = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 3)

    def expected(at):
        p = torch.sigmoid(at)
        return p[0] + 10.0 * p[1] + 100.0 * p[2] + 7.0 * p[0] * p[2] - 3.0 * p[0] * p[1] * p[2]

    a, b, c = gates.T
    values = a + 10.0 * b + 100.0 * c + 7.0 * a * c - 3.0 * a * b * c
    torch.testing.assert_close(enumerated_gradient(values, logits), gradient_of(expected, logits))


def test_decided_gates_keep_a_relative_accuracy():
    logits = torch.tensor([50.0, -50.0, 0.0], dtype=torch.float64)
    values = torch.tensor([0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0], dtype=torch.float64)
    found = enumerated_gradient(values, logits)
    # The others are at (1, 0) but for the last, at 1/2: the mean of the differences there.
    decided = torch.exp(torch.tensor(-50.0, dtype=torch.float64))
    expected = torch.stack(
        [decided * (8.0 + 15.0) / 2, decided * (24.0 + 48.0) / 2, torch.tensor(0.25 * 8.0)]
    )
    torch.testing.assert_close(found, expected.double(), rtol=1e-12, atol=0.0)


def test_two_gate_sites():
    data = (guide_models.X, guide_models.Y)
    guide = AutoHardConcrete(guide_models.two_layers, data).perturb(2, gates=1.0, locs=0.7)
    problem = GateProblem.of(guide_models.two_layers, guide, data)
    assert problem.labels == (*(f"rows[{i}]" for i in range(2)), *(f"columns[{i}]" for i in range(4)))
    medians = {name: value for name, value in guide.median().items() if name.endswith("slab")}

    def likelihood(z):
        values = {"rows": z[:2], "columns": z[2:], **medians}
        trace = poutine.trace(pyro.condition(guide_models.two_layers, values)).get_trace(*data)
        return trace.nodes["y"]["fn"].log_prob(guide_models.Y).sum().double()

    def expected(logits):
        p = torch.sigmoid(logits)
        weights = (all_models(6) * p + (1 - all_models(6)) * (1 - p)).prod(-1)
        return weights @ torch.stack([likelihood(z.float()) for z in all_models(6)])

    with torch.no_grad():
        logits = torch.cat([law.activity_logits for law in guide.gates().values()]).double()
    truth = gradient_of(expected, logits) - kl_gradient_of_elbo(guide_models.two_layers, guide, data)
    torch.testing.assert_close(exact_gradient(problem, 64), truth, rtol=1e-4, atol=1e-3)


PRIORS = {
    "strict": None,
    "penalty": L0Penalty(0.7),
    "hard_concrete": HardConcrete(torch.tensor(-1.0, dtype=torch.float64)),
}


@pytest.mark.parametrize("slab", ["normal", "delta"])
@pytest.mark.parametrize("prior", PRIORS)
def test_the_kl_is_that_of_the_elbo(prior, slab):
    """With whatever gate prior the model has, and with the KL of the slabs, which open gates pay."""
    model = regression(PRIORS[prior])
    guide = guide_of(model, slab=slab)
    found = GateProblem.of(model, guide, (X, Y)).kl_gradient
    torch.testing.assert_close(found, kl_gradient_of_elbo(model, guide, (X, Y)))


def test_slabs_without_gates_and_other_latents_are_held_at_their_medians():
    def model(x, y):
        sigma = pyro.sample("sigma", dist.LogNormal(0.0, 1.0))
        bias = slab("bias", dist.Normal(0.0, 1.0))
        z = gate("z", 0.3, [4])
        beta = spike_and_slab("beta", slab=dist.Normal(0.0, 1.0).expand([4]).to_event(1), gate=z)
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal((x * beta).sum(-1) + bias, sigma), obs=y)

    guide = guide_of(model)
    problem = GateProblem.of(model, guide, (X, Y))
    medians = guide.median()
    assert problem.labels == ("z[0]", "z[1]", "z[2]", "z[3]")
    z = torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    mean = X @ (z * medians["beta.slab"]) + medians["bias.slab"]
    expected = dist.Normal(mean, medians["sigma"]).log_prob(Y).sum()
    torch.testing.assert_close(problem.log_likelihood(z), expected)
    torch.testing.assert_close(problem.kl_gradient, kl_gradient_of_elbo(model, guide, (X, Y)))


def test_gates_in_a_plate():
    def model(x, y):
        with pyro.plate("features", 4):
            beta = spike_and_slab("beta", 0.2)
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal((x * beta).sum(-1), 0.7), obs=y)

    guide = delta_guide(model)
    expected = gradient_of(lambda logits: closed_form(logits, slabs_of(guide)), logits_of(guide))
    torch.testing.assert_close(exact(model, guide, (X, Y)), expected)


def test_data_of_which_a_part_is_drawn_are_held_at_one_draw():
    def model(x, y):
        beta = spike_and_slab("beta", 0.2, dist.Normal(0.0, 1.0).expand([4]).to_event(1))
        with pyro.plate("data", len(x), subsample_size=5) as rows:
            pyro.sample("y", dist.Normal((x[rows] * beta).sum(-1), 0.7), obs=y[rows])

    guide = delta_guide(model)
    problem = GateProblem.of(model, guide, (X, Y))
    rows = problem.fixed["data"]
    z = torch.ones(3, 4, dtype=torch.float64)
    each = dist.Normal(X[rows] @ slabs_of(guide), 0.7).log_prob(Y[rows]).sum()
    torch.testing.assert_close(problem.values(z), (3.0 * each).expand(3))


def test_a_model_that_branches_on_its_gates():
    """It cannot be batched, and is looped over instead."""

    def model(x, y):
        beta = spike_and_slab("beta", 0.2, dist.Normal(0.0, 1.0).expand([4]).to_event(1))
        mean = (x * beta).sum(-1) if float(beta.abs().sum()) > 0.0 else torch.zeros_like(y)
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(mean, 0.7), obs=y)

    guide = delta_guide(model)
    torch.testing.assert_close(exact(model, guide, (X, Y)), exact(regression(), guide, (X, Y)))


def test_a_likelihood_that_is_not_finite_everywhere():
    def model(x):
        beta = spike_and_slab("beta", 0.2)
        pyro.factor("likelihood", torch.log(beta.abs()))

    guide = AutoHardConcrete(model, (X,), slab="delta").perturb(0)
    with pytest.raises(ValueError, match="not at 1 of 2"):
        l0bayes.gradient_report(model, guide, X)
