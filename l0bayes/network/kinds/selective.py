r"""Layers that read some of the features that come, as gates on data or on single pixels leave them."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

__all__ = ["SelectedInput", "Selective"]


class Selective(nn.Module):
    """A layer of a deployed network that reads some of the features that come.

    Attributes:
        index: The features, ``torch.long``.
    """

    index: Tensor

    @property
    def reading(self) -> nn.Module:
        """The layer that reads them: the module itself, or one inside of it."""
        return self


class SelectedInput(Selective):
    """Any layer behind a selection, where its kind has no class of its own for it.

    Args:
        layer: The layer.
        index: Features to read, ``torch.long``.
        dim: Dimension that counts them.
    """

    def __init__(self, layer: nn.Module, index: Tensor, dim: int) -> None:
        super().__init__()
        self.layer, self.dim = layer, dim
        self.register_buffer("index", index)

    @property
    def reading(self) -> nn.Module:
        return self.layer

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Apply the layer to the selected features."""
        return self.layer(x.index_select(self.dim, self.index), *args, **kwargs)

    def extra_repr(self) -> str:
        return f"reads {len(self.index)} features along dimension {self.dim}"
