"""Which processes a fit is run by, as its caller says and as a launcher has set it up."""

from __future__ import annotations

import atexit
import os
from typing import Any

from torch import nn

from l0bayes.infer.ranks.ranks import Ranks, SeveralRanks

__all__ = ["ranks_of", "refuse_wrapped"]

# Wrappers whose packages need not be there.
_BY_NAME = ("FullyShardedDataParallel", "_FabricModule")


def ranks_of(distributed: bool | None, module: nn.Module) -> Ranks:
    """The processes of a fit.

    Args:
        distributed: Whether it is trained by all processes of the group; ``None`` where nothing was said.
        module: What is trained: its device decides how a group that is not there yet talks.

    Raises:
        ValueError: If there are several processes and nothing was said of them, or none although they were
            asked for.
    """
    import torch.distributed as group

    is_up = group.is_available() and group.is_initialized()
    launched = int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 0
    count = group.get_world_size() if is_up else launched
    if distributed is None and count > 1:
        raise ValueError(
            f"this is one of {count} processes, and fit was not told of them: give distributed=True to train "
            "one guide by all of them, distributed=False to train another one in each"
        )
    if not distributed:
        return Ranks()
    if not is_up and not launched:
        raise ValueError(
            "distributed=True needs several processes: start the script by torchrun --nproc-per-node 2, or "
            "set up torch.distributed first"
        )
    if not is_up:
        on_gpu = any(parameter.is_cuda for parameter in module.parameters())
        group.init_process_group("nccl" if on_gpu else "gloo")
        atexit.register(_end_group)
    return SeveralRanks()


def _end_group() -> None:
    import torch.distributed as group

    if group.is_initialized():
        group.destroy_process_group()


def refuse_wrapped(model: Any, guide: Any) -> None:
    """Refuse modules that were wrapped to be trained by several processes or devices.

    Args:
        model: The model.
        guide: The guide.

    Raises:
        ValueError: If one is, or holds one.
    """
    kinds: list[type] = [nn.DataParallel, nn.parallel.DistributedDataParallel]
    for name, one in (("model", model), ("guide", guide)):
        for part in one.modules() if isinstance(one, nn.Module) else ():
            kind = type(part).__name__
            if isinstance(part, tuple(kinds)) or kind in _BY_NAME:
                raise ValueError(
                    f"the {name} holds a {kind}, which would average the gradients of some parameters "
                    "and not of others, or none: give the module itself, start the script by torchrun, and "
                    "say fit(..., distributed=True)"
                )
