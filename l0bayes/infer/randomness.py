"""Random numbers that follow a seed and leave no trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["GeneratorState", "private_randomness"]


class GeneratorState:
    """The state of torch's generators, of the CPU and of every GPU in use, as it is now."""

    def __init__(self) -> None:
        self.cpu = torch.get_rng_state()
        self.gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []

    def put_back(self) -> None:
        """Give the generators this state again."""
        torch.set_rng_state(self.cpu)
        if self.gpus:
            torch.cuda.set_rng_state_all(self.gpus)


@contextmanager
def private_randomness(seed: int | None = None) -> Iterator[None]:
    """Give torch's generators, of the CPU and of every GPU in use, back as they were.

    Args:
        seed: Seed to set inside; ``None`` to go on from where the generators stand.
    """
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=list(gpus)):
        if seed is not None:
            _seed(seed)
        yield


def _seed(seed: int) -> None:
    """Seed the generators. Where there are none but the CPU's, that of ``torch.manual_seed``, which notes
    down the whole stack of calls for others that may come, would take longer than a small fit."""
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
