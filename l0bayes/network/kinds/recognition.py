r"""Of which kind a module is, and what stands in for it while it is gated."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from l0bayes.network.kinds.declared import check_declared
from l0bayes.network.kinds.genuine import reason_changed

__all__ = ["GatePlacement", "Recognition"]

GatePlacement = Literal["input", "output", "weight", "heads", "block"]


class Recognition(ABC):
    """The part of a layer kind that is asked before anything is gated.

    Attributes:
        types: Classes of modules of this kind.
        name: What it is called in messages and tables.
        placements: Where its gates may be: ``"input"``, ``"output"``, ``"weight"`` (single entries of the
            parameter ``weight``) or ``"heads"``. ``"block"`` is for any module.
    """

    types: ClassVar[tuple[type[nn.Module], ...]]
    name: ClassVar[str]
    placements: ClassVar[frozenset[GatePlacement]] = frozenset()

    def __init__(self) -> None:
        check_declared(type(self))
        self._forwards = {cls: cls.forward for cls in self.types}

    def reason_not(self, module: nn.Module) -> str | None:
        """Why a module is not of this kind; ``None`` where it is.

        A module is of a kind only if its class is one of ``types``, its ``forward`` is the original one,
        and nothing changes its weights, inputs or outputs.

        Args:
            module: Any module.
        """
        return reason_changed(module, self._forwards, self.name) or self.reason_coupled(module)

    def reason_coupled(self, module: Any) -> str | None:
        """Why an option of a module couples its units, so that none could be taken out alone.

        Args:
            module: A module of one of the ``types``.
        """
        return None

    def is_layer(self, module: Any) -> bool:
        """Whether it is followed as a whole; otherwise operation by operation, as activations are.

        Args:
            module: A module of this kind.
        """
        return True

    def reason_not_gated(self, module: Any, placement: GatePlacement) -> str | None:
        """Why one module of this kind cannot have gates where others have them.

        Args:
            module: A module of this kind.
            placement: One of ``placements``.
        """
        return None

    def gateable(self, module: Any) -> nn.Module:
        """A module that computes the same and can be gated.

        Args:
            module: A module of this kind.
        """
        result: nn.Module = module
        return result

    def plain(self, module: Any, siblings: Iterable[nn.Module]) -> nn.Module:
        """The opposite of :meth:`gateable`, where torch's own module computes the same.

        Args:
            module: A module of this kind, after units were taken out.
            siblings: The modules of the same owner, which may look into it.
        """
        result: nn.Module = module
        return result

    def example(self, module: Any, generator: torch.Generator) -> Tensor | None:
        """Two random rows that it can read; ``None`` where their shape does not follow from the module.

        Args:
            module: A module of this kind.
            generator: Source of randomness.
        """
        return None
