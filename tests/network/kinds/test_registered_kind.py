"""A kind from outside of the package: registered, it is gated, counted and cut like the package's own."""

import pytest
import torch
from torch import nn

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.models import SparseNetwork
from l0bayes.network import LayerKind, UnitAxes, count_macs, kind_of, nearest_kind, register_kind
from l0bayes.network.kinds import LinearKind, registered_kinds
from l0bayes.testing.layer_kind_suite import LayerKindSuite


class Projection(nn.Module):
    """A linear map with its weight the other way round, of shape ``(in, out)``."""

    def __init__(self, read, made):
        super().__init__()
        self.weight, self.shift = nn.Parameter(torch.randn(read, made)), nn.Parameter(torch.zeros(made))

    def forward(self, x):
        return x @ self.weight + self.shift


class ProjectionKind(LayerKind):
    """The whole of what the package has to know."""

    types = (Projection,)
    name = "Projection"
    placements = frozenset({"input", "output", "weight"})

    def axes(self, module):
        return {"weight": UnitAxes(out=1, into=0), "shift": UnitAxes(out=0)}

    def unit_dim(self, module):
        return -1

    def size(self, module):
        return "-".join(map(str, module.weight.shape))

    def can_sleep(self, module):
        return True

    def uses(self, module, inputs, output):
        return {"weight": torch.Size(output[:-1]).numel()}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """Registered for these tests only: messages list all kinds."""
    kinds = dict(l0bayes.network.kinds.kind_registry._KINDS)
    monkeypatch.setattr(l0bayes.network.kinds.kind_registry, "_KINDS", kinds)
    register_kind(ProjectionKind())


class TestProjection(LayerKindSuite):
    kind = ProjectionKind

    def make(self):
        return Projection(6, 5)

    def inputs(self):
        return torch.randn(4, 3, 6)


def test_it_is_trained_and_deployed():
    torch.manual_seed(0)
    x, y = torch.randn(64, 6), torch.randint(0, 3, (64,))
    net = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), Projection(12, 8), nn.ReLU(), Projection(8, 3))
    model = SparseNetwork(net, gates="input", inclusion=0.3, example=x[:2])
    assert {site: spec.shape for site, spec in model.plan.specs.items()} == {
        "0.gate": (6,),
        "2.gate": (12,),
        "4.gate": (8,),
    }
    guide = AutoHardConcrete(model, (x, y), slab="delta", init_active=0.6)
    l0bayes.fit(model, guide, (x, y), steps=5, compile="eager", progress=False)
    guide.perturb(0, gates=3.0)
    small = model.deploy(guide)
    table = model.layer_table(guide, (x, y))
    assert list(table["dense"]) == ["6-12", "12-8", "8-3"]
    assert table.loc["2", "deployed"] == "-".join(map(str, small[2].weight.shape))
    assert table["deployed MACs"].sum() == count_macs(small, (x,)) < count_macs(net, (x,))


def test_messages_list_it():
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), Projection(4, 2))
    with pytest.raises(TypeError, match=r"'1' is a ReLU, .* that takes a Linear/.*Projection"):
        SparseNetwork(net, gates={"1": "input"})
    assert "Projection" in [kind.name for kind in registered_kinds("weight")]


def test_the_first_layer_does_not_say_what_it_reads():
    with pytest.raises(ValueError, match=r"example is needed, .* its first layer is a Projection"):
        SparseNetwork(nn.Sequential(Projection(4, 2)))


def test_what_cannot_be_registered():
    with pytest.raises(TypeError, match="kind must be an instance of a LayerKind, got <class"):
        register_kind(ProjectionKind)

    class Other(LinearKind):
        name = "Other"

    with pytest.raises(ValueError, match="kind: Linear is of the kind Linear already"):
        register_kind(Other())
    again = ProjectionKind()
    assert register_kind(again) is again
    assert kind_of(Projection(2, 2)) is again


def test_modules_of_no_kind():
    assert kind_of(nn.ReLU()) is None
    assert nearest_kind(nn.ReLU()) is None
