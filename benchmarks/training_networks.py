"""Networks that :mod:`benchmarks.training` trains: whole, and with all hidden layers narrowed alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from l0bayes.models import LeNet5Caffe, LeNet300100, VisionTransformer
from l0bayes.models.wide_resnet import WideBlock
from l0bayes.network import count_macs

__all__ = ["SmallResidual", "network", "thin_network", "widths_of"]


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


_NETWORKS: dict[str, Callable[[float], nn.Module]] = {
    "lenet-300-100": _lenet_300_100,
    "lenet-5-caffe": _lenet_5,
    "residual": _residual,
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
