r"""The two LeNets of the L0 paper, as plain Sequentials."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

from torch import nn

from l0bayes import validate
from l0bayes.network import register_saved_class

__all__ = ["LeNet5Caffe", "LeNet300100"]


@register_saved_class
class LeNet300100(nn.Sequential):
    """LeNet-300-100: dense layers ``fc1``, ``fc2``, ..., with a ReLU between each two.

    Weights start as in He et al. (2015), biases at 0. 266,610 parameters: 266,200 are weights and
    as many multiplications.

    Args:
        inputs: Number of pixels.
        widths: Units of the hidden layers, at least one layer.
        classes: Number of logits.
        dropout: Probability with which hidden units are dropped in training.
        input_dropout: Probability with which pixels are.

    Attributes:
        default_gates: The paper's placement, by pattern of layer names: the input units of every layer.

    Raises:
        ValueError: If a size is below 1, a dropout is outside [0, 1) or ``widths`` is empty.

    Example::

        net = LeNet300100()
        net(torch.zeros(8, 1, 28, 28)).shape  # (8, 10)
    """

    default_gates: ClassVar[dict[str, str]] = {"fc*": "input"}

    def __init__(
        self,
        inputs: int = 784,
        widths: Sequence[int] = (300, 100),
        classes: int = 10,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
    ) -> None:
        if not widths or min(widths) < 1:
            raise ValueError(f"widths must hold at least one number of units, each 1 or more, got {widths!r}")
        validate.at_least(1, inputs=inputs, classes=classes)
        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        layers.update(_dropout("drop0", input_dropout))
        sizes = [inputs, *widths, classes]
        for index, (before, after) in enumerate(pairwise(sizes), start=1):
            layers[f"fc{index}"] = nn.Linear(before, after)
            if index <= len(widths):
                layers[f"relu{index}"] = nn.ReLU()
                layers.update(_dropout(f"drop{index}", dropout))
        super().__init__(layers)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights as in He et al. (2015) and put biases to 0, whatever the sizes are now."""
        _he_start(self)


@register_saved_class
class LeNet5Caffe(nn.Sequential):
    """LeNet-5 in the version of Caffe, 20-50-800-500, for images of 28 by 28.

    ``conv1`` and ``conv2`` of 5 by 5 without padding, each with a ReLU and a pooling that halves the
    maps, then ``fc1`` and ``fc2``. 431,080 parameters; weights start as in He et al. (2015), biases at 0.

    Args:
        widths: Maps of the two convolutions and units of the dense layer.
        channels: Channels of the images.
        classes: Number of logits.
        dropout: Probability with which what ``fc2`` reads is dropped in training.

    Attributes:
        default_gates: The paper's placement, by pattern of layer names: the output maps of
            convolutions, the input units of dense layers. What ``fc1`` reads are single pixels of the
            pooled maps, 16 to a map of ``conv2``.

    Raises:
        ValueError: If a size is below 1, ``dropout`` is outside [0, 1) or ``widths`` has not three of them.
    """

    default_gates: ClassVar[dict[str, str]] = {"conv*": "output", "fc*": "input"}

    def __init__(
        self,
        widths: tuple[int, int, int] = (20, 50, 500),
        channels: int = 1,
        classes: int = 10,
        dropout: float = 0.0,
    ) -> None:
        if len(widths) != 3 or min(widths) < 1:
            raise ValueError(f"widths must be three sizes, each 1 or more, got {widths!r}")
        validate.at_least(1, channels=channels, classes=classes)
        first, second, hidden = widths
        super().__init__(
            OrderedDict[str, nn.Module](
                conv1=nn.Conv2d(channels, first, 5),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(first, second, 5),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
                flatten=nn.Flatten(),
                fc1=nn.Linear(16 * second, hidden),
                relu3=nn.ReLU(),
                **_dropout("drop3", dropout),
                fc2=nn.Linear(hidden, classes),
            )
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights as in He et al. (2015) and put biases to 0, whatever the sizes are now."""
        _he_start(self)


def _dropout(name: str, rate: float) -> dict[str, nn.Module]:
    validate.inside("[0, 1)", dropout=rate)
    return {name: nn.Dropout(rate)} if rate else {}


def _he_start(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            assert module.bias is not None
            nn.init.zeros_(module.bias)
