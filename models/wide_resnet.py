r"""Wide residual networks, WRN-d-k of Zagoruyko and Komodakis (2016, arXiv 1605.07146)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from l0bayes import validate
from l0bayes.network import register_saved_class

__all__ = ["WideBlock", "WideResNet"]


@register_saved_class
class WideBlock(nn.Module):
    r"""Two 3 by 3 convolutions behind their normalisations, added to the input.

    .. math:: x + \text{conv2}(r(\text{bn2}(\text{conv1}(r(\text{bn1}(x)))))), \qquad r = \max(0, \cdot)

    Where the shape changes, :math:`x` is replaced by a 1 by 1 convolution of :math:`r(\text{bn1}(x))`.
    Maps of ``conv1`` are seen by ``conv2`` alone, so that one can be removed from both.

    Args:
        before: Channels of the input.
        after: Channels of the output.
        stride: Stride of the first convolution.

    Attributes:
        shortcut: The 1 by 1 convolution, or ``None`` where the shape stays.
    """

    shortcut: nn.Conv2d | None

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.shortcut = None
        if before != after or stride != 1:
            self.shortcut = nn.Conv2d(before, after, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Images of shape ``(batch, before, height, width)`` to ``(batch, after, height', width')``."""
        active = self.relu1(self.bn1(x))
        residual: Tensor = self.conv2(self.relu2(self.bn2(self.conv1(active))))
        return residual + (x if self.shortcut is None else self.shortcut(active))


@register_saved_class
class WideResNet(nn.Module):
    r"""WRN-d-k: three groups of :math:`n = (d - 4)/6` pre-activated blocks of 16k, 32k and 64k maps.

    The second and third group halve height and width. Convolutions start as in He et al. (2015), with
    variance 2 / fan-out; there is no dropout. WRN-28-10 has 36.5 million parameters.

    Args:
        depth: Number of convolutions d, of the form 6n + 4 with n at least 1.
        width: Factor k of the number of maps, at least 1.
        classes: Number of logits.
        channels: Channels of the images.

    Attributes:
        default_gates: The paper's placement, by pattern of layer names: the output maps of each block's
            first convolution.

    Raises:
        ValueError: If an argument is not of that form.

    Example::

        net = WideResNet(28, 10)
        net(torch.zeros(8, 3, 32, 32)).shape  # (8, 10)
    """

    default_gates: ClassVar[dict[str, str]] = {"layer*.*.conv1": "output"}

    def __init__(self, depth: int, width: int, classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(f"depth must be 6n + 4 with n at least 1, such as 10, 16, 28; got {depth!r}")
        validate.at_least(1, width=width, classes=classes, channels=channels)
        blocks = (depth - 4) // 6
        maps = [16, 16 * width, 32 * width, 64 * width]
        self.stem = nn.Conv2d(channels, maps[0], 3, padding=1, bias=False)
        self.layer1 = _group(maps[0], maps[1], blocks, stride=1)
        self.layer2 = _group(maps[1], maps[2], blocks, stride=2)
        self.layer3 = _group(maps[2], maps[3], blocks, stride=2)
        self.bn = nn.BatchNorm2d(maps[3])
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(maps[3], classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the convolutions as in He et al. (2015) and put the last bias to 0, whatever the sizes are."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Images of shape ``(batch, channels, height, width)`` to logits of shape ``(batch, classes)``."""
        x = self.layer3(self.layer2(self.layer1(self.stem(x))))
        logits: Tensor = self.fc(self.flatten(self.pool(self.relu(self.bn(x)))))
        return logits


def _group(before: int, after: int, blocks: int, stride: int) -> nn.Sequential:
    rest = (WideBlock(after, after) for _ in range(blocks - 1))
    return nn.Sequential(WideBlock(before, after, stride), *rest)
