"""The network guessed by hand: all layers narrowed by one factor, data left alone."""

import pytest
import torch
from torch import nn

from l0bayes.models import LeNet5Caffe, LeNet300100, SparseNetwork
from l0bayes.network import count_macs, thin_network


def thinned(model, macs):
    return thin_network(model.net, model.plan, model.cost, macs)


def test_hidden_layers_are_narrowed_alike_and_pixels_stay():
    model = SparseNetwork(LeNet300100(), example=torch.rand(2, 1, 28, 28))
    net = thinned(model, 26_000)
    assert net.fc1.in_features == 784
    assert net.fc1.out_features / 300 == pytest.approx(net.fc2.out_features / 100, abs=0.01)
    assert count_macs(net, (torch.rand(1, 1, 28, 28),)) <= 26_000
    wider = LeNet300100(widths=(net.fc1.out_features + 1, net.fc2.out_features + 1))
    assert count_macs(wider, (torch.rand(1, 1, 28, 28),)) > 26_000


def test_pixels_of_a_map_go_with_it():
    model = SparseNetwork(LeNet5Caffe(), example=torch.rand(2, 1, 28, 28))
    net = thinned(model, 0.0525 * model.cost.dense["macs"])
    assert net.fc1.in_features == 16 * net.conv2.out_channels
    assert type(net.fc1) is nn.Linear
    assert net.conv2.out_channels / 50 == pytest.approx(net.fc1.out_features / 500, abs=0.02)


@pytest.mark.parametrize(
    ("gates", "macs"), [("weight", 100.0), ({"0": "input", "2": "block"}, 100.0), ("input", 2.0)]
)
def test_there_is_none_where_widths_do_not_say_it(gates, macs):
    net = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.Linear(6, 2))
    assert thinned(SparseNetwork(net, gates=gates, example=torch.rand(2, 6)), macs) is None
