"""The suite refuses kinds that leave a smaller layer with its former size in writing."""

import copy

import pytest
import torch
from torch import nn

import l0bayes
from l0bayes.network import UnitAxes, register_kind
from l0bayes.network.kinds import Conv2dKind, EmbeddingKind, GroupNormKind, LinearKind
from l0bayes.testing.layer_kind_suite import LayerKindSuite
from l0bayes.testing.written_sizes import wrong_sizes


@pytest.fixture(autouse=True)
def _registered_here(monkeypatch):
    kinds = dict(l0bayes.network.kinds.kind_registry._KINDS)
    monkeypatch.setattr(l0bayes.network.kinds.kind_registry, "_KINDS", kinds)


class MyLinear(nn.Linear):
    pass


class MyConv2d(nn.Conv2d):
    pass


class MyEmbedding(nn.Embedding):
    pass


class MyGroupNorm(nn.GroupNorm):
    pass


class Hidden(nn.Module):
    """It says its sizes by other names than its constructor takes."""

    def __init__(self, read, made, power=1):
        super().__init__()
        self.width_in, self.width_out, self.power = read, made, power
        self.weight = nn.Parameter(torch.randn(made, read))

    def forward(self, x):
        return (x @ self.weight.T) ** self.power


class HiddenKind(LinearKind):
    types = (Hidden,)
    name = "Hidden"

    def axes(self, module):
        return {"weight": UnitAxes(out=0, into=1)}

    def size(self, module):
        return "of some size"

    def resize(self, module, made, read):
        module.width_out, module.width_in = made, read

    def selecting(self, module, select):
        return super(LinearKind, self).selecting(module, select)


def forgetful(kind, cls, resize=lambda self, module, made, read: None):
    return type("Forgetful", (kind,), {"types": (cls,), "name": "Forgetful", "resize": resize})


def half(self, module, made, read):
    """Outputs alone."""
    if isinstance(module, Hidden):
        module.width_out = made
    elif isinstance(module, nn.Linear):
        module.out_features = made
    else:
        module.out_channels = made


def suite_of(kind_class, layer, x):
    register_kind(kind_class())

    class Suite(LayerKindSuite):
        kind = kind_class

        def make(self):
            return copy.deepcopy(layer)

        def inputs(self):
            return torch.randn(*x) if isinstance(x, tuple) else x

    return Suite()


LAYERS = {
    "linear": (LinearKind, MyLinear(6, 5), (4, 6)),
    "square": (LinearKind, MyLinear(6, 6, bias=False), (4, 6)),
    "maps": (Conv2dKind, MyConv2d(4, 5, (3, 2), padding=1), (3, 4, 5, 4)),
    "depthwise": (Conv2dKind, MyConv2d(4, 4, 3, groups=4), (3, 4, 5, 5)),
    "table": (EmbeddingKind, MyEmbedding(7, 5), torch.arange(6).reshape(3, 2)),
    "groups": (GroupNormKind, MyGroupNorm(2, 6), (3, 6, 4)),
    "other names": (HiddenKind, Hidden(6, 5), (4, 6)),
}


@pytest.mark.parametrize("which", LAYERS)
def test_a_resize_that_does_nothing_is_found(which):
    kind, layer, x = LAYERS[which]
    suite = suite_of(forgetful(kind, type(layer)), layer, x)
    with pytest.raises(AssertionError, match=r"resize\(\)|cannot be built"):
        suite.test_a_smaller_layer_says_its_size()


@pytest.mark.parametrize("which", ["linear", "square", "maps", "other names"])
def test_a_resize_of_outputs_alone_is_found(which):
    kind, layer, x = LAYERS[which]
    suite = suite_of(forgetful(kind, type(layer), half), layer, x)
    with pytest.raises(AssertionError, match=r"resize\(\)|cannot be built"):
        suite.test_a_smaller_layer_says_its_size()


@pytest.mark.parametrize("which", LAYERS)
def test_a_whole_resize_passes(which):
    kind, layer, x = LAYERS[which]
    suite_of(forgetful(kind, type(layer), kind.resize), layer, x).test_a_smaller_layer_says_its_size()


def test_what_is_said_of_sizes_that_are_wrong():
    kind, whole = HiddenKind(), Hidden(6, 5, power=3)
    cut = copy.deepcopy(whole)
    cut.weight = nn.Parameter(whole.weight[:3, :2].detach())
    assert [text.partition(";")[0] for text in wrong_sizes(kind, whole, cut)] == [
        "'width_in' is 6, and the layer has 2 inputs",
        "'width_out' is 5, and the layer has 3 outputs",
    ]
    kind.resize(cut, 3, 2)
    assert wrong_sizes(kind, whole, cut) == []
    linear = nn.Linear(6, 5)
    linear.weight = nn.Parameter(torch.zeros(3, 6))
    (said,) = wrong_sizes(LinearKind(), nn.Linear(6, 5, bias=False), copy.copy(linear))
    assert said.startswith("'weight' has the shape (3, 6), and by the attributes of the layer (5, 6)")
