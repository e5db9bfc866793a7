"""Random numbers that follow a seed and leave no trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["private_randomness"]


@contextmanager
def private_randomness(seed: int | None = None) -> Iterator[None]:
    """Give torch's generators, of the CPU and of every GPU in use, back as they were.

    Args:
        seed: Seed to set inside; ``None`` to go on from where the generators stand.
    """
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=list(gpus)):
        if seed is not None:
            torch.manual_seed(seed)
        yield
