"""A network of the same architecture starts anew: weights, statistics, what is frozen or selected."""

import pytest
import torch
from torch import nn

from l0bayes.guides import AutoHardConcrete
from l0bayes.models import LeNet5Caffe, SparseNetwork, VisionTransformer
from l0bayes.network import SelectiveLinear, count_macs, fresh_network


class Positions(nn.Module):
    def __init__(self, size=3):
        super().__init__()
        self.place, self.last = nn.Parameter(torch.full((size,), 2.0)), nn.Linear(size, 2)

    def forward(self, x):
        return self.last(x + self.place)


def trained():
    """As training might leave it: far from any start."""
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.PReLU(), nn.Flatten(), nn.Linear(12, 4))
    with torch.no_grad():
        for value in (*net.parameters(), *net.buffers()):
            if value.is_floating_point():
                value.fill_(50.0)
    return net


def test_every_layer_starts_as_its_class_does():
    net = trained()
    new = fresh_network(net, seed=3)
    start = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.PReLU(), nn.Flatten(), nn.Linear(12, 4))
    for name, value in new.state_dict().items():
        assert not torch.equal(value, net.state_dict()[name]) or name.endswith("num_batches_tracked")
        bound = start.state_dict()[name].abs().max() if "1." in name[:2] else 0.6
        assert float(value.abs().max()) <= float(bound) + 1e-6, name
    assert torch.equal(new[1].running_mean, torch.zeros(3))
    assert int(new[1].num_batches_tracked) == 0
    assert all(float(p.detach().min()) == 50.0 for p in net.parameters())  # left alone


def test_it_is_a_function_of_its_seed_and_leaves_the_generator_alone():
    net, state = trained(), torch.get_rng_state()
    one, other, third = (fresh_network(net, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one[0].weight, other[0].weight)
    assert not torch.equal(one[0].weight, third[0].weight)


def test_a_network_that_draws_its_own_start_is_asked_for_it():
    net = LeNet5Caffe(widths=(2, 3, 40))
    net.fc1 = SelectiveLinear(torch.arange(0, 48, 2), 40)
    new = fresh_network(net)
    assert type(new.fc1) is SelectiveLinear
    assert torch.equal(new.fc1.index, net.fc1.index)
    assert float(new.fc1.weight.detach().std()) == pytest.approx((2 / 24) ** 0.5, rel=0.1)  # He et al.
    assert not bool(new.fc1.bias.any())


def test_deployed_networks_of_attention_start_anew():
    x, y = torch.rand(2, 1, 8, 8), torch.tensor([0, 1])
    model = SparseNetwork(VisionTransformer(8, 4, 1, 8, 1, 2, 8, 3), example=x)
    guide = AutoHardConcrete(model, (x, y), init_active=0.9)
    opened = {site: torch.ones(law.batch_shape) for site, law in guide.gates().items()}
    opened["layers.0.self_attn.gate"][0] = 0.0
    with torch.no_grad():
        guide.decide(opened)
    small = model.deploy(guide)
    new = fresh_network(small, like=VisionTransformer(8, 4, 1, 8, 1, 2, 8, 3))
    assert count_macs(new, (x,)) == count_macs(small, (x,)) < model.cost.dense["macs"]
    assert not torch.equal(new.layers[0].self_attn.in_proj_weight, small.layers[0].self_attn.in_proj_weight)
    assert not bool(new.layers[0].self_attn.in_proj_bias.any())


def test_frozen_parameters_stay():
    net = trained()
    net[4].weight.requires_grad_(False)
    new = fresh_network(net)
    assert torch.equal(new[4].weight, net[4].weight)
    assert not new[4].weight.requires_grad
    assert not torch.equal(new[4].bias, net[4].bias)


def test_parameters_that_no_module_draws_need_an_untrained_network():
    with pytest.raises(ValueError, match=r"'place'.*reset_parameters"):
        fresh_network(Positions())
    assert torch.equal(fresh_network(Positions(), like=Positions()).place, torch.full((3,), 2.0))
    like = Positions(50)
    with torch.no_grad():
        like.place.normal_(5.0, 0.1)
    found = fresh_network(Positions(20), like=like).place.detach()
    assert 4.5 < float(found.min()) < float(found.max()) < 5.5
    assert float(found.std()) > 0.0
