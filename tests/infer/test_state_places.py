"""Parameters that are remembered are those that stand in the module now."""

import torch
from torch import nn

from l0bayes.infer.objectives.state_places import StatePlaces


def as_torch_has_them(module):
    return dict(module.named_parameters()), dict(module.named_buffers())


def same(found, wanted):
    return all(
        [*one] == [*other] and all(one[name] is other[name] for name in one)
        for one, other in zip(found, wanted, strict=True)
    )


def test_changes_of_every_kind_are_seen():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Sequential(nn.Linear(3, 1)))
    places = StatePlaces(net)

    def put(module, name, value):
        setattr(module, name, value)

    changes = [
        lambda: None,
        lambda: put(net[0], "weight", nn.Parameter(torch.zeros(3, 2))),
        lambda: net[0].register_parameter("bias", None),
        lambda: net[0].register_buffer("scale", torch.ones(1)),
        lambda: net[1].register_buffer("running_mean", torch.ones(3)),
        lambda: put(net[2], "0", nn.Linear(3, 1, bias=False)),
        lambda: net.append(nn.Linear(1, 1)),
        lambda: net[2].append(nn.Identity()),
        lambda: net[2].__delitem__(0),
        lambda: net.double(),
        lambda: put(net[3], "weight", net[3].bias),
    ]
    for change in changes:
        change()
        assert same(places.current(), as_torch_has_them(net))
        assert places.current() is places.current()
