"""Blocks asked for by one word or a glob, layers tied in memory, padded encoders."""

import pytest
import torch
from torch import nn

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.models import SparseNetwork, WideResNet

X = torch.randn(8, 5, generator=torch.Generator().manual_seed(1))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.drop, self.b = nn.Linear(8, 8), nn.Dropout(0.1), nn.Linear(8, 8)

    def forward(self, x):
        return x + self.b(torch.relu(self.drop(self.a(x))))


class Stack(nn.Module):
    """Blocks in a list, which itself is never run."""

    def __init__(self):
        super().__init__()
        self.first, self.list, self.last = (
            nn.Linear(5, 8),
            nn.ModuleList([Residual(), Residual()]),
            nn.Linear(8, 3),
        )

    def forward(self, x):
        x = self.first(x)
        for block in self.list:
            x = block(x)
        return self.last(x)


class Encoder(nn.Module):
    """Rows of three tokens, of which the last ones may be padding."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.first = nn.Linear(5, 8)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        padding = (x[..., 0] > 1.0) & (torch.arange(3) > 0)
        return self.last(self.encoder(self.first(x), src_key_padding_mask=padding)[:, 0])


TOKENS = X.repeat(3, 1, 1).transpose(0, 1).contiguous()
TOKENS[:, 2, 0] = 2.0


@pytest.mark.parametrize("gates", ["block", {"*": "block"}, {"list*": "block"}])
def test_a_glob_of_blocks_passes_over_what_is_none(gates):
    model = SparseNetwork(Stack(), gates=gates, example=X[:2])
    assert [*model.plan.specs] == ["list.0.gate", "list.1.gate"]


@pytest.mark.parametrize("norm_first", [False, True])
def test_layers_of_a_transformer_are_blocks_and_not_their_parts(norm_first):
    layers = [
        nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True, norm_first=norm_first) for _ in "ab"
    ]
    net = nn.Sequential(nn.Linear(5, 8), *layers, nn.Linear(8, 3))
    model = SparseNetwork(net, gates="block", example=TOKENS[:2])
    assert [*model.plan.specs] == ["1.gate", "2.gate"]


def test_where_nothing_is_a_block_it_is_said():
    net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2))
    with pytest.raises(ValueError, match="is no block that the network could do without"):
        SparseNetwork(net, gates="block")
    with pytest.raises(ValueError, match="'0' is no residual block"):
        SparseNetwork(net, gates={"0": "block"})


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("gates", [{"*.self_attn": "heads", "*.linear2": "input"}, {"*.linear2": "input"}])
def test_padded_encoders_run_as_torch_runs_them(gates):
    """In eval mode torch would take nested tensors to its fused path, which knows no gates."""
    net = Encoder().eval()
    model = SparseNetwork(net, gates=gates, example=TOKENS[:2])
    guide = AutoHardConcrete(model, (TOKENS, torch.zeros(8).long()), slab="delta", init_active=0.999)
    with torch.no_grad():
        torch.testing.assert_close(model.deploy(guide).eval()(TOKENS), net(TOKENS), rtol=1e-5, atol=1e-6)


def test_weights_that_are_one_place_in_memory_stay_one():
    net = nn.Sequential(
        nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 5), nn.Linear(5, 2)
    )
    net[4].weight.data = net[0].weight.data
    with pytest.warns(UserWarning, match=r"'0': its weight is shared with '4.weight'"):
        assert [*SparseNetwork(net, gates="input").plan.specs] == ["2.gate", "5.gate"]
    model = SparseNetwork(net, gates={"2": "input"})
    y = torch.zeros(8).long()
    guide = AutoHardConcrete(model, (X, y), slab="delta")
    l0bayes.fit(model, guide, (X, y), steps=3, lr=0.1, progress=False, compile="eager", guard_collapse=False)
    small = model.deploy(guide)
    assert small[0].weight is small[4].weight
    assert not torch.equal(small[0].weight, net[0].weight)


class Downsampling(nn.Module):
    """Blocks as in He et al. 2016: the activation stands behind the sum, and the next block reads it."""

    def __init__(self):
        super().__init__()
        self.first = Downsampling.Block(4, 4, 1)
        self.second = Downsampling.Block(4, 6, 2)
        self.third = Downsampling.Block(6, 6, 1)
        self.head = nn.Linear(6, 3)

    class Block(nn.Module):
        def __init__(self, before, after, stride):
            super().__init__()
            self.conv = nn.Conv2d(before, after, 3, stride, 1)
            self.other = nn.Conv2d(before, after, 1, stride) if before != after else None

        def forward(self, x):
            return self.conv(x) + (x if self.other is None else self.other(x))

    def forward(self, x):
        return self.head(self.third(self.second(self.first(x))).mean((2, 3)))


@pytest.mark.parametrize(
    ("build", "shape", "able", "block"),
    [
        (Downsampling, (2, 4, 8, 8), {"first", "third"}, "second"),
        (
            lambda: WideResNet(16, 1),
            (2, 3, 32, 32),
            {"layer1.0", "layer1.1", "layer2.1", "layer3.1"},
            "layer2.0",
        ),
    ],
)
def test_a_block_that_others_read_is_not_optional(build, shape, able, block):
    net, x = build(), torch.randn(shape)
    with pytest.raises(ValueError, match=f"{block}' is no residual block: its output is read by a layer"):
        SparseNetwork(net, gates={block: "block"}, example=x)
    assert set(SparseNetwork(net, gates="block", example=x).plan.blocks) == able


def test_shut_blocks_hand_on_what_they_get():
    net, x = Downsampling(), torch.randn(2, 4, 8, 8)
    model = SparseNetwork(net, gates="block", example=x)
    guide = AutoHardConcrete(model, (x, torch.zeros(2, dtype=torch.long)))
    with torch.no_grad():
        for value in guide.log_alpha.parameters():
            value.fill_(-20.0)
        small = model.deploy(guide)
        torch.testing.assert_close(small(x), small.head(small.second(x).mean((2, 3))))


def test_a_shut_layer_that_normalises_its_sum_hands_on_what_it_gets():
    layers = [nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True) for _ in "ab"]
    net = nn.Sequential(nn.Linear(5, 8), *layers, nn.Linear(8, 3))
    model = SparseNetwork(net, gates={"1": "block"}, example=TOKENS[:2])
    guide = AutoHardConcrete(model, (TOKENS, torch.zeros(8, 3).long()))
    with torch.no_grad():
        for value in guide.log_alpha.parameters():
            value.fill_(-20.0)
        small = model.deploy(guide).eval()
        torch.testing.assert_close(small(TOKENS), small[3](small[2](small[0](TOKENS))))
