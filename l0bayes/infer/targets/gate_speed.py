r"""How fast gates move with their parameters."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pyro
import torch
from torch import Tensor

from l0bayes.infer.guide_abilities import GuideAbilities
from l0bayes.infer.objectives.gate_parts import gate_parameters

__all__ = ["OptimizerKind", "gate_speeds"]

OptimizerKind = Literal["adam", "sgd"]
"""``"sgd"``, or ``"adam"`` for any optimiser that scales its steps."""


def gate_speeds(guide: Any, starts: Mapping[str, Tensor], optimizer: OptimizerKind) -> dict[str, Tensor]:
    """How fast activity logits move with the parameters of their gates; 1 where they are their parameters.

    Where the gates in ``starts`` are some of the site's, as in a subsample, it is the mean over the site.

    Args:
        guide: Any guide.
        starts: Activity logits at the start by site, each of shape ``(n,)``.
        optimizer: The kind of optimiser.

    Returns:
        A tensor of the shape of its start for each site.
    """
    speeds = {site: torch.ones(()).expand(start.shape) for site, start in starts.items()}
    for part in GuideAbilities(guide).parts:
        sites = [site for site in part.guide.gates() if site in starts]
        if not sites:
            continue
        # What is no gate's stays where it is, and is not copied: slabs are as many as a network's weights.
        gates = {id(p) for p in gate_parameters(part.guide)}
        own = part.guide.parameters() if isinstance(part.guide, torch.nn.Module) else ()
        held = {id(p): p for p in own if id(p) not in gates}
        for site, speed in _speeds(copy.deepcopy(part.guide, held), sites, optimizer).items():
            same = speed.shape == starts[site].shape
            speeds[site] = speed if same else speed.mean().expand(starts[site].shape)
    return speeds


def _speeds(part: Any, sites: Sequence[str], optimizer: OptimizerKind) -> dict[str, Tensor]:
    parameters = gate_parameters(part)
    found: dict[str, list[Tensor]] = {site: [] for site in sites}
    for _ in range(2):  # at the start, and after a move that would close the gates at the speed there
        steps = []
        for site, (logits, slopes) in _slopes(part, sites, parameters).items():
            adam = torch.stack([slope.abs() for _, slope in slopes]).sum(0)
            if optimizer == "adam":
                found[site].append(adam)
            else:
                shared = [slope.square() * (slope.numel() / p.numel()) for p, slope in slopes]
                found[site].append(torch.stack(shared).sum(0))
            way = logits.clamp(min=0.0) / adam.clamp(min=1e-6)
            steps += [(parameter, way * slope.sign()) for parameter, slope in slopes]
        with torch.no_grad():
            for parameter, shift in steps:
                parameter.sub_(shift if parameter.shape == shift.shape else shift.mean())
    halves = {site: speeds for site, speeds in found.items() if speeds}
    return {site: torch.stack(speeds).mean(0).double().cpu().flatten() for site, speeds in halves.items()}


def _slopes(
    part: Any, sites: Sequence[str], parameters: list[torch.nn.Parameter]
) -> dict[str, tuple[Tensor, list[tuple[torch.nn.Parameter, Tensor]]]]:
    """Activity logits by site, and parameters with the derivative of each gate's logit in its own."""
    found = {}
    with torch.enable_grad(), pyro.get_param_store().scope():
        laws = part.gates()
        for site in sites:
            logits = laws[site].activity_logits
            if not (parameters and logits.requires_grad):
                continue
            totals = torch.autograd.grad(logits.sum(), parameters, allow_unused=True, retain_graph=True)
            slopes = [  # that of a parameter that gates share is the sum of theirs
                (parameter, (total * (total.numel() / logits.numel())).expand(logits.shape))
                for parameter, total in zip(parameters, totals, strict=True)
                if total is not None
            ]
            if slopes:
                found[site] = (logits.detach(), slopes)
    return found
