r"""Embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.network.kinds.layer_kind import LayerKind, Shape, Units
from l0bayes.network.kinds.unit_axes import UnitAxes

__all__ = ["EmbeddingKind"]


class EmbeddingKind(LayerKind):
    """``nn.Embedding``: units are columns of its table; what it reads are numbers of rows, no units."""

    types = (nn.Embedding,)
    name = "Embedding"
    placements = frozenset({"output", "weight"})

    def reason_coupled(self, module: Any) -> str | None:
        if module.max_norm is not None:
            return f"max_norm={module.max_norm:g} rescales rows by a norm over all units"
        return None

    def axes(self, module: Any) -> dict[str, UnitAxes]:
        return {"weight": UnitAxes(out=1)}

    def unit_dim(self, module: Any) -> int:
        return -1

    def size(self, module: Any) -> str:
        return f"{module.num_embeddings}-{module.embedding_dim}"

    def read_units(self, module: Any, inputs: Sequence[Tensor], units: Units, name: str) -> Tensor:
        return torch.full((module.num_embeddings,), -1)

    def uses(self, module: Any, inputs: Sequence[Shape], output: Shape) -> dict[str, float]:
        return {}

    def resize(self, module: Any, made: int, read: int) -> None:
        module.embedding_dim = made
