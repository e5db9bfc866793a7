r"""How fast gates move with their parameters."""

from __future__ import annotations

import copy
from typing import Any, Literal

import pyro
import torch
from torch import Tensor

from l0bayes.infer.objectives.gate_parts import gate_parameters, gate_part_of

__all__ = ["OptimizerKind", "gate_speed"]

OptimizerKind = Literal["adam", "sgd"]
"""``"sgd"``, or ``"adam"`` for any optimiser that scales its steps."""


def gate_speed(guide: Any, site: str, optimizer: OptimizerKind, start: Tensor) -> Tensor:
    """How fast activity logits move with the parameters of their gates; 1 where they are their parameters.

    Where the gates in ``start`` are some of the site's, as in a subsample, it is the mean over the site.

    Args:
        guide: Any guide.
        site: Name of a gate site.
        optimizer: The kind of optimiser.
        start: Activity logits at the start, shape ``(n,)``.

    Returns:
        Tensor of the shape of ``start``.
    """
    try:
        part = copy.deepcopy(gate_part_of(guide, site).guide)
    except ValueError:  # a guide from elsewhere, whose gates cannot be found
        return torch.ones_like(start)
    parameters = gate_parameters(part)
    speeds = []
    for _ in range(2):  # at the start, and after a move that would close the gates at the speed there
        slopes = _slopes(part, site, parameters)
        if not slopes:
            return torch.ones_like(start)
        adam = torch.stack([slope.abs() for _, slope in slopes]).sum(0)
        shared = [slope.square() * (slope.numel() / p.numel()) for p, slope in slopes]
        speeds.append(adam if optimizer == "adam" else torch.stack(shared).sum(0))
        with torch.no_grad():
            way = part.gates()[site].activity_logits.clamp(min=0.0) / adam.clamp(min=1e-6)
            for parameter, slope in slopes:
                shift = way * slope.sign()
                parameter.sub_(shift if parameter.shape == shift.shape else shift.mean())
    speed = (0.5 * (speeds[0] + speeds[1])).double().cpu().flatten()
    return speed if speed.shape == start.shape else speed.mean().expand(start.shape)


def _slopes(part: Any, site: str, parameters: list[torch.nn.Parameter]) -> list[tuple[Tensor, Tensor]]:
    """Parameters of a site with the derivative of each gate's activity logit in its own."""
    with torch.enable_grad(), pyro.get_param_store().scope():
        logits = part.gates()[site].activity_logits
        if not (parameters and logits.requires_grad):
            return []
        found = torch.autograd.grad(logits.sum(), parameters, allow_unused=True)
    return [  # that of a parameter that gates share is the sum of theirs
        (parameter, (total * (total.numel() / logits.numel())).expand(logits.shape))
        for parameter, total in zip(parameters, found, strict=True)
        if total is not None
    ]
