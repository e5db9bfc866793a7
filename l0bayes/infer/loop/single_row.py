r"""Whether a model can be trained on a batch of one example."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyro
import torch

from l0bayes.infer.model_arguments import ModelArguments
from l0bayes.infer.randomness import private_randomness
from l0bayes.infer.row_parts import parts_of_rows

__all__ = ["check_single_row", "explained_single_row"]


@torch.no_grad()
def check_single_row(model: Any, guide: Any, first: ModelArguments, which: str) -> None:
    """Refuse data with a batch of one example, where the model cannot be trained on that.

    Args:
        model: A Pyro model, in the mode in which it is trained.
        guide: Its guide.
        first: The arguments of the first batch.
        which: Which batch has one example.

    Raises:
        ValueError: If batch normalisation has no statistics of a single example, with what to do.
    """
    if not isinstance(model, torch.nn.Module):
        return
    args = next(parts_of_rows(first.args, 1))
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        with explained_single_row(which), private_randomness(0), pyro.poutine.block():
            drawn = pyro.poutine.trace(guide).get_trace(*args, **first.kwargs)
            pyro.poutine.replay(model, trace=drawn)(*args, **first.kwargs)
    finally:
        for buffer, value in buffers:
            buffer.copy_(value)


@contextmanager
def explained_single_row(which: str = "a batch of the data") -> Iterator[None]:
    """Say what to do where a batch of one example stops batch normalisation.

    Args:
        which: Which batch that is.

    Raises:
        ValueError: If it does.
    """
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{which} has one example, of which batch normalisation has no statistics ({reason}); give the "
            "DataLoader drop_last=True, or another batch_size; of a list leave such a batch out"
        ) from error
