"""Networks that :mod:`benchmarks.training` trains: whole, and with all hidden layers narrowed alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from l0bayes.models import LeNet5Caffe, LeNet300100, VisionTransformer
from l0bayes.models.wide_resnet import WideBlock
from l0bayes.network import count_macs

__all__ = ["SmallConvolutional", "SmallResidual", "TwoHalves", "network", "thin_network", "widths_of"]


class SmallResidual(nn.Module):
    """A residual network for images of 28 by 28: a stem that halves them, and two groups of two blocks.

    Args:
        widths: Maps of the two groups.

    Attributes:
        default_gates: The maps between the two convolutions of each block.
    """

    default_gates: ClassVar[dict[str, str]] = {"group*.*.conv1": "output"}

    def __init__(self, widths: tuple[int, int] = (16, 32)) -> None:
        super().__init__()
        first, second = widths
        self.stem = nn.Conv2d(1, first, 3, stride=2, padding=1)
        self.group1 = nn.Sequential(WideBlock(first, first), WideBlock(first, first))
        self.group2 = nn.Sequential(WideBlock(first, second, stride=2), WideBlock(second, second))
        self.norm, self.last = nn.BatchNorm2d(second), nn.Linear(second, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Images of shape ``(batch, 1, 28, 28)`` to logits."""
        maps = torch.relu(self.norm(self.group2(self.group1(self.stem(x)))))
        logits: Tensor = self.last(maps.mean((-2, -1)))
        return logits


class SmallConvolutional(nn.Module):
    """Two convolutions with batch normalisation and two dense layers, for images of 28 by 28.

    Args:
        widths: Maps of the convolutions, and hidden units.
    """

    def __init__(self, widths: tuple[int, int, int] = (16, 32, 64)) -> None:
        super().__init__()
        first, second, hidden = widths
        self.conv1, self.norm1 = nn.Conv2d(1, first, 3, padding=1), nn.BatchNorm2d(first)
        self.conv2, self.norm2 = nn.Conv2d(first, second, 3, padding=1), nn.BatchNorm2d(second)
        self.hidden, self.last = nn.Linear(49 * second, hidden), nn.Linear(hidden, 10)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """Images of shape ``(batch, 1, 28, 28)`` to logits."""
        maps = self.pool(torch.relu(self.norm1(self.conv1(x))))
        maps = self.pool(torch.relu(self.norm2(self.conv2(maps))))
        logits: Tensor = self.last(torch.relu(self.hidden(maps.flatten(1))))
        return logits


class TwoHalves(nn.Module):
    """The upper and the lower half of an image of 784 pixels, each with a layer of its own.

    Args:
        widths: Units that read each half, and units that read both.
    """

    def __init__(self, widths: tuple[int, int, int] = (128, 128, 64)) -> None:
        super().__init__()
        upper, lower, both = widths
        self.upper, self.lower = nn.Linear(392, upper), nn.Linear(392, lower)
        self.both, self.last = nn.Linear(upper + lower, both), nn.Linear(both, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Images of 784 pixels, of any shape, to logits."""
        upper, lower = x.flatten(1).split(392, 1)
        halves = torch.cat([torch.relu(self.upper(upper)), torch.relu(self.lower(lower))], 1)
        logits: Tensor = self.last(torch.relu(self.both(halves)))
        return logits


def _lenet_300_100(share: float) -> nn.Module:
    return LeNet300100(widths=tuple(max(1, round(share * width)) for width in (300, 100)))


def _lenet_5(share: float) -> nn.Module:
    first, second, hidden = (max(1, round(share * width)) for width in (20, 50, 500))
    return LeNet5Caffe(widths=(first, second, hidden))


def _residual(share: float) -> nn.Module:
    first, second = (max(1, round(share * width)) for width in (16, 32))
    return SmallResidual((first, second))


def _transformer(share: float) -> nn.Module:
    heads = max(1, round(8 * share))
    return VisionTransformer(
        28, patch_size=7, channels=1, dim=8 * heads, depth=2, heads=heads, hidden=max(1, round(128 * share))
    )


def _convolutional(share: float) -> nn.Module:
    first, second, hidden = (max(1, round(share * width)) for width in (16, 32, 64))
    return SmallConvolutional((first, second, hidden))


def _two_halves(share: float) -> nn.Module:
    upper, lower, both = (max(1, round(share * width)) for width in (128, 128, 64))
    return TwoHalves((upper, lower, both))


_NETWORKS: dict[str, Callable[[float], nn.Module]] = {
    "lenet-300-100": _lenet_300_100,
    "lenet-5-caffe": _lenet_5,
    "residual": _residual,
    "convolutional": _convolutional,
    "two-halves": _two_halves,
    "transformer": _transformer,
}


def network(name: str, share: float = 1.0) -> nn.Module:
    """A network, its hidden layers narrowed to a share of their widths."""
    return _NETWORKS[name](share)


def thin_network(name: str, macs: float, example: Tensor) -> nn.Module:
    """The widest narrowed network with at most so many multiply-accumulates; the narrowest where none has."""
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if count_macs(network(name, middle), (example,)) <= macs else (low, middle)
    return network(name, low)


def widths_of(net: nn.Module) -> str:
    """Inputs of the first dense layer or maps of the convolutions, and so on, down to the last layer."""
    sizes = [p.shape[0] if p.dim() == 4 else p.shape[1] for p in net.parameters() if p.dim() > 1]
    return "-".join(map(str, sizes))
