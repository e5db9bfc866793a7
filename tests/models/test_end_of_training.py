"""When a fit ends: statistics are those of what is deployed, and what is deployed has been measured."""

import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import l0bayes
from l0bayes.distributions import L0Penalty, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import DeploymentWarning, History, Minibatches
from l0bayes.infer.loop.deployment_check import DeploymentCheck
from l0bayes.models import SparseNetwork

pytestmark = pytest.mark.filterwarnings("ignore:no gate of these sites", "ignore:all .* gates of")
X = torch.randn(60, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = (X.mean((1, 2, 3)) > 0).long()


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(6, 2)),
    )


def sparse(net=None):
    model = SparseNetwork(
        net or network(), "input", slab=L2Penalty(0.0), inclusion=L0Penalty(0.0), example=X, num_data=60
    )
    return model, AutoHardConcrete(model, (X, Y), slab="delta", init_active=0.7)


DATA = {
    "tuple": (X, Y),
    "minibatches": Minibatches(X, Y, batch_size=20),
    "loader": DataLoader(TensorDataset(X, Y), 20),
}


@pytest.mark.parametrize("form", DATA)
def test_statistics_are_those_of_the_deployed_network(form):
    model, guide = sparse()
    l0bayes.fit(model, guide, DATA[form], steps=12, lr=0.02, gate_lr=0.3, progress=False, compile="eager")
    assert model.net.training
    small = model.deploy(guide)
    again = model.deploy(guide, recalibrate=X)
    rough = 1e-4 if form == "tuple" else 0.1  # batches of another size
    for norm, other in ((small[1], again[1]), (small[4], again[4])):
        torch.testing.assert_close(norm.running_mean, other.running_mean, rtol=rough, atol=rough)
        torch.testing.assert_close(norm.running_var, other.running_var, rtol=rough, atol=rough)
    if form == "tuple":
        maps = small[:4](X).transpose(0, 1).flatten(1)
        torch.testing.assert_close(small[4].running_mean, maps.mean(1), rtol=1e-2, atol=1e-3)
        assert not torch.allclose(small[4].running_var, torch.ones(()))


def test_statistics_that_are_kept_are_kept():
    net = network()
    net[1].eval()
    model, guide = sparse(net)
    before = model.net[1].running_mean.clone()
    l0bayes.fit(model, guide, (X, Y), steps=3, progress=False, compile="eager")
    assert torch.equal(model.net[1].running_mean, before)
    assert not model.net[1].training


def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path):
    ends = []
    for stops in ((12,), (5, 12)):
        model, guide = sparse()
        path, data = tmp_path / f"{len(stops)}.pt", Minibatches(X, Y, batch_size=20)
        for at in stops:

            def stop(history, at=at):
                if history.step[-1] == at < 12:
                    raise KeyboardInterrupt

            l0bayes.fit(
                *(model, guide, data),
                **{"steps": 12, "log_every": 1, "checkpoint": path, "resume": True, "callback": stop},
                **{"progress": False, "compile": "eager"},
            )
        ends.append({**model.state_dict(), **guide.state_dict()})
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


@pytest.mark.parametrize("shut", [True, False])
def test_a_network_that_is_deployed_worse_than_trained_is_named(shut):
    model, guide = sparse()
    l0bayes.fit(model, guide, (X, Y), steps=40, lr=0.03, progress=False, compile="eager")
    for parameter in guide.gate_parameters():
        parameter.data.fill_(-1.7 if shut else 9.0)  # just below the point where half of them are open
    history = History()
    history.log_likelihood = [-0.05 * 60] * 40 if shut else [-3.0 * 60] * 40
    fit = SimpleNamespace(
        model=model, guide=guide, history=history, best=SimpleNamespace(stopped="finished", seed=0)
    )
    check = DeploymentCheck(model, (X, Y))
    if shut:
        with pytest.warns(
            DeploymentWarning, match=r"predicts worse .* was -0.05. 13 of 13 gates are undecided"
        ):
            check.on_finish(fit)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check.on_finish(fit)


class Residual(nn.Module):
    """A one-dimensional network with batch normalisation, one branch of which is added to what it reads."""

    def __init__(self):
        super().__init__()
        self.stem, self.one, self.two = (nn.Conv1d(n, 4, 3, padding=1) for n in (1, 4, 4))
        self.norms, self.head = nn.ModuleList(nn.BatchNorm1d(4) for _ in range(3)), nn.Linear(4, 2)

    def forward(self, x):
        x = self.norms[0](self.stem(x)).relu()
        inner = self.norms[1](self.one(x)).relu()
        return self.head((x + self.norms[2](self.two(inner))).relu().mean(-1))


def test_a_target_leaves_no_stale_statistics_in_a_residual_network():
    torch.manual_seed(0)
    x = X.flatten(1)[:, None, :16].contiguous()
    model = SparseNetwork(
        Residual(), "output", slab=L2Penalty(0.0), inclusion=L0Penalty(0.0), example=x, num_data=60
    )
    guide = AutoHardConcrete(model, (x, Y), slab="delta", init_active=0.7)
    settings = {"progress": False, "compile": "eager", "guard_collapse": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        l0bayes.fit(model, guide, (x, Y), steps=8, lr=0.02, gate_lr=0.3, target="macs:0.5", **settings)
    small, again = model.deploy(guide), model.deploy(guide, recalibrate=x)
    torch.testing.assert_close(small(x), again(x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("targeted", [False, True])
def test_what_is_lost_while_a_target_makes_it_small_is_told(targeted):
    model, guide = sparse()
    for parameter in guide.gate_parameters():
        parameter.data.fill_(9.0)
    history = History()
    history.log_likelihood, history.step = [-0.05 * 60] * 20 + [-3.0 * 60] * 20, list(range(1, 41))
    best = SimpleNamespace(stopped="finished", seed=0)
    fit = SimpleNamespace(model=model, guide=guide, history=history, best=best)
    check = DeploymentCheck(model, (X, Y), targeted)
    if targeted:
        with pytest.warns(
            DeploymentWarning, match=r"before it was small: .* was -0.05 at step 4. Give it more"
        ) as warned:
            check.on_finish(fit)
        assert "shrink" not in str(warned[0].message)
        with pytest.warns(DeploymentWarning, match=r"recover, give shrink=True, .* or ask"):
            DeploymentCheck(model, (X, Y), targeted, could_shrink=True).on_finish(fit)
    else:
        check.on_finish(fit)


class Particular(nn.Module):
    """It takes any number of units but five."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(6, 8), nn.Linear(8, 2)

    def forward(self, x):
        x = self.one(x).relu()
        return self.two(x[..., :4] if x.shape[-1] == 5 else x)


def test_what_does_not_fit_once_it_is_trained_counts_whole():
    x = X.flatten(1)[:, :6].contiguous()
    torch.manual_seed(0)
    model = SparseNetwork(Particular(), {"one": "output"}, example=x, slab=L2Penalty(0.0), num_data=60)
    assert not model.plan.held
    guide = AutoHardConcrete(model, (x, Y), slab="delta")
    (gates,) = guide.gate_parameters()
    gates.data.copy_(torch.tensor([9.0] * 5 + [-9.0] * 3))
    with pytest.warns(UserWarning, match="keeps its full size by the rules median, "):
        costs = model.cost_table(guide)
    dense = costs.loc["dense"]
    assert (costs.loc["median", "macs"], costs.loc["median", "params"]) == (dense["macs"], dense["params"])
    assert costs.loc["median", "units"] == 5
    with pytest.warns(UserWarning, match="keeps its full size"):
        layers = model.layer_table(guide, (x, Y))
    with pytest.warns(UserWarning, match="keeps its full size"):
        small = model.deploy(guide)
    assert layers["deployed MACs"].sum() == dense["macs"]
    assert sum(p.numel() for p in small.parameters()) == dense["params"]
    with pytest.warns(DeploymentWarning, match="keeps its full size, whatever its cost in the history is"):
        l0bayes.fit(model, guide, (x, Y), steps=1, lr=1e-9, gate_lr=1e-9, progress=False, compile="eager")
    gates.data.copy_(torch.tensor([9.0] * 6 + [-9.0] * 2))
    assert model.cost_table(guide).loc["median", "macs"] == 6 * (6 + 2)
