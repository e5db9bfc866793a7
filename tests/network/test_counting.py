"""What runs outside of layers is counted all the same: against torch's own counter, or against formulas."""

import math

import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from l0bayes.guides import AutoHardConcrete
from l0bayes.models import SparseNetwork
from l0bayes.network import NetworkCost, count_macs
from tests.network.zoo import lay_out, normal

pytestmark = pytest.mark.usefixtures("float64")


class Run(nn.Module):
    """A module and a function around it."""

    def __init__(self, module, run=None):
        super().__init__()
        self.module, self.run = module, run

    def forward(self, x):
        return self.module(x) if self.run is None else self.run(self.module, x)


MAPS, SERIES = normal(2, 3, 6, 6), normal(2, 5, 4)
MATRIX, VECTOR = normal(4, 7), normal(4)
SETS = normal(2, 5, 8)


def flops(net, x):
    net.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(x)
    return counter.get_total_flops() / 2 / len(x)


class Standardised(nn.Conv2d):
    def forward(self, x):
        return self._conv_forward(x, self.weight - self.weight.mean((1, 2, 3), keepdim=True), self.bias)


@pytest.mark.parametrize(
    ("make", "x"),
    [
        (lambda: Standardised(3, 4, 3), MAPS),
        (lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), MAPS),
        (lambda: Run(nn.ReLU(), lambda m, x: functional.conv2d(x, normal(4, 3, 3, 3))), MAPS),
        (lambda: Run(nn.ReLU(), lambda m, x: functional.linear(x, MATRIX.T)), SERIES),
        (lambda: Run(nn.ReLU(), lambda m, x: x @ MATRIX), SERIES),
        (lambda: Run(nn.ReLU(), lambda m, x: torch.einsum("bij,jk->bik", x, MATRIX)), SERIES),
        (lambda: Run(nn.ReLU(), lambda m, x: x @ x.mT), SERIES),
        (lambda: nn.GRU(4, 6, num_layers=2, bidirectional=True, batch_first=True), SERIES),
        (lambda: nn.LSTM(4, 6, num_layers=2, batch_first=True), SERIES),
        (lambda: nn.LSTM(4, 6, proj_size=3, bidirectional=True, batch_first=True), SERIES),
        (lambda: nn.RNN(4, 6, bias=False, batch_first=True), SERIES),
        (lambda: nn.Sequential(nn.Linear(4, 8), nn.LSTMCell(8, 6)), normal(2, 4)),
        (lambda: nn.RNN(4, 6), SERIES.transpose(0, 1)),
    ],
)
def test_it_is_what_torch_counts(make, x):
    """In float64 recurrent layers do not run fused, so that torch counts them too."""
    net, rows = make().double(), len(x)
    assert count_macs(net, (x,)) * rows == flops(net, x) * rows > 0


def test_fused_recurrent_layers():
    lstm, x = nn.LSTM(4, 6, batch_first=True).float(), SERIES.float()
    assert flops(lstm, x) == 0
    assert count_macs(lstm, (x,)) == 5 * 4 * 6 * (4 + 6)
    packed = nn.utils.rnn.pack_padded_sequence(x, [5, 2], batch_first=True)
    with torch.no_grad():
        assert count_macs(Run(lstm, lambda m, x: m(packed)[0].data), (x,)) == 7 / 2 * 4 * 6 * (4 + 6)


@pytest.mark.parametrize(
    "options", [{}, {"kdim": 3, "vdim": 6}, {"add_bias_kv": True}, {"add_zero_attn": True}]
)
def test_attention_by_formula(options):
    """Keys are half as many as queries and, by the options, of other widths."""
    attention = nn.MultiheadAttention(8, 2, batch_first=True, **options).eval()
    key, value = SETS[:, :2, : attention.kdim], SETS[:, :2, : attention.vdim]
    more = int(bool(options) and "kdim" not in options)
    expected = 5 * 64 + 2 * 8 * attention.kdim + 2 * 8 * attention.vdim + 5 * 64 + 2 * 8 * 5 * (2 + more)
    net = Run(attention, lambda m, x: m(x, key[: len(x)], value[: len(x)], need_weights=False)[0])
    assert count_macs(net, (SETS,)) == expected


@pytest.mark.parametrize("shape", [(2, 4), (2, 3, 4)])
def test_products_that_torch_has_no_formula_for(shape):
    net = Run(nn.ReLU(), lambda m, x: x @ VECTOR)
    assert count_macs(net, (normal(*shape),)) == torch.Size(shape).numel() / 2


def test_scaled_dot_products():
    q = normal(2, 2, 5, 4)
    net = Run(nn.ReLU(), lambda m, x: functional.scaled_dot_product_attention(x, x, x))
    assert count_macs(net, (q,)) == 2 * 2 * 5 * 5 * 4


# ---- in the cost of a gated network ------------------------------------------------------------------


class Mixed(nn.Module):
    """A convolution of no kind, a product in ``forward``, and layers."""

    def __init__(self):
        super().__init__()
        self.first = Standardised(3, 4, 3)
        self.block = Run(nn.Linear(4, 4), lambda m, x: m(x) @ torch.ones(4, 4))
        self.last = nn.Linear(4, 2)

    def forward(self, x):
        x = self.first(x).mean((2, 3)).relu()
        x = (x @ torch.ones(4, 4)).tanh()
        return self.last(x + self.block(x))


def test_it_is_part_of_the_cost():
    laid = lay_out(Mixed(), {"last": "input", "block": "block"}, MAPS)
    cost, others = NetworkCost(laid.net, laid.plan), laid.plan.trace.others
    assert {name: other.macs for name, other in others.items()} == {"": 16, "first": 16 * 108, "block": 16}
    assert "subclass of Conv2d" in others["first"].reason
    assert others["block"].reason == "Run is of no registered kind"
    assert cost.dense["macs"] == count_macs(laid.net, (MAPS,)) == flops(Mixed(), MAPS) == 16 * 108 + 48 + 8
    gates = {"last.gate": torch.ones(4), "block.gate": torch.zeros(1)}
    assert cost.totals(gates)["macs"] == count_macs(laid.shrink(gates), (MAPS,)) == 16 * 108 + 16 + 8


def test_the_table_names_it():
    model = SparseNetwork(Mixed(), gates={"last": "input", "block": "block"}, example=MAPS)
    guide = AutoHardConcrete(model, (MAPS, torch.tensor([0, 1])), slab="delta", init_active=0.9)
    with torch.no_grad():
        for name, parameter in guide.log_alpha.named_parameters():
            parameter.fill_(-20.0 if "block" in name else 20.0)
    table = model.layer_table(guide, (MAPS, torch.tensor([0, 1])))
    assert "subclass of Conv2d" in table["gates on"]["first"]
    assert list(table.index) == ["block.module", "last", "block", "(the network itself)", "first", "block"]
    rows = table.iloc[3:]
    assert list(rows["dense MACs"]) == [16, 16 * 108, 16]
    assert list(rows["deployed MACs"]) == [16, 16 * 108, 0]
    costs = model.cost_table(guide)
    assert table["deployed MACs"].sum() == costs["macs"]["median"]
    assert table["dense MACs"].sum() == costs["macs"]["dense"]


class Solve(nn.Module):
    def forward(self, x):
        return torch.linalg.solve(torch.eye(3), x, left=False)


def test_what_cannot_be_counted_is_said():
    class Twofold(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.both, self.last = nn.Linear(4, 3), Solve(), nn.Linear(3, 2)

        def forward(self, x):
            return self.last(self.both(self.first(x).relu()))

    x, y = normal(2, 4), torch.tensor([0, 1])
    with pytest.warns(UserWarning, match=r"multiply-accumulates of aten::_linalg_solve_ex are unknown"):
        assert count_macs(Twofold(), (x,)) == 12 + 6
    with pytest.warns(UserWarning, match=r"'both' \(Solve: aten::_linalg_solve_ex\)"):
        model = SparseNetwork(Twofold())
    guide = AutoHardConcrete(model, (x, y), slab="delta")
    table = model.layer_table(guide, (x, y))
    numbers = ["dense MACs", "expected MACs", "deployed MACs"]
    assert table.loc["both", numbers].isna().all()
    assert table["dense MACs"].sum() == model.cost.dense["macs"] == 12 + 6
    assert math.isnan(table["dense MACs"].sum(skipna=False))
    for column in table.columns.drop(["gates on", "dense", "deployed"]):
        assert pd.api.types.is_numeric_dtype(table[column]), column


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_scripted_modules_are_counted_with_their_owner():
    class Owner(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.jit.script(nn.Sequential(nn.Linear(4, 3), nn.ReLU()))
            self.last = nn.Linear(3, 2)

        def forward(self, x):
            return self.last(self.inner(x))

    assert count_macs(Owner(), (normal(2, 4),)) == 12 + 6
