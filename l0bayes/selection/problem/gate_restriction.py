r"""Models without prior probability: those that lack a gate which is always open, or another's parents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from l0bayes import validate

__all__ = ["GateRestriction", "Heredity"]

Heredity = Literal["strong", "weak"]
"""Whether an interaction needs all of its parents, or one of them."""


@dataclass(frozen=True, eq=False)
class GateRestriction:
    r"""Gates that are always open, and gates that may be open only beside their parents.

    Under strong heredity a gate may be open where all of its parents are, under weak heredity where one of
    them is. Any two models that are allowed can be reached from one another by flips of single gates through
    models that are allowed: gates without open children are shut first.

    Args:
        always: Which gates are always open, shape ``(G,)``.
        parents: The parents of every gate; none of a gate that needs none.
        heredity: Whether a gate needs all of its parents or one.

    Raises:
        ValueError: If all gates are always open, or one of these has parents that are not.
    """

    always: Tensor
    parents: Sequence[Sequence[int]] = ()
    heredity: Heredity = "strong"
    _edges: tuple[Tensor, Tensor] = field(init=False, repr=False)
    _needs: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        validate.one_of(("strong", "weak"), heredity=self.heredity)
        if bool(self.always.all()):
            raise ValueError("always_in must leave out some columns: with all of them nothing is selected")
        pairs = [(child, parent) for child, of_it in enumerate(self.parents) for parent in of_it]
        edges = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2)
        object.__setattr__(self, "_edges", (edges[:, 0], edges[:, 1]))
        number = torch.bincount(edges[:, 0], minlength=len(self.always)).double()
        needs = number if self.heredity == "strong" else number.clamp(max=1.0)
        object.__setattr__(self, "_needs", needs)
        lone = self.always & ~self.permitted(self.always.double())
        if bool(lone.any()):
            raise ValueError(
                f"always_in holds gate {int(lone.double().argmax())}, whose parents are not in it: under "
                f"heredity={self.heredity!r} they must be"
            )

    @property
    def free(self) -> Tensor:
        """Which gates are not always open, shape ``(G,)``."""
        return ~self.always

    @property
    def inner(self) -> Tensor:
        """Which of the free gates are parents of others, shape ``(G,)``."""
        parents = torch.zeros_like(self.always)
        parents[self._edges[1]] = True
        return parents & self.free

    def permitted(self, gates: Tensor) -> Tensor:
        """Whether each gate's parents allow it to be open, shape ``(..., G)``.

        Args:
            gates: Zeros and ones, shape ``(..., G)``.
        """
        return self._open_parents(gates) >= self._needs

    def allows(self, gates: Tensor) -> Tensor:
        """Which models have prior probability, shape ``(...)``.

        Args:
            gates: Zeros and ones, shape ``(..., G)``.
        """
        is_open = gates > 0
        return (is_open | ~self.always).all(-1) & (~is_open | self.permitted(gates)).all(-1)

    def movable(self, gates: Tensor) -> Tensor:
        """Which gates of models that are allowed can be flipped to one that is allowed, shape ``(..., G)``.

        Args:
            gates: Zeros and ones, shape ``(..., G)``.
        """
        child, parent = self._edges
        is_open, beside = gates > 0, self._open_parents(gates)
        # Open children that could not do without one of their open parents.
        tight = (is_open & (beside <= self._needs))[..., child].to(gates.dtype)
        held = torch.zeros_like(gates).index_add_(-1, parent, tight) > 0
        return torch.where(is_open, ~held & self.free, beside >= self._needs)

    def repaired(self, gates: Tensor) -> Tensor:
        """Models with gates shut that lack parents, and those opened that are always open.

        Args:
            gates: Booleans, shape ``(..., G)``.
        """
        gates = gates | self.always
        while True:
            kept = gates & self.permitted(gates.double())
            if torch.equal(kept, gates):
                return gates
            gates = kept

    def _open_parents(self, gates: Tensor) -> Tensor:
        child, parent = self._edges
        return torch.zeros_like(gates).index_add_(-1, child, gates[..., parent])
