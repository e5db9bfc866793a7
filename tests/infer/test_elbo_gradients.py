"""Gradients of the objective against central finite differences, noise held fixed."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule, PyroParam
from torch import nn

from l0bayes.distributions import Gate, HardConcrete, L0Penalty, L2Penalty
from l0bayes.guides import AutoHardConcrete, gate_guide
from l0bayes.infer import MeanFieldELBO
from l0bayes.models import SparseNetwork
from l0bayes.sites import gate, spike_and_slab
from tests.infer.problems import X, Y, regression

pytestmark = pytest.mark.usefixtures("float64")


def hyper(x, y):
    """Latents of all kinds: analytic KLs and sampled ones."""
    pi = pyro.sample("pi", dist.Beta(1.0, 3.0))
    tau = pyro.sample("tau", dist.HalfCauchy(1.0))
    sigma = pyro.sample("sigma", dist.LogNormal(0.0, 1.0))
    mix = pyro.sample("mix", dist.Dirichlet(torch.ones(3)))
    beta = spike_and_slab("beta", pi[..., None], dist.Normal(0.0, tau[..., None].expand([4])).to_event(1))
    mean = x @ beta + mix[0] - mix[1]
    pyro.sample("y", dist.Normal(mean, sigma).to_event(1), obs=y)


def shared(x, y):
    rows, columns = gate("rows", 0.3, [2]), gate("columns", HardConcrete(0.0, 0.5), [4])
    prior = dist.Laplace(0.0, 1.0).expand([2, 4]).to_event(2)
    weight = spike_and_slab("w", slab=prior, gate=[rows.view(2, 1), columns])
    pyro.sample("y", dist.Normal((x @ weight.mT).tanh().sum(-1), 0.7).to_event(1), obs=y)


MODELS = {
    "activity": lambda: regression(Gate(0.2)),
    "penalty": lambda: regression(L0Penalty(1.5), L2Penalty(0.4)),
    "hard_concrete_prior": lambda: regression(HardConcrete(-1.0, 0.5)),
    "hyper": lambda: hyper,
    "shared": lambda: shared,
}
CASES = [
    (name, slab) for name in MODELS for slab in ("normal", "delta") if (name, slab) != ("penalty", "normal")
]


def loss_at(objective, seed, data):
    torch.manual_seed(seed)
    return objective(*data)


def assert_gradients(objective, data, seed=4, step=1e-5):
    """Every entry of every parameter."""
    loss_at(objective, seed, data).backward()
    checked = 0
    for name, parameter in objective.named_parameters():
        if not parameter.requires_grad:
            continue
        assert parameter.grad is not None, name
        flat, grad = parameter.data.view(-1), parameter.grad.reshape(-1)
        for j in range(flat.numel()):
            value = flat[j].item()
            losses = []
            for shift in (-step, step):
                flat[j] = value + shift
                with torch.no_grad():
                    losses.append(loss_at(objective, seed, data).item())
            flat[j] = value
            numeric = (losses[1] - losses[0]) / (2 * step)
            assert grad[j].item() == pytest.approx(numeric, rel=2e-6, abs=2e-7), f"{name}[{j}]"
            checked += grad[j].item() != 0.0
    return checked


@pytest.mark.parametrize(("name", "slab"), CASES)
def test_gradients_of_the_guide(name, slab):
    model = MODELS[name]()
    guide = AutoHardConcrete(model, (X, Y), slab=slab).perturb(3, gates=0.5, locs=0.5)
    checked = assert_gradients(MeanFieldELBO()(model, guide), (X, Y))
    count = sum(p.numel() for p in guide.parameters())
    assert count / 2 < checked <= count  # a saturated gate may leave its slab without a gradient


REPARAMETRISED = {
    "hard_concrete": {},
    "concrete": {},
    "hard_kumaraswamy": {},
    "rectified_normal": {},
    "concrete_dropout": {"temperature": 0.3, "init_active": 0.6},
    "hard_concrete, tied": {"tied": True},
}


def shared_strict(x, y):
    """As ``shared``, with priors that every law has a KL to, and a gate that a prior depends on."""
    rows = gate("rows", 0.3, [2])
    columns = gate("columns", L0Penalty(0.8), [4])
    prior = dist.Laplace(0.0, 1.0).expand([2, 4]).to_event(2)
    weight = spike_and_slab("w", slab=prior, gate=[rows.view(2, 1), columns])
    tau = pyro.sample("tau", dist.HalfNormal(1.0 + rows.value.sum()))
    pyro.sample("y", dist.Normal((x @ weight.mT).tanh().sum(-1), 0.3 + tau).to_event(1), obs=y)


@pytest.mark.parametrize("slab", ["normal", "delta"])
@pytest.mark.parametrize("name", ["activity", "hyper", "shared_strict"])
@pytest.mark.parametrize("case", REPARAMETRISED)
def test_gradients_of_every_reparametrised_family(case, name, slab):
    """For gates, slabs and other latents, at fixed noise."""
    model, gate_law = (MODELS | {"shared_strict": lambda: shared_strict})[name](), case.split(",")[0]
    guide = gate_guide(model, (X, Y), gate_law=gate_law, slab=slab, **REPARAMETRISED[case])
    guide.perturb(3, gates=0.5, locs=0.5)
    checked = assert_gradients(MeanFieldELBO()(model, guide), (X, Y))
    count = sum(p.numel() for p in guide.parameters())
    assert count / 2 < checked <= count  # a saturated gate may leave its slab without a gradient
    assert all((p.grad != 0).all() for p in guide.gate_parameters())


def test_gradients_with_several_particles_and_a_weighted_kl():
    model = regression(Gate(0.2))
    guide = AutoHardConcrete(model, (X, Y)).perturb(3)
    for elbo in (
        MeanFieldELBO(num_particles=3, kl_weight=0.3),
        MeanFieldELBO(num_particles=3, kl_weight=0.3, vectorize_particles=True, max_plate_nesting=1),
    ):
        assert_gradients(elbo(model, guide), (X, Y))
        guide.zero_grad()


def test_gradients_of_a_network():
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    labels = (Y > 0).long()
    model = SparseNetwork(net, gates={"0": "input", "2": "input"}, inclusion=0.3, num_data=30)
    guide = AutoHardConcrete(model, (X, labels)).perturb(2)
    assert_gradients(MeanFieldELBO()(model, guide), (X, labels))


# ---- parameters of the model -------------------------------------------------------------------------


class Module(nn.Module):
    """A plain module, with the noise scale and the inclusion as parameters."""

    def __init__(self):
        super().__init__()
        self.log_noise = nn.Parameter(torch.tensor(-0.3))
        self.logit = nn.Parameter(torch.tensor(-1.0))

    def forward(self, x, y):
        prior = dist.Normal(0.0, 1.0).expand([4]).to_event(1)
        beta = spike_and_slab("beta", torch.sigmoid(self.logit), prior)
        pyro.sample("y", dist.Normal(x @ beta, self.log_noise.exp()).to_event(1), obs=y)


class Pyro(PyroModule):
    """The same as a Pyro module."""

    def __init__(self):
        super().__init__()
        self.noise = PyroParam(torch.tensor(0.7), dist.constraints.positive)
        self.logit = nn.Parameter(torch.tensor(-1.0))

    def forward(self, x, y):
        prior = dist.Normal(0.0, 1.0).expand([4]).to_event(1)
        beta = spike_and_slab("beta", torch.sigmoid(self.logit), prior)
        pyro.sample("y", dist.Normal(x @ beta, self.noise).to_event(1), obs=y)


@pytest.mark.parametrize("kind", [Module, Pyro])
def test_gradients_of_the_model(kind):
    model = kind()
    objective = MeanFieldELBO()(model, AutoHardConcrete(model, (X, Y)).perturb(1))
    assert {name.split(".")[0] for name, _ in objective.named_parameters()} == {"model", "guide"}
    assert_gradients(objective, (X, Y))
    assert all(p.grad != 0 for p in model.parameters())


@pytest.mark.parametrize("kind", [Module, Pyro])
def test_the_model_learns_its_noise(kind):
    model = kind()
    guide = AutoHardConcrete(model, (X, Y), init_active=0.9)
    objective = MeanFieldELBO(num_particles=2)(model, guide)
    optimiser = torch.optim.Adam(objective.parameters(), lr=0.03)
    for _ in range(400):
        optimiser.zero_grad()
        objective(X, Y).backward()
        optimiser.step()
    noise = model.log_noise.exp() if kind is Module else model.noise
    residual = (Y - X @ torch.linalg.lstsq(X, Y).solution).square().mean().sqrt()
    assert noise.item() == pytest.approx(residual.item(), rel=0.35)
