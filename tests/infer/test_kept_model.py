"""What is read of a fit is of the model as the fit left it, whatever a later fit of the model does."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule, PyroParam
from torch import nn
from torch.distributions import constraints

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Fit, MeanFieldELBO
from l0bayes.infer.kept_model import kept_model
from l0bayes.models import SparseNetwork
from l0bayes.posterior import importance_weighted

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(30, 3, generator=GENERATOR)
Y = 2.0 * X[:, 0] + torch.randn(30, generator=GENERATOR)
OPTIONS = {"steps": 12, "lr": 0.1, "gate_lr": 0.1, "compile": "eager", "progress": False}


def regression(x, y, noise):
    w = l0bayes.spike_and_slab("w", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    with pyro.plate("data", len(x)):
        return pyro.sample("y", dist.Normal(x @ w, noise), obs=y)


class Constrained(PyroModule):
    def __init__(self):
        super().__init__()
        self.noise = PyroParam(torch.tensor(1.0), constraints.positive)

    def forward(self, x, y=None):
        return regression(x, y, self.noise)


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.log_noise = nn.Parameter(torch.zeros(()))

    def forward(self, x, y=None):
        return regression(x, y, self.log_noise.exp())


class Inner(nn.Module):
    """Parametrised by torch."""

    def __init__(self):
        super().__init__()
        self.noise = nn.Parameter(torch.ones(()))

        class Positive(nn.Module):
            def forward(self, value):
                return value.exp()

            def right_inverse(self, value):
                return value.log()

        nn.utils.parametrize.register_parametrization(self, "noise", Positive())

    def forward(self, x, y=None):
        return regression(x, y, self.noise)


def answers(fit):
    data = l0bayes.to_arviz(fit, (X, Y), num_draws=8)
    return {
        "log likelihood": float(data.log_likelihood["y"].values.sum()),
        "hardened": float(l0bayes.hardened_elbo(fit.model, fit.guide, (X, Y), num_draws=8)),
        "k-hat": float(importance_weighted(fit.model, fit.guide, (X, Y), num_draws=64).k_hat),
        "trust": str(l0bayes.trust(fit)),
    }


@pytest.mark.parametrize("kind", [Constrained, Plain, Inner])
@pytest.mark.filterwarnings("ignore")
def test_a_later_fit_of_the_model_with_another_guide(kind):
    model = kind()
    fit = l0bayes.fit(model, AutoHardConcrete(model, (X, Y)), (X, Y), **OPTIONS)
    before, values = answers(fit), [value.clone() for value in model.state_dict().values()]
    assert all(torch.equal(a, b) for a, b in zip(values, fit.model.state_dict().values(), strict=True))
    other = l0bayes.fit(model, AutoHardConcrete(model, (X, Y)), (X, 9.0 * Y), **OPTIONS)
    assert answers(fit) == before
    assert answers(other) != before


@pytest.mark.parametrize("kind", [Constrained, Plain])
@pytest.mark.filterwarnings("ignore")
def test_a_later_run_of_svi_with_another_guide(kind):
    pyro.clear_param_store()
    model = kind()

    def trained(y):
        guide = AutoHardConcrete(model, (X, y))
        svi = pyro.infer.SVI(model, guide, pyro.optim.Adam({"lr": 0.1}), MeanFieldELBO())
        for _ in range(12):
            svi.step(X, y)
        return Fit.of(model, guide, (X, Y))

    fit = trained(Y)
    before = answers(fit)
    pyro.clear_param_store()
    trained(9.0 * Y)
    assert answers(fit) == before
    pyro.clear_param_store()


@pytest.mark.filterwarnings("ignore")
def test_statistics_and_points_of_a_network():
    labels = (Y > 0).long()
    options = OPTIONS | {"gate_lr": 1e-3}
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    model = SparseNetwork(net)
    fit = l0bayes.fit(
        model, AutoHardConcrete(model, (X, labels), slab="delta", init_active=0.95), (X, labels), **options
    )
    first = model.deploy(fit.guide)(X)
    guide = AutoHardConcrete(model, (X, labels), slab="delta", init_active=0.95)
    l0bayes.fit(model, guide, (5.0 * X + 3.0, labels), **options)
    torch.testing.assert_close(fit.model.deploy(fit.guide)(X), first)
    assert not torch.equal(model.deploy(fit.guide)(X), first)
    # the weights, which are the guide's, are held once
    assert fit.model.net[0].weight is model.net[0].weight
    assert fit.model.net[1].weight is not model.net[1].weight


def test_what_is_not_trained_is_not_copied():
    model = Plain()
    model.data, model.log_noise.requires_grad = X, False
    assert kept_model(model) is model
    assert kept_model(regression) is regression
    model.log_noise.requires_grad = True
    assert kept_model(model).data is X


def test_a_module_that_cannot_be_copied_is_named():
    model = Plain()
    model.cells = (cell for cell in X)
    with pytest.warns(UserWarning, match=r"Plain cannot be copied .*generator"):
        assert kept_model(model) is model
