"""What a network does once a run counts in full, and all that counts agree, for any number of rows."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm

from l0bayes.guides import AutoHardConcrete
from l0bayes.models import SparseNetwork
from l0bayes.network import NetworkCost, count_macs
from tests.network.zoo import lay_out, normal

pytestmark = pytest.mark.usefixtures("float64")


class LowRank(nn.Module):
    """A weight that is a product, computed in each run."""

    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Parameter(normal(8, 2)), nn.Parameter(normal(2, 8))

    def forward(self, x):
        return x @ (self.one @ self.other)


class Learned(nn.Module):
    """A layer applied to learned values, which no example goes through."""

    def __init__(self):
        super().__init__()
        self.values, self.layer = nn.Parameter(normal(3, 8)), nn.Linear(8, 8)

    def forward(self, x):
        return x + self.layer(self.values).sum(0)


class Cell(nn.Module):
    """Steps from a state of zeros, made for as many rows as come."""

    def __init__(self):
        super().__init__()
        self.cell = nn.RNNCell(8, 8)
        self.mix = nn.Parameter(normal(8, 8))

    def forward(self, x):
        state = torch.zeros(len(x), 8, dtype=x.dtype)
        for _ in range(2):
            state = self.cell(x, state @ self.mix)
        return state


class ByRow(nn.Module):
    """A product for each row by itself."""

    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(normal(8, 8))

    def forward(self, x):
        return torch.stack([self.matrix @ row for row in x])


CASES = {
    "spectral norm": (lambda: parametrizations.spectral_norm(nn.Linear(8, 8)), 64 + 64 + 8),
    "older spectral norm": (lambda: spectral_norm(nn.Linear(8, 8)), 64 + 64 + 8),
    "weight norm": (lambda: parametrizations.weight_norm(nn.Linear(8, 8)), 64),
    "a product of weights": (LowRank, 64 + 128),
    "a layer of learned values": (Learned, 3 * 64),
    "steps": (Cell, 2 * 3 * 64),
    "row by row": (ByRow, 64),
}
X, Y = normal(16, 4), torch.arange(16) % 3


def network(make):
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), make(), nn.Linear(8, 3))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rows", [1, 2, 3, 16])
def test_the_count_is_that_of_a_run_of_one_example(case, rows):
    make, macs = CASES[case]
    assert count_macs(network(make), (X[:rows],)) == 32 + macs + 24


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.filterwarnings("ignore:.*stay as they are:UserWarning")
def test_cost_table_and_count_agree(case, rows):
    make, macs = CASES[case]
    model = SparseNetwork(network(make), gates={"3": "input"}, example=X[:rows])
    guide = AutoHardConcrete(model, (X, Y), slab="delta", init_active=0.9)
    with torch.no_grad():
        for parameter in guide.log_alpha.parameters():
            parameter.copy_(torch.tensor([20.0, -20.0] * 4))
    assert model.cost.dense["macs"] == 32 + macs + 24
    table, small = model.layer_table(guide, (X, Y)), model.deploy(guide)
    found = table["deployed MACs"].sum()
    assert found == model.cost_table(guide)["macs"]["median"]
    for count in (1, 4):
        assert count_macs(small, (X[:count],)) == found


def test_a_network_for_one_number_of_rows():
    """It cannot be run with one more: all is divided, as is all that grows."""

    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x):
            return self.layer(x.reshape(2, 4))

    assert count_macs(Fixed(), (X[:2],)) == 12
    laid = lay_out(nn.Sequential(Fixed()), {"0.layer": "input"}, X[:2])
    assert NetworkCost(laid.net, laid.plan).dense["macs"] == 12


def test_examples_in_any_container():
    @dataclass
    class Batch:
        x: torch.Tensor

    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network(LowRank)

        def forward(self, batch):
            return self.net(batch["x"] if isinstance(batch, dict) else batch.x)

    assert count_macs(Reads(), ({"x": X[:4]},)) == 32 + 64 + 128 + 24
    # Nobody can add a row to an object: all is divided.
    assert count_macs(Reads(), (Batch(X[:4]),)) == 32 + 64 + 128 / 4 + 24


def test_random_numbers_of_a_network_are_drawn_once():
    class Noisy(nn.Module):
        def forward(self, x):
            return x + torch.randn(x.shape)

    net = nn.Sequential(nn.Linear(4, 8), Noisy())
    torch.manual_seed(0)
    count_macs(net, (X,))
    state = torch.get_rng_state()
    torch.manual_seed(0)
    torch.randn(16, 8)
    assert torch.equal(torch.get_rng_state(), state)
