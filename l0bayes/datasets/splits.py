"""What the readers return: tensors with their names and scales."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["ImageSplit", "Split", "Table"]


@dataclass(frozen=True)
class Table:
    """Columns and a response, standardised.

    Attributes:
        x: Columns of mean 0 and standard deviation 1, of shape (n, p).
        y: Response of mean 0 and standard deviation 1, of shape (n,).
        names: Names of the columns.
        y_mean: Mean of the response on its own scale.
        y_scale: Standard deviation of the response on its own scale.
    """

    x: Tensor
    y: Tensor
    names: list[str]
    y_mean: float
    y_scale: float


@dataclass(frozen=True)
class Split:
    """Inputs and integer labels, split for training, for choices, and for one last reading.

    Attributes:
        train_x: Training inputs.
        train_y: Training labels.
        valid_x: Validation inputs.
        valid_y: Validation labels.
        test_x: Test inputs.
        test_y: Test labels.
    """

    train_x: Tensor
    train_y: Tensor
    valid_x: Tensor
    valid_y: Tensor
    test_x: Tensor
    test_y: Tensor


@dataclass(frozen=True)
class ImageSplit(Split):
    """Colour images standardised a channel at a time, with what it takes to look at them again.

    ``x * scale + mean`` has its pixels in [0, 1].

    Attributes:
        train_x, train_y, valid_x, valid_y, test_x, test_y: As in :class:`Split`.
        mean: Mean of each channel over the training images, of shape (channels, 1, 1).
        scale: Standard deviation of each channel over the training images, of shape (channels, 1, 1).
        classes: Names of the labels.
    """

    mean: Tensor
    scale: Tensor
    classes: tuple[str, ...]
