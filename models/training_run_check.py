r"""One run of a network as it is when it is trained, to refuse what would go wrong there."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import PurePath
from typing import Any

import torch
from torch import nn

from l0bayes.infer.randomness import private_randomness
from l0bayes.network import GatePlan, arguments_of

__all__ = ["run_once"]


@torch.no_grad()
def run_once(net: nn.Module, plan: GatePlan, inputs: tuple[Any, ...]) -> Any:
    """Run a network in its present mode, and leave buffers and random numbers as they were.

    Args:
        net: The prepared network.
        plan: Its gates.
        inputs: Its arguments, of a few examples.

    Returns:
        What it returns.

    Raises:
        ValueError: If layers run under activation checkpointing, which runs them once more when gradients are
            taken: with the network's own weights, after the drawn ones are gone.
    """
    buffers = [(buffer, buffer.clone()) for buffer in net.buffers()]
    args, named = arguments_of(inputs)
    found: list[str] = []
    with ExitStack() as stack:
        stack.enter_context(private_randomness(0))
        for name, layer in plan.trace.layers.items():

            def hook(_: nn.Module, args: Any, name: str = name) -> None:
                if not found and _is_checkpointed():
                    found.append(name)

            stack.callback(layer.module.register_forward_pre_hook(hook).remove)
        output = net(*args, **named)
    for buffer, value in buffers:
        buffer.copy_(value)
    if found:
        raise ValueError(
            f"{found[0]!r} runs under activation checkpointing (torch.utils.checkpoint), which would run it "
            "again with other weights when gradients are taken; switch it off for a gated network, for "
            "instance by net.gradient_checkpointing_disable()"
        )
    return output


def _is_checkpointed() -> bool:
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if PurePath(frame.f_code.co_filename).parts[-3:] == ("torch", "utils", "checkpoint.py"):
            return True
    return False
