r"""Whether a model can be trained on a batch of one example."""

from __future__ import annotations

from typing import Any

import pyro
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from l0bayes.infer.model_arguments import ModelArguments
from l0bayes.infer.randomness import private_randomness

__all__ = ["check_single_row"]


@torch.no_grad()
def check_single_row(model: Any, guide: Any, first: ModelArguments) -> None:
    """Refuse a loader whose last batch has one example, where the model cannot be trained on that.

    Args:
        model: A Pyro model, in the mode in which it is trained.
        guide: Its guide.
        first: The arguments of the first batch.

    Raises:
        ValueError: If batch normalisation has no statistics of a single example, with what to do.
    """
    if not isinstance(model, torch.nn.Module):
        return
    tensors = [x for x in pytree.tree_leaves(first.args) if isinstance(x, Tensor) and x.dim()]
    rows = len(tensors[0]) if tensors else 0

    def one(x: Any) -> Any:
        return x[:1] if isinstance(x, Tensor) and x.dim() and len(x) == rows else x

    args = pytree.tree_map(one, first.args)
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        with private_randomness(0), pyro.poutine.block():
            drawn = pyro.poutine.trace(guide).get_trace(*args, **first.kwargs)
            pyro.poutine.replay(model, trace=drawn)(*args, **first.kwargs)
    except ValueError as error:
        if "more than 1 value per channel" in str(error):
            raise ValueError(
                "the last batch of an epoch has one example, of which batch normalisation has no statistics "
                f"({error}); give the DataLoader drop_last=True, or another batch_size"
            ) from error
    finally:
        for buffer, value in buffers:
            buffer.copy_(value)
