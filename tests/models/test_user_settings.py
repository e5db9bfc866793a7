"""What a user set on a network stays: what is frozen, hooks, attributes, modes, precision."""

import copy

import pytest
import torch
from torch import nn

import l0bayes
from l0bayes.distributions import L0Penalty, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer.objectives.latent_draws import Given
from l0bayes.models import SparseNetwork

X, Y = torch.randn(24, 5, generator=torch.Generator().manual_seed(0)), torch.arange(24) % 2


def seeded(make):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return make()


def mlp():
    return nn.Sequential(
        nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2)
    )


def tokens():
    return nn.Sequential(
        nn.Linear(5, 8), nn.TransformerEncoderLayer(8, 4, 6, 0.0, batch_first=True), nn.Linear(8, 2)
    )


def trained(net, gates, x=X, steps=8, mode="eager"):
    model = SparseNetwork(
        net, gates, slab=L2Penalty(0.0), inclusion=L0Penalty(0.0), example=x[:2], num_data=24
    )
    guide = AutoHardConcrete(model, (x, Y), slab="delta", init_active=0.9)
    l0bayes.fit(model, guide, (x, Y), steps=steps, lr=0.05, compile=mode, progress=False)
    return model, guide


def shut_some(guide):
    for parameter in guide.gate_parameters():
        values = torch.where(torch.arange(parameter.numel()) % 2 == 0, 9.0, -9.0)
        parameter.data.copy_(values.reshape(parameter.shape))
    return guide


FROZEN = [
    (mlp, {"5": "input"}, ["0", "1"]),
    (mlp, {"0": "output", "5": "input"}, ["0", "1", "3"]),
    (mlp, {"3": ["input", "weight"]}, ["3"]),
    (tokens, {"1.self_attn": "heads", "1.linear2": "input"}, ["1.self_attn", "1.norm1"]),
]


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize(("make", "gates", "frozen"), FROZEN)
def test_what_is_frozen_does_not_move(make, gates, frozen, mode):
    net = seeded(make)
    for name in frozen:
        net.get_submodule(name).requires_grad_(False)
    before = {name: p.detach().clone() for name, p in net.named_parameters() if not p.requires_grad}
    model, guide = trained(net, gates, mode=mode)
    held = dict(model.net.named_parameters())
    assert all(torch.equal(held[name], value) for name, value in before.items())
    assert not {f"{name}.slab" for name in before} & guide.median().keys()
    small = model.eval().deploy(shut_some(guide))
    flags = {name: p.requires_grad for name, p in small.named_parameters()}
    assert flags == {name: p.requires_grad for name, p in net.named_parameters()}
    assert (
        sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in net.parameters()) or make is mlp
    )
    whole = {name: value for name, value in small.named_parameters() if value.shape == held[name].shape}
    if gates == {"5": "input"}:
        assert torch.equal(whole["0.weight"], before["0.weight"])


def test_a_frozen_network_keeps_its_function():
    """Nothing but gates is trained: the open network is the one that was given."""
    net = seeded(mlp).eval().requires_grad_(False)
    model = SparseNetwork(net, "input", num_data=24)
    guide = AutoHardConcrete(model, (X, Y), init_active=0.999)
    l0bayes.fit(model, guide, (X, Y), steps=3, progress=False)
    assert not model.links
    torch.testing.assert_close(model.deploy(guide)(X), net(X))


def test_hooks_and_attributes_stay():
    seen = []
    net = seeded(tokens)
    net.labels, net[1].self_attn.role, net[1].tag = ["no", "yes"], "looks", 7
    net[1].self_attn.out_proj.mark = "last"
    net[1].register_forward_hook(lambda module, args, out: seen.append(module.tag))
    net[1].self_attn.register_full_backward_hook(lambda module, a, b: seen.append(module.role))
    net[1].self_attn.dropout = 0.0
    model, guide = trained(net, {"1.self_attn": "heads"}, steps=1)
    assert seen.count(7) >= 2
    for one in (model.net, model.deploy(guide), model.deploy(shut_some(guide))):
        assert (one.labels, one[1].self_attn.role, one[1].tag) == (["no", "yes"], "looks", 7)
        assert one[1].self_attn.out_proj.mark == "last"
    for one in (model.deploy(guide), model.deploy(shut_some(guide))):
        seen.clear()
        one.train()(X).sum().backward()
        assert seen == [7, "looks"]


def test_modes_stay():
    """A normalisation that is kept in evaluation mode, as for fine-tuning, is not touched."""
    net = seeded(mlp)
    net[1].eval()
    before = copy.deepcopy(net[1].state_dict())
    model, guide = trained(net, {"3": "input"})
    model.deploy(guide)
    modes = [module.training for module in model.net.modules()]
    assert modes == [module.training for module in net.modules()]
    after = model.net[1].state_dict()
    assert all(torch.equal(before[key], after[key]) for key in ("running_mean", "running_var"))


def convolutional():
    return nn.Sequential(
        nn.Conv2d(1, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(54, 8),
        nn.ReLU(),
        nn.Linear(8, 2),
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize(
    ("make", "gates", "shape"),
    [
        (mlp, "input", (5,)),
        (mlp, {"0": ["input", "weight"], "3": ["weight", "input"]}, (5,)),
        (convolutional, {"0": "output", "4": "input", "6": "input"}, (1, 5, 5)),
        (tokens, {"1.self_attn": "heads", "1.linear2": "input", "1": "block"}, (3, 5)),
    ],
)
def test_precision_stays(make, gates, shape, dtype):
    net = seeded(make).to(dtype)
    if make is tokens:
        net = nn.Sequential(net, nn.Flatten(), nn.Linear(6, 2)).to(dtype)
        gates = {f"0.{name}": value for name, value in gates.items()}
    x = torch.randn(24, *shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    model, guide = trained(net, gates, x, mode="graph")
    assert all(p.dtype == dtype for p in model.net.parameters())
    kept = torch.float64 if dtype == torch.float64 else torch.float32  # in 16 bits small steps are lost
    assert all(value.dtype == kept for name, value in guide.median().items() if name.endswith(".slab"))
    small = model.eval().deploy(shut_some(guide))
    assert all(p.dtype == dtype for p in small.parameters())
    values = {name: (law.median > 0).float() for name, law in guide.gates().items()}
    slabs = {name: value for name, value in guide.median().items() if name.endswith(".slab")}
    with torch.no_grad(), Given(values | slabs):
        found, expected = small(x), model(x)
    assert found.dtype == dtype
    limit = {torch.bfloat16: 0.06, torch.float16: 0.01, torch.float64: 1e-12}[dtype]
    assert (found - expected).abs().max() < limit * (1 + expected.abs().max())
