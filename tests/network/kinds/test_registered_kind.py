"""A kind from outside of the package: registered, it is gated, counted and cut like the package's own."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import l0bayes
from l0bayes.apps.user_files import load_user_file
from l0bayes.guides import AutoHardConcrete
from l0bayes.models import SparseNetwork
from l0bayes.network import LayerKind, count_macs, kind_of, nearest_kind, register_kind
from l0bayes.network.kinds import LinearKind, registered_kinds

FILE = Path(__file__).resolve().parents[3] / "docs" / "extending" / "projection.py"


@pytest.fixture
def outside(monkeypatch):
    """Registered for these tests only: messages list all kinds."""
    kinds = dict(l0bayes.network.kinds.kind_registry._KINDS)
    monkeypatch.setattr(l0bayes.network.kinds.kind_registry, "_KINDS", kinds)
    module = load_user_file(FILE)
    yield module
    del sys.modules[module.__name__]


def test_it_is_trained_and_deployed(outside):
    torch.manual_seed(0)
    x, y = torch.randn(64, 6), torch.randint(0, 3, (64,))
    net = nn.Sequential(
        nn.Linear(6, 12), nn.ReLU(), outside.Projection(12, 8), nn.ReLU(), outside.Projection(8, 3)
    )
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


def test_messages_list_it(outside):
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), outside.Projection(4, 2))
    with pytest.raises(TypeError, match=r"'1' is a ReLU, .* that takes a Linear/.*Projection"):
        SparseNetwork(net, gates={"1": "input"})
    assert "Projection" in [kind.name for kind in registered_kinds("weight")]


def test_the_first_layer_does_not_say_what_it_reads(outside):
    with pytest.raises(ValueError, match=r"example is needed, .* its first layer is a Projection"):
        SparseNetwork(nn.Sequential(outside.Projection(4, 2)))


def test_what_cannot_be_registered(outside):
    with pytest.raises(
        TypeError, match=r"must be an instance of a LayerKind, got <class.*; register ProjectionKind\(\)"
    ):
        register_kind(outside.ProjectionKind)

    class Other(LinearKind):
        name = "Other"

    with pytest.raises(ValueError, match="kind: Linear is of the kind Linear already"):
        register_kind(Other())
    again = outside.ProjectionKind()
    assert register_kind(again) is again
    assert kind_of(outside.Projection(2, 2)) is again


class Halves(nn.Module):
    """A layer of a user's."""

    def forward(self, x):
        return x / 2


def kind_with(**parts):
    return type("HalvesKind", (LinearKind,), {"types": (Halves,), "name": "Halves", **parts})


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"placements": {"sideways"}}, "placements of HalvesKind must be among input, .*; got 'sideways'"),
        ({"placements": {"outputs"}}, "got 'outputs'; did you mean 'output'"),
        ({"placements": {"input", 3}}, "placements of HalvesKind must be among .*; got 3"),
        ({"placements": "input"}, r"must be a set, such as frozenset\(\{'output'\}\); got 'input'"),
        ({"placements": None}, "placements of HalvesKind must be a set"),
        ({"placements": {"block"}}, "must not have 'block', which any module can have"),
        ({"types": ()}, r"must name at least one module class, .*; of \(\) no module could be"),
        ({"types": nn.Bilinear}, r"tuple of module classes, such as \(Bilinear,\); got the class Bilinear"),
        ({"types": [Halves]}, r"types of HalvesKind must be a tuple of module classes.*got \[<class"),
        ({"types": None}, "types of HalvesKind must be a tuple of module classes"),
        ({"types": (int,)}, "types of HalvesKind must hold classes of nn.Module; got <class 'int'>"),
        ({"types": ("Linear",)}, "types of HalvesKind must hold classes of nn.Module; got 'Linear'"),
        ({"types": (nn.Linear(2, 2),)}, "types of HalvesKind must hold classes of nn.Module; got Linear"),
        ({"types": (nn.Module,)}, "must hold classes of layers; got nn.Module itself"),
        ({"name": ""}, "name of HalvesKind must be what messages call the kind; got ''"),
        ({"name": None}, "name of HalvesKind must be what messages call the kind; got None"),
        ({"__init__": lambda self: None}, r"__init__ of HalvesKind must call super\(\).__init__"),
        ({"__init__": lambda self: None, "types": ()}, "types of HalvesKind must name at least one"),
    ],
)
def test_kinds_that_do_not_say_what_they_are(outside, parts, message):
    before = registered_kinds()
    with pytest.raises((TypeError, ValueError), match=message):
        register_kind(kind_with(**parts)())
    assert registered_kinds() == before
    assert nearest_kind(Halves()) is None


def test_names_and_types_that_were_never_said(outside):
    class Bare(LayerKind):
        def axes(self, module):
            return {}

        def unit_dim(self, module):
            return -1

        def size(self, module):
            return ""

        def uses(self, module, inputs, output):
            return {}

    with pytest.raises(TypeError, match="types of Bare must be a tuple of module classes"):
        register_kind(Bare())
    Bare.types = (Halves,)
    with pytest.raises(TypeError, match="name of Bare must be what messages call the kind"):
        register_kind(Bare())
    Bare.name = "Bare"
    kind = Bare()
    assert register_kind(kind) is kind
    assert kind_of(Halves()) is kind


def test_modules_of_no_kind():
    assert kind_of(nn.ReLU()) is None
    assert nearest_kind(nn.ReLU()) is None
