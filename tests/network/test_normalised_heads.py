"""Heads whose queries and keys are normalised, or that share one key and value, are taken out."""

import pytest
import torch
from pyro import poutine
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from l0bayes.guides import AutoHardConcrete
from l0bayes.models import SparseNetwork

WIDTH, HEADS, SIZE = 16, 4, 4
X = torch.randn(3, 5, WIDTH, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([0, 1, 1])


class OwnRMS(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, size))

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


class UnitLength(nn.Module):
    def __init__(self, size):
        super().__init__()

    def forward(self, x):
        return 3.0 * functional.normalize(x, dim=-1)


class Functional(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        return functional.layer_norm(x, (self.size,))


def nothing(size):
    return nn.Identity()


class Attention(nn.Module):
    def __init__(self, norm, shared, split_first):
        super().__init__()
        self.num_heads, self.num_kv_heads, self.head_dim = HEADS, shared, SIZE
        self.split_first = split_first
        self.q, self.o = nn.Linear(WIDTH, HEADS * SIZE), nn.Linear(HEADS * SIZE, WIDTH)
        self.k, self.v = nn.Linear(WIDTH, shared * SIZE), nn.Linear(WIDTH, shared * SIZE)
        self.q_norm, self.k_norm = norm(SIZE), norm(SIZE)

    def forward(self, x):
        rows, length, _ = x.shape
        q, k, v = (one(x).view(rows, length, -1, self.head_dim) for one in (self.q, self.k, self.v))
        if self.split_first:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k, v = (one.transpose(1, 2) for one in (q, k, v))
        if not self.split_first:
            q, k = self.q_norm(q), self.k_norm(k)
        times = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(times, 1), v.repeat_interleave(times, 1)
        if self.split_first:
            mixed = (q @ k.transpose(-2, -1)).div(self.head_dim**0.5).softmax(-1) @ v
        else:
            mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.o(mixed.transpose(1, 2).reshape(rows, length, -1))


class Net(nn.Module):
    def __init__(self, attention):
        super().__init__()
        self.norm, self.attention, self.last = nn.LayerNorm(WIDTH), attention, nn.Linear(WIDTH, 2)

    def forward(self, x):
        return self.last((x + self.attention(self.norm(x))).mean(1))


def macs(net):
    plain = sdpa_kernel(SDPBackend.MATH)
    with FlopCounterMode(display=False) as counter, torch.no_grad(), plain:
        net(X[:1])
    return counter.get_total_flops() / 2


@pytest.mark.parametrize("split_first", [False, True])
@pytest.mark.parametrize("shared", [4, 2, 1])
@pytest.mark.parametrize("norm", [nothing, nn.LayerNorm, nn.RMSNorm, OwnRMS, UnitLength, Functional])
def test_heads_are_taken_out(norm, shared, split_first):
    if norm is Functional and shared == 1:
        pytest.skip("refused; see below")
    torch.manual_seed(0)
    net = Net(Attention(norm, shared, split_first)).eval()
    model = SparseNetwork(net, gates={"attention": "heads"}, example=X[:2])
    gates = 2 if shared == 2 else 4
    assert model.plan.specs["attention.gate"].shape == (gates,)
    guide = AutoHardConcrete(model, (X, Y), slab="delta")
    with torch.no_grad():
        value = next(value for name, value in guide.named_parameters() if "gate" in name)
        value.copy_(torch.tensor([9.0, -9.0, 1.0, -9.0][:gates]))
    small = model.deploy(guide)
    with torch.no_grad():
        wanted = poutine.condition(model, data=guide.median())(X)
        torch.testing.assert_close(small(X), wanted, rtol=1e-4, atol=1e-5)
    left = HEADS // 2
    assert small.attention.num_heads == left
    assert small.attention.q.out_features == left * SIZE
    assert small.attention.k.out_features == (SIZE if shared == 1 else shared // 2 * SIZE)
    assert macs(small) == model.cost_summary(guide)["deployed_macs"]
    assert sum(p.numel() for p in small.parameters()) == model.cost_summary(guide)["deployed_params"]


def test_where_heads_cannot_be_found_the_reason_is_named():
    with pytest.raises(ValueError, match=r"no heads of attention.* goes through .*native_layer_norm"):
        SparseNetwork(Net(Attention(Functional, 1, True)), gates={"attention": "heads"}, example=X[:2])

    whole = Attention(nothing, 4, True)
    whole.q = nn.Sequential(whole.q, nn.LayerNorm(WIDTH))
    with pytest.raises(ValueError, match=r"goes through .*LayerNorm 'attention.q.1'"):
        SparseNetwork(Net(whole), gates={"attention": "heads"}, example=X[:2])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"kdim": 8, "vdim": 8}, "it has kdim or vdim of their own"),
        ({"add_bias_kv": True, "add_zero_attn": True}, "it has add_bias_kv and add_zero_attn"),
    ],
)
def test_what_an_attention_has_is_named(options, reason):
    class Across(nn.Module):
        def __init__(self):
            super().__init__()
            self.m, self.h = nn.MultiheadAttention(WIDTH, 4, batch_first=True, **options), nn.Linear(WIDTH, 2)

        def forward(self, x):
            other = x[..., : self.m.kdim]
            return self.h(self.m(x, other, other, need_weights=False)[0].mean(1))

    with pytest.raises(TypeError, match=rf"none can be placed on 'heads' of 'm': {reason}$"):
        SparseNetwork(Across(), gates={"m": "heads"}, example=X[:2])
