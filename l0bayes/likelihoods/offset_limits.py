r"""Offsets so far apart that numbers hold no likelihood."""

from __future__ import annotations

from torch import Tensor

__all__ = ["refuse_far_offsets"]


def refuse_far_offsets(offset: Tensor, beside: Tensor, limit: float, why: str) -> None:
    """Refuse offsets that are too far above a reference.

    Args:
        offset: Offset of each row, shape ``(n,)``.
        beside: The reference, a number.
        limit: How far above it they may be.
        why: What would happen, in words.

    Raises:
        ValueError: By the first such row.
    """
    wrong = offset - beside > limit
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0])
        raise ValueError(
            f"offset must not be more than {limit:g} above {float(beside):.4g}, {why}; got "
            f"{float(offset[row]):.6g} in row {row} of those that count. Give exposures and offsets in units "
            "in which they are of one order"
        )
