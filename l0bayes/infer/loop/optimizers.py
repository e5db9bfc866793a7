r"""The optimiser of a run."""

from __future__ import annotations

import torch
from torch.optim import Optimizer

from l0bayes.infer.loop.fit_settings import FitSettings
from l0bayes.infer.objectives.elbo import BoundELBO
from l0bayes.infer.objectives.gate_parts import gate_parameters

__all__ = ["make_optimizer"]


def make_optimizer(objective: BoundELBO, settings: FitSettings) -> Optimizer:
    """The optimiser with gates and everything else as two groups.

    Args:
        objective: The ELBO with its model and guide.
        settings: The settings of the fit.

    Raises:
        ValueError: If there is nothing to train.
    """
    gates = gate_parameters(objective.guide)
    gate_ids = {id(parameter) for parameter in gates}
    others = [p for p in objective.parameters() if p.requires_grad and id(p) not in gate_ids]
    groups = [{"params": others, "lr": settings.lr}, {"params": gates, "lr": settings.gate_rate}]
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise ValueError("guide and model hold no trainable parameter")
    if settings.optimizer is not None:
        return settings.optimizer(groups)
    return torch.optim.Adam(groups, fused=True)
