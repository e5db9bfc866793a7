r"""Inputs that a network has not seen, of as many rows as are asked for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.network.structure import arguments_of, map_tensors, tensors_in
from l0bayes.network.units import rows_of

__all__ = ["fresh_rows", "largest_difference", "rows_that_fit", "run"]


def fresh_rows(example: tuple[Any, ...], rows: int, seed: int = 0) -> tuple[Any, ...]:
    """Inputs like an example: each entry is drawn from those of its tensor, with some noise on real ones.

    So numbers of rows of a table stay in range. Masks, and tensors that hold no examples, stay as they are.

    Args:
        example: Arguments of a network.
        rows: Number of examples.
        seed: Seed of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    known = rows_of(example)

    def change(x: Tensor) -> Tensor:
        if not x.dim() or len(x) != known:
            return x
        if x.dtype == torch.bool or not x.numel():
            return x[torch.arange(rows, device=x.device) % known]
        shape = (rows, *x.shape[1:])
        drawn = torch.randint(x.numel(), shape, generator=generator).to(x.device)
        fresh = x.flatten()[drawn]
        if x.is_floating_point():
            finite = x[x.isfinite()].double()
            scale = 0.1 * float(finite.std()) if finite.numel() > 1 else 0.0
            noise = torch.randn(shape, generator=generator).to(fresh)
            fresh = fresh + (scale or 1.0) * noise
        return fresh

    found: tuple[Any, ...] = map_tensors(example, change)
    return found


def rows_that_fit(net: nn.Module, example: tuple[Any, ...], rows: int) -> int:
    """So many rows where a network takes them, otherwise those of the example.

    Args:
        net: The network.
        example: Arguments that it takes.
        rows: Number of rows.
    """
    try:
        run(net, fresh_rows(example, rows))
    except (RuntimeError, ValueError, IndexError, AssertionError):
        return rows_of(example)
    return rows


@torch.no_grad()
def run(net: nn.Module, inputs: tuple[Any, ...]) -> Any:
    """What a network returns in evaluation mode.

    Args:
        net: The network.
        inputs: Its arguments.
    """
    args, named = arguments_of(inputs)
    with evaluating(net):
        return net(*args, **named)


def largest_difference(one: Any, other: Any) -> float:
    """The largest absolute difference of two results.

    Args:
        one: A result.
        other: Another one, of the same tensors.

    Raises:
        ValueError: If they are not of the same shapes.
    """
    ours, theirs = tensors_in(one), tensors_in(other)
    if [x.shape for x in ours] != [x.shape for x in theirs]:
        raise ValueError(
            f"results of shapes {[tuple(x.shape) for x in ours]} and {[tuple(x.shape) for x in theirs]}"
        )
    pairs = [(a.double(), b.double().to(a.device)) for a, b in zip(ours, theirs, strict=True) if a.numel()]
    # Equal infinities are no difference; a NaN where the other has none is one.
    gaps = [torch.where((a == b) | (a.isnan() & b.isnan()), 0.0, (a - b).abs()).max() for a, b in pairs]
    return max((float(gap) for gap in gaps), default=0.0)
