"""The kind passes its suite, and a network with such layers is gated, trained, counted and cut."""

import torch
from projection import Projection, ProjectionKind
from torch import nn

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.models import SparseNetwork
from l0bayes.network import count_macs
from l0bayes.testing.layer_kind_suite import LayerKindSuite


class TestProjection(LayerKindSuite):
    kind = ProjectionKind

    def make(self):
        return Projection(6, 5)

    def inputs(self):
        return torch.randn(4, 3, 6)


def test_a_network_is_trained_and_deployed():
    torch.manual_seed(0)
    x, y = torch.randn(64, 6), torch.randint(0, 3, (64,))
    net = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), Projection(12, 8), nn.ReLU(), Projection(8, 3))
    model = SparseNetwork(net, gates="input", inclusion=0.3, example=x[:2])
    guide = AutoHardConcrete(model, (x, y), slab="delta", init_active=0.6)
    l0bayes.fit(model, guide, (x, y), steps=5, compile="eager", progress=False)
    small = model.deploy(guide.perturb(0, gates=3.0))
    table = model.layer_table(guide, (x, y))
    assert list(table["dense"]) == ["6-12", "12-8", "8-3"]
    assert table["deployed MACs"].sum() == count_macs(small, (x,)) < count_macs(net, (x,))
