r"""Images that are shifted at random, so that a network sees each in several places."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["Shifts"]


@dataclass(frozen=True)
class Shifts:
    """Shift every image by up to some pixels up or down and left or right; zeros come in.

    Args:
        pixels: Largest shift, at least 1.

    Raises:
        ValueError: If ``pixels`` is below 1.

    Example::

        batches = Minibatches(images, labels, batch_size=100, transform=Shifts(1))
    """

    pixels: int = 1

    def __post_init__(self) -> None:
        if self.pixels < 1:
            raise ValueError(f"pixels must be at least 1, got {self.pixels!r}")

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Shifted images.

        Args:
            images: Of shape ``(batch, channels, height, width)``.
            generator: Of the shifts, on the CPU.

        Raises:
            ValueError: If images are of another shape.
        """
        if images.dim() != 4:
            raise ValueError(
                f"images must have shape (batch, channels, height, width), got {tuple(images.shape)}"
            )
        count, _, height, width = images.shape
        windows = pad(images, (self.pixels,) * 4).unfold(2, height, 1).unfold(3, width, 1)
        down, right = torch.randint(0, 2 * self.pixels + 1, (2, count), generator=generator)
        return windows[torch.arange(count), :, down, right]
