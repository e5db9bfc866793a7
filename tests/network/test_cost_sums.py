"""The cost of all layers at once is that of each by itself, in a few operations however deep a network is."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from l0bayes.guides import AutoHardConcrete
from l0bayes.infer.targets.gate_speed import gate_speeds
from l0bayes.models import SparseNetwork
from l0bayes.network import NetworkCost
from l0bayes.network.layer_form import LayerForm
from tests.network.zoo import VECTORS, ZOO, case, lay_out, mlp, normal, seeded

pytestmark = pytest.mark.usefixtures("float64")


def one_by_one(laid, active, decided):
    one = torch.ones(())
    for name, layer in laid.plan.trace.layers.items():
        form = LayerForm(layer, laid.plan)
        present = torch.stack([one, *(active[site].squeeze() for site in form.blocks)]).prod()
        there = form.presence(active, one, decided)
        yield name, [present * part for part in layer.kind.cost(layer.module, layer.uses, there)]


@pytest.mark.parametrize("name", ZOO)
def test_layers_together_cost_what_each_does(name):
    laid = case(name)
    cost = NetworkCost(laid.net, laid.plan)
    generator = torch.Generator().manual_seed(0)
    drawn = [{site: torch.rand(shape, generator=generator) for site, shape in cost.shapes.items()}]
    for share in (0.0, 0.3, 0.7):
        drawn.append({site: (p < share).double() for site, p in drawn[0].items()})
    for active in drawn:
        for decided in (False, True):
            found = cost.layers(active, decided)
            for layer, (params, macs) in one_by_one(laid, active, decided):
                torch.testing.assert_close(found[layer].params, params, rtol=1e-12, atol=1e-9)
                torch.testing.assert_close(found[layer].macs, macs, rtol=1e-12, atol=1e-9)
            totals = cost.totals(active, decided)
            assert totals["macs"] == pytest.approx(
                sum(one.macs.item() for one in found.values())
                + sum(cost.other_macs(one, active).item() for one in laid.plan.trace.others.values())
            )


class Operations(TorchDispatchMode):
    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


def deep(depth):
    layers = [part for _ in range(depth) for part in (nn.Linear(6, 6), nn.BatchNorm1d(6), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(6, 2))


def test_a_deep_network_takes_no_more_operations():
    counts = []
    for depth in (3, 24):
        laid = lay_out(deep(depth), "output", normal(2, 6))
        cost = NetworkCost(laid.net, laid.plan)
        active = {site: torch.full(shape, 0.5) for site, shape in cost.shapes.items()}
        with Operations() as operations:
            cost.share("macs", active)
        counts.append(operations.count)
    assert counts[0] == counts[1] < 40


def test_a_network_runs_a_few_times_until_it_is_gated():
    runs = []

    class Counted(nn.Sequential):
        def forward(self, x):
            runs.append(len(x) * self[0].out_features)
            return super().forward(x)

    SparseNetwork(
        Counted(nn.Linear(6, 100), nn.ReLU(), nn.Linear(100, 2)), gates="output", example=normal(2, 6)
    )
    whole = [rows / 100 for rows in runs if rows >= 200]
    # Traced once, once with one more row, and beside each of two trials.
    assert sorted(whole) == [2, 2, 2, 3]


def test_the_speed_of_gates_is_found_without_a_copy_of_the_slabs(monkeypatch):
    model = SparseNetwork(seeded(mlp), gates="output", example=VECTORS)
    guide = AutoHardConcrete(model, (VECTORS, torch.zeros(len(VECTORS), dtype=torch.long)))
    slabs = {id(p) for name, p in guide.named_parameters() if name.startswith("loc.")}
    assert slabs
    copied, copy = [], nn.Parameter.__deepcopy__
    monkeypatch.setattr(
        nn.Parameter, "__deepcopy__", lambda p, memo: (copied.append(id(p)), copy(p, memo))[1]
    )
    before = {name: p.clone() for name, p in guide.named_parameters()}
    starts = {site: law.activity_logits.detach().flatten() for site, law in guide.gates().items()}
    speeds = gate_speeds(guide, starts, "adam")
    assert {site: speed.tolist() for site, speed in speeds.items()} == {
        site: [1.0] * len(start) for site, start in starts.items()
    }
    assert copied
    assert not slabs.intersection(copied)
    assert all(torch.equal(p, before[name]) for name, p in guide.named_parameters())
