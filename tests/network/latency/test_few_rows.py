"""Convolutions that run at once: the same values, where they may, and as ever elsewhere."""

import pytest
import torch
from torch import nn

from l0bayes.models import LeNet5Caffe, WideResNet
from l0bayes.network import DirectConv2d, count_macs, for_few_rows


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: LeNet5Caffe(widths=(3, 8, 20)), (1, 28, 28)),
        (lambda: WideResNet(10, 1), (3, 9, 9)),
        (lambda: nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 0), bias=False), (2, 7, 8)),
    ],
)
def test_values_are_those_of_the_network(make, shape):
    net = make().eval()
    quick = for_few_rows(net)
    assert not any(type(module) is DirectConv2d for module in net.modules())
    assert any(type(module) is DirectConv2d for module in quick.modules())
    for rows in (1, 3, 200):
        x = torch.randn(rows, *shape, generator=torch.Generator().manual_seed(rows))
        with torch.no_grad():
            torch.testing.assert_close(quick(x), net(x), rtol=1e-4, atol=1e-5)


def test_what_is_to_be_differentiated_or_in_other_types_runs_as_ever():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()).eval()
    quick = for_few_rows(net)
    x = torch.randn(1, 1, 5, 5, requires_grad=True)
    (grad,) = torch.autograd.grad(quick(x).sum(), x)
    (wanted,) = torch.autograd.grad(net(x).sum(), x)
    assert torch.equal(grad, wanted)
    with torch.no_grad():
        assert torch.equal(quick.double()(x.double()), net.double()(x.double()))
        one = for_few_rows(nn.Conv2d(1, 2, 3))
        assert one(torch.randn(1, 5, 5)).shape == (2, 3, 3)  # without a batch


def test_other_convolutions_stay():
    layers = [
        nn.Conv2d(2, 2, 3, groups=2),
        nn.Conv2d(2, 2, 3, dilation=2),
        nn.Conv2d(2, 2, 3, padding="same"),
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"),
        nn.Conv1d(2, 2, 3),
    ]
    quick = for_few_rows(nn.ModuleList(layers))
    assert [type(one) for one in quick] == [type(one) for one in layers]


def test_it_is_counted_and_exported_as_what_it_is():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()).eval()
    quick, x = for_few_rows(net), torch.rand(2, 1, 5, 5)
    assert count_macs(quick, (x,)) == count_macs(net, (x,)) == 9 * 9 * 2
    program = torch.export.export(quick, (x,))
    assert "thnn" not in str(program.graph)
