r"""A small vision transformer, after Dosovitskiy et al. (2021, arXiv 2010.11929)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from l0bayes import validate
from l0bayes.network import register_saved_class

__all__ = ["VisionTransformer"]


@register_saved_class
class VisionTransformer(nn.Module):
    """Patches of an image as tokens, transformer layers, and the mean of the tokens to logits.

    Layers normalise before attention and before the feed-forward part, with GELU and no dropout. The
    mean over tokens stands where the original has a class token (its appendix D.3 finds both alike,
    each with its own learning rate), so that every token is treated alike.

    Args:
        image_size: Height and width of the images.
        patch_size: Height and width of a patch, a divisor of ``image_size``.
        channels: Channels of the images.
        dim: Size of a token, a multiple of ``heads``.
        depth: Number of transformer layers.
        heads: Attention heads of a layer.
        hidden: Units of a layer's feed-forward part.
        classes: Number of logits.

    Attributes:
        default_gates: Placement by pattern of layer names: the attention heads and the hidden units of
            the feed-forward part, which can both be removed without a change to the tokens.

    Raises:
        ValueError: If a size is below 1, the patches do not tile the image, or the heads do not share
            the token evenly.

    Example::

        net = VisionTransformer(image_size=28, patch_size=7, channels=1)
        net(torch.zeros(8, 1, 28, 28)).shape  # (8, 10)
    """

    default_gates: ClassVar[dict[str, str]] = {"*.self_attn": "heads", "*.linear2": "input"}

    def __init__(
        self,
        image_size: int = 32,
        patch_size: int = 4,
        channels: int = 3,
        dim: int = 128,
        depth: int = 6,
        heads: int = 8,
        hidden: int = 256,
        classes: int = 10,
    ) -> None:
        super().__init__()
        sizes = {"image_size": image_size, "patch_size": patch_size, "channels": channels, "dim": dim}
        sizes |= {"depth": depth, "heads": heads, "hidden": hidden, "classes": classes}
        validate.at_least(1, **sizes)
        if image_size % patch_size:
            raise ValueError(f"patch_size must divide image_size {image_size}, got {patch_size!r}")
        if dim % heads:
            raise ValueError(f"dim must be a multiple of heads {heads}, got {dim!r}")
        self.patches = nn.Conv2d(channels, dim, patch_size, stride=patch_size)
        self.positions = nn.Parameter(torch.empty((image_size // patch_size) ** 2, dim))
        self.reset_parameters()
        # A plain list: nn.TransformerEncoder is made of copies of one layer, and its forward looks into
        # the first to choose a fused path, which layers of unequal size would not fit.
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                dim, heads, hidden, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def reset_parameters(self) -> None:
        """Draw the positions anew; layers draw their own."""
        nn.init.trunc_normal_(self.positions, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Images of shape ``(batch, channels, size, size)`` to logits of shape ``(batch, classes)``."""
        tokens: Tensor = self.patches(x).flatten(2).mT + self.positions
        for layer in self.layers:
            tokens = layer(tokens)
        logits: Tensor = self.head(self.norm(tokens).mean(-2))
        return logits
