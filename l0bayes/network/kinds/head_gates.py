r"""Heads of a layer: whole parts of it that can be gated."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor

__all__ = ["HeadGates"]


class HeadGates:
    """The part of a layer kind that concerns heads. As it stands, a layer has none."""

    def heads(self, module: Any) -> int:
        """Number of heads.

        Args:
            module: A module of this kind.
        """
        return 0

    def heads_of_entries(self, module: Any) -> dict[str, Tensor]:
        """Head of each entry of a parameter, of a shape that broadcasts to it, by name of the parameter.

        Args:
            module: A module of this kind.
        """
        return {}

    def heads_gated(self, module: Any, gates: Tensor) -> AbstractContextManager[Any]:
        """Run the module with gates on its heads for a while.

        Args:
            module: A module of this kind.
            gates: Values of shape ``(heads,)``, or with a leading dimension of examples.
        """
        return nullcontext()

    def keep_heads(self, module: Any, gates: Tensor) -> None:
        """Take out the heads whose gate is 0, in place, and fold the other gates in.

        Args:
            module: A module of this kind.
            gates: Values of shape ``(heads,)``.
        """
