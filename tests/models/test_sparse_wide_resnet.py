"""WRN-28-10, gates on each block's first convolution: it builds, costs what is counted, takes a step."""

import pytest
import torch

from l0bayes.distributions import L0Penalty, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import GradientStep, MeanFieldELBO
from l0bayes.models import SparseNetwork, WideResNet
from l0bayes.network import count_macs, shrink

X = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([3, 7])


@pytest.fixture(scope="module")
def wide():
    torch.manual_seed(0)
    return SparseNetwork(
        WideResNet(28, 10), inclusion=L0Penalty(1.0), slab=L2Penalty(0.0), num_data=50_000, example=X
    )


def test_gates_are_on_the_first_convolution_of_each_block(wide):
    sizes = [spec.shape for spec in wide.plan.specs.values()]
    assert sizes == [(160,)] * 4 + [(320,)] * 4 + [(640,)] * 4
    assert all(name.endswith(".conv1.gate") for name in wide.plan.specs)


def test_the_dense_cost_is_counted(wide):
    assert wide.cost.dense["params"] == 36_479_194
    assert wide.cost.dense["macs"] == count_macs(wide.net, (X,))


def test_decided_gates_cost_what_the_small_network_does(wide):
    generator = torch.Generator().manual_seed(1)
    gates = {
        name: (torch.rand(spec.shape, generator=generator) < 0.1).float()
        for name, spec in wide.plan.specs.items()
    }
    small = shrink(wide.net, wide.plan, {}, gates)
    counted = wide.cost.totals({name: value.double() for name, value in gates.items()})
    assert count_macs(small, (X,)) == float(counted["macs"])
    assert sum(p.numel() for p in small.parameters()) == float(counted["params"])


def test_a_step(wide):
    guide = AutoHardConcrete(wide, (X, Y), slab="delta")
    loss, _, kl = GradientStep(MeanFieldELBO()(wide, guide), "eager")((X, Y))
    assert torch.isfinite(loss)
    active = guide.gates()["layer1.0.conv1.gate"].prob_active[0].item()
    assert float(kl) == pytest.approx(active * 4480, rel=1e-5)  # a nat a gate
    for parameter in guide.gate_parameters():
        assert torch.isfinite(parameter.grad).all()
        assert (parameter.grad != 0).all()
