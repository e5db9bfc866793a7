r"""Deployment rules: from a gate's law to the one value it has in a deployed network."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.distributions.gate_law import GateLaw

__all__ = ["DeploymentRule", "deployed_gates"]

DeploymentRule = Literal["median", "mean", "eq13", "sample", "top_k"]


def deployed_gates(law: GateLaw, rule: DeploymentRule = "median") -> Tensor:
    r"""The deployed value of every gate.

    ========  =====================================================================================
    rule      value
    ========  =====================================================================================
    median    the law's median; shut exactly where :math:`P(z \ne 0) \le \tfrac12`
    mean      :math:`E[z]`; shut only where that is less than the rounding of 1, as in a decided gate, and
              where the law has an atom at 0
    eq13      the paper's Eq. 13, the law without its noise; closes late
    sample    one draw
    top_k     :math:`E[z \mid z \ne 0]` for the k most probable gates, k the rounded
              :math:`\sum P(z \ne 0)`; shut elsewhere: the size is the expected size
    ========  =====================================================================================

    For a law without an atom at 0, values at or below its ``activity_threshold`` become 0 under
    ``median``, ``eq13`` and ``sample``.

    Args:
        law: Gate law of any batch shape.
        rule: One of the rules above.

    Returns:
        Values in [0, 1] of the law's batch shape.

    Raises:
        ValueError: If the rule is unknown.
    """
    validate.one_of(get_args(DeploymentRule), rule=rule)
    if rule == "mean":
        mean = law.mean
        if not law.has_atom_at_zero:
            return mean
        return torch.where(mean > torch.finfo(mean.dtype).eps, mean, torch.zeros_like(mean))
    if rule == "top_k":
        active = law.prob_active
        k = int(active.sum().round())
        keep = torch.zeros_like(active).flatten()
        keep[active.flatten().topk(k).indices] = 1.0
        return keep.reshape(active.shape) * law.mean_given_active
    value = {"median": lambda: law.median, "eq13": lambda: law.noise_free, "sample": law.sample}[rule]()
    return torch.where(value > law.activity_threshold, value, torch.zeros_like(value))
