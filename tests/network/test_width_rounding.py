"""Numbers of units are multiples: up where there is room, down elsewhere, never 0; maps with their pixels."""

import pytest
import torch
from torch import nn

import l0bayes
from l0bayes.distributions import L0Penalty, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import DeploymentWarning, Minibatches
from l0bayes.models import LeNet5Caffe, LeNet300100, SparseNetwork, WideResNet
from l0bayes.models.network_deployment import deployed_network
from l0bayes.network import count_macs, round_widths


def lenet():
    return SparseNetwork(LeNet5Caffe(), example=torch.rand(2, 1, 28, 28))


def mlp(gates="input"):
    return SparseNetwork(LeNet300100(inputs=64, widths=(40, 24)), gates=gates, example=torch.rand(2, 64))


def drawn(model, share, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scores = {site: torch.randn(spec.shape, generator=generator) for site, spec in model.plan.specs.items()}
    everything = torch.cat([value.flatten() for value in scores.values()])
    limit = everything.quantile(1.0 - share)
    return {site: (value > limit).float() for site, value in scores.items()}, scores


def sizes(model, opened):
    """Units that the layers of the network make and read, once it is cut."""
    gates = {site: value.double() for site, value in opened.items()}
    slabs = {name: parameter.detach() for name, parameter in model.net.named_parameters()}
    small = deployed_network(model.net, model.plan, slabs, gates, model.example)
    layers = [one for one in small.modules() if isinstance(one, nn.Linear | nn.Conv2d)]
    return [tuple(one.weight.shape[:2]) for one in layers], small


@pytest.mark.parametrize("share", [0.03, 0.1, 0.4, 0.7])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_layer_that_is_left_has_multiples(share, seed):
    model = lenet()
    opened, scores = drawn(model, share, seed)
    found = round_widths(model.plan, opened, scores, 8)
    (conv1, conv2, fc1, fc2), _ = sizes(model, found)
    assert conv1[0] % 8 == conv2[0] % 8 == fc1[0] % 8 == fc1[1] % 8 == 0
    assert (conv1[1], conv2[1], fc2) == (1, conv1[0], (10, fc1[0]))
    assert min(conv1[0], conv2[0], fc1[0], fc1[1]) >= 8


def test_without_a_limit_all_are_rounded_up_by_the_most_probable():
    model = mlp()
    opened, scores = drawn(model, 0.5)
    found = round_widths(model.plan, opened, scores, 8)
    for site, value in found.items():
        before = int(opened[site].sum())
        assert int(value.sum()) == -(-before // 8) * 8
        assert bool((value >= opened[site]).all())
        assert scores[site][value > 0].min() > scores[site][value == 0].max()


def test_multiples_stay_as_they_are():
    model = mlp()
    _, scores = drawn(model, 0.5)
    opened = {site: torch.zeros_like(value) for site, value in scores.items()}
    for site, value in opened.items():
        value[scores[site].topk(16).indices] = 1.0
    found = round_widths(model.plan, opened, scores, 8)
    assert all(torch.equal(found[site], value) for site, value in opened.items())


@pytest.mark.parametrize("share", [0.3, 0.45, 0.6])
def test_numbers_are_rounded_up_only_where_the_network_fits(share):
    model = lenet()
    opened, scores = drawn(model, share)

    def macs(gates):
        return float(model.deployed_share("macs", gates))

    limit = macs(opened)
    found = round_widths(model.plan, opened, scores, 8, lambda gates: macs(gates) <= limit)
    assert macs(found) <= limit
    rows, small = sizes(model, found)
    assert all(made % 8 == 0 for made, _ in rows[:3])
    assert count_macs(small, model.example) == pytest.approx(macs(found) * model.cost.dense["macs"])
    free = round_widths(model.plan, opened, scores, 8)
    assert macs(free) >= macs(found)


def test_what_does_not_fit_is_shut_in_steps_down_to_one_multiple():
    model = mlp()
    opened, scores = drawn(model, 0.9)
    for limit in (30, 60, 90):
        found = round_widths(
            model.plan,
            opened,
            scores,
            8,
            lambda gates, most=limit: sum(map(torch.sum, gates.values())) <= most,
        )
        total = sum(int(value.sum()) for value in found.values())
        assert limit - 8 < total <= limit
        assert all(int(value.sum()) % 8 == 0 and int(value.sum()) >= 8 for value in found.values())
    least = round_widths(model.plan, opened, scores, 8, lambda _: False)
    assert [int(value.sum()) for value in least.values()] == [8, 8, 8]


def test_layers_with_fewer_units_and_other_gates_stay():
    model = SparseNetwork(WideResNet(10, 1, channels=1), example=torch.rand(2, 1, 8, 8))
    opened, scores = drawn(model, 0.5)
    small = round_widths(model.plan, opened, scores, 64)
    assert [int(value.sum()) for value in small.values()][:2] == [int(v.sum()) for v in opened.values()][:2]
    weights = mlp("weight")
    opened, scores = drawn(weights, 0.5)
    found = round_widths(weights.plan, opened, scores, 8)
    assert all(torch.equal(found[site], value) for site, value in opened.items())


# ---- fits and deployment -----------------------------------------------------------------------


def problem():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(128, 64, generator=generator)
    y = (x[:, 0] > 0).long() + 2 * (x[:, 1] > 0).long()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = LeNet300100(inputs=64, widths=(40, 24), classes=4)
    model = SparseNetwork(net, inclusion=L0Penalty(0.0), slab=L2Penalty(0.0), num_data=128, example=x[:2])
    guide = AutoHardConcrete(model, (x[:2], y[:2]), slab="delta", init_active=0.95)
    return model, guide, Minibatches(x, y, batch_size=64)


def widths(small):
    layers = [one for one in small.modules() if isinstance(one, nn.Linear)]
    return [one.in_features for one in layers]


def test_a_cut_keeps_multiples_within_the_target():
    model, guide, batches = problem()
    fit = l0bayes.fit(
        model, guide, batches, steps=60, target="macs:0.3", shrink=True, round_to=8, progress=False
    )
    small = model.deploy(guide)
    assert all(width % 8 == 0 and width for width in widths(small))
    share = count_macs(small, model.example) / model.cost.dense["macs"]
    assert 0.15 < share <= 0.3
    assert fit.config["round_to"] == 8


def test_a_network_is_deployed_with_multiples():
    model, guide, _ = problem()
    with torch.no_grad():
        for site, law in guide.gates().items():
            guide.decide({site: (torch.arange(law.batch_shape.numel()) < 21).float()})
    plain = model.deploy(guide)
    with pytest.warns(DeploymentWarning, match="opens 9 gates that have closed for good"):
        up = model.deploy(guide, round_to=8)
    with pytest.warns(DeploymentWarning, match=r"shuts \d+ gates that are open for certain"):
        held = model.deploy(guide, round_to=8, target="macs:0.3")
    assert widths(plain) == [21, 21, 21]
    assert widths(up) == [24, 24, 24]
    assert sorted(widths(held)) != [24, 24, 24]
    assert all(width % 8 == 0 for width in widths(held))
    assert count_macs(held, model.example) <= 0.3 * model.cost.dense["macs"]


def test_layers_of_fewer_units_give_where_the_target_is_not_kept_otherwise():
    model, guide, batches = problem()
    fit = l0bayes.fit(
        model, guide, batches, steps=60, target="macs:0.7", shrink=True, round_to=32, progress=False
    )
    small = model.deploy(guide)
    assert fit.decision is not None
    assert widths(small)[:2] == [32, 32] or widths(small)[:2] == [64, 32]
    assert 1 <= widths(small)[2] <= 24
    assert count_macs(small, model.example) <= 0.7 * model.cost.dense["macs"]
    with torch.no_grad():
        guide = AutoHardConcrete(model, next(iter(batches.epoch(0))), slab="delta", init_active=0.95)
    opened = {site: torch.ones(law.batch_shape) for site, law in guide.gates().items()}
    scores = {site: torch.arange(float(value.numel())) for site, value in opened.items()}
    share = model.deployed_share
    pixels, first, second = opened
    least = {pixels: 64, first: 40, second: 24}
    for target in (0.9, 0.6, 0.5, 0.45):
        found = model.round_widths(opened, scores, 32, lambda one, at=target: float(share("macs", one)) <= at)
        assert float(share("macs", found)) <= target
        for site, value in found.items():
            assert int(value.sum()) % 32 == 0 or value.numel() < 32
            least[site] = min(least[site], int(value.sum()))
    assert least[pixels] == least[first] == 32
    assert 1 <= least[second] < 24


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"round_to": 8}, "round_to goes with shrink=True and a target"),
        ({"round_to": 8, "target": "macs:0.3"}, "give round_to to deploy"),
        ({"round_to": 8, "shrink": True}, "round_to goes with shrink=True and a target"),
        ({"round_to": 0, "shrink": True, "target": "macs:0.3"}, "round_to must be at least 1"),
        ({"round_to": 16, "shrink": True, "target": "macs:0.1"}, "can't be reached with round_to=16"),
    ],
)
def test_what_cannot_be_rounded_is_refused_before_training(options, words):
    model, guide, batches = problem()
    with pytest.raises(ValueError, match=words):
        l0bayes.fit(model, guide, batches, steps=4, progress=False, **options)


def test_deploying_refuses_what_does_not_go():
    model, guide, _ = problem()
    with pytest.raises(ValueError, match="target goes with round_to"):
        model.deploy(guide, target="macs:0.3")
    with pytest.raises(ValueError, match="can't be reached with round_to=16"):
        model.deploy(guide, round_to=16, target="macs:0.1")
