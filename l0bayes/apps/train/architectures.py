r"""Architectures and data sets by the names that the command line uses."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from l0bayes import datasets, validate

if TYPE_CHECKING:
    from l0bayes.datasets import Split

__all__ = ["ARCHITECTURES", "DATASETS", "IMAGES", "build_network", "check_choice", "load_data"]

Builder = Callable[[tuple[int, ...], int, tuple[float, float]], nn.Module]


def _lenet_300_100(images: tuple[int, ...], classes: int, dropout: tuple[float, float]) -> nn.Module:
    from l0bayes.models import LeNet300100

    size = 1
    for extent in images:
        size *= extent
    return LeNet300100(inputs=size, classes=classes, dropout=dropout[0], input_dropout=dropout[1])


def _lenet_5_caffe(images: tuple[int, ...], classes: int, dropout: tuple[float, float]) -> nn.Module:
    from l0bayes.models import LeNet5Caffe

    if images != (1, 28, 28):
        raise ValueError(f"lenet-5-caffe reads images of shape (1, 28, 28), got {images}")
    if dropout[1]:
        raise ValueError("input_dropout is for lenet-300-100; lenet-5-caffe has none")
    return LeNet5Caffe(classes=classes, dropout=dropout[0])


def _vision_transformer(images: tuple[int, ...], classes: int, dropout: tuple[float, float]) -> nn.Module:
    _no_dropout("vit-small", dropout)
    from l0bayes.models import VisionTransformer

    if len(images) != 3 or images[1] != images[2] or images[1] % 4:
        raise ValueError(f"vit-small reads square images whose side is a multiple of 4, got {images}")
    return VisionTransformer(images[1], 4, images[0], 64, 4, 4, 128, classes)


def _no_dropout(name: str, dropout: tuple[float, float]) -> None:
    if any(dropout):
        raise ValueError(f"dropout is for the LeNets; {name} has none")


def _wide_resnet(depth: int, width: int) -> Builder:
    def build(images: tuple[int, ...], classes: int, dropout: tuple[float, float]) -> nn.Module:
        _no_dropout("a wide residual network", dropout)
        from l0bayes.models import WideResNet

        if len(images) != 3:
            raise ValueError(f"a wide residual network reads images with channels, got shape {images}")
        return WideResNet(depth, width, classes, images[0])

    return build


ARCHITECTURES: dict[str, Builder] = {
    "lenet-300-100": _lenet_300_100,
    "lenet-5-caffe": _lenet_5_caffe,
    "vit-small": _vision_transformer,
}
"""Constructors, from an image's shape and the number of classes; beside them ``wrn-d-k`` for any d and k."""

DATASETS: dict[str, Callable[..., Split]] = {
    "mnist": datasets.mnist,
    "cifar10": datasets.cifar10,
    "digits": datasets.digits,
}

IMAGES: dict[str, tuple[int, ...]] = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32), "digits": (64,)}
"""Shape of one image of a data set, so that a network can be tried before its data are read."""

_CLASSES = 10


def build_network(
    name: str, images: tuple[int, ...], classes: int, dropout: float = 0.0, input_dropout: float = 0.0
) -> nn.Module:
    """A network by name.

    Args:
        name: One of :data:`ARCHITECTURES` or ``wrn-d-k``, such as ``wrn-28-10``.
        images: Shape of one image.
        classes: Number of classes.
        dropout: Dropout of hidden units, where the architecture has it.
        input_dropout: Dropout of inputs, likewise.

    Raises:
        ValueError: If the name is unknown, or the network does not read such images.
    """
    return _builder(name)(images, classes, (dropout, input_dropout))


def check_choice(
    net: str, data: str, folder: str | Path | None, dropout: float = 0.0, input_dropout: float = 0.0
) -> None:
    """Refuse what can be refused before data are read: names, and a network that does not read such images.

    Args:
        net: Name of the network.
        data: Name of the data set.
        folder: Where its files are, if not where they are looked for.
        dropout: Dropout of hidden units.
        input_dropout: Dropout of inputs.

    Raises:
        ValueError: As :func:`build_network` and :func:`load_data` do.
    """
    _loader(data, folder)
    build = _builder(net)
    if data in IMAGES:  # of others, added by name, the shape is known when they are read
        with torch.device("meta"):
            build(IMAGES[data], _CLASSES, (dropout, input_dropout))


def load_data(name: str, folder: str | Path | None = None) -> Split:
    """A data set by name.

    Args:
        name: One of :data:`DATASETS`.
        folder: Where its files are, if not where they are looked for.

    Raises:
        ValueError: If the name is unknown, or the data set needs no folder.
        FileNotFoundError: If the files are not there; the error says how to get them.
    """
    return _loader(name, folder)()


def _builder(name: str) -> Builder:
    wide = re.fullmatch(r"wrn-(\d+)-(\d+)", name)
    if wide:
        return _wide_resnet(int(wide[1]), int(wide[2]))
    builder: Builder = _lookup(name, ARCHITECTURES, "net", " or wrn-d-k, such as wrn-28-10")
    return builder


def _loader(name: str, folder: str | Path | None) -> Callable[[], Split]:
    loader: Callable[..., Split] = _lookup(name, DATASETS, "data", "")
    if folder is None:
        return loader
    if name == "digits":
        raise ValueError("data 'digits' comes with scikit-learn and takes no folder")
    return partial(loader, folder)


def _lookup(name: str, known: dict[str, Any], what: str, more: str) -> Any:
    validate.one_of(known, more, **{what: name})
    return known[name]
