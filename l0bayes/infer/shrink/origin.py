r"""Where the entries of a tensor that was cut come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

__all__ = ["ModelCut", "Origin"]


@dataclass(frozen=True)
class Origin:
    """Where the entries of a tensor come from.

    Attributes:
        name: The whole tensor, or site, that they are of.
        index: Place of each entry in it, flat, of the small tensor's shape; -1 for an entry that a shut gate
            holds at 0 and that could not be taken out. ``None`` where it is the tensor as it was.
        held: Whether there are any -1.
    """

    name: str
    index: Tensor | None = None
    held: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "held", self.index is not None and bool((self.index < 0).any()))

    @torch.no_grad()
    def of(self, whole: Tensor) -> Tensor:
        """The entries, out of the whole tensor or of another one of its shape; 0 where one is held.

        Args:
            whole: The tensor.
        """
        if self.index is None:
            return whole.detach().clone()
        index = self.index.to(whole.device)
        found = whole.detach().flatten()[index.clamp(min=0)]
        return torch.where(index >= 0, found, torch.zeros_like(found)) if self.held else found

    @torch.no_grad()
    def put_back(self, small: Tensor, whole: Tensor) -> None:
        """Write the entries to where they come from, in place; all others stay.

        Args:
            small: The entries.
            whole: The tensor that they come from.
        """
        if self.index is None:
            whole.copy_(small)
            return
        index, values = self.index.to(whole.device).flatten(), small.detach().flatten()
        if self.held:
            index, values = index[index >= 0], values[index >= 0]
        flat = whole.detach().flatten()  # a copy where the tensor is not contiguous
        flat[index] = values.to(flat)
        whole.copy_(flat.reshape(whole.shape))


@dataclass(frozen=True)
class ModelCut:
    """A model cut to decided gates.

    Attributes:
        model: The small model, which has no gates.
        tensors: Where its parameters and buffers come from, by their names; others are its own.
        sites: Where the values of its latent sites come from, by site.
    """

    model: Any
    tensors: dict[str, Origin]
    sites: dict[str, Origin]
