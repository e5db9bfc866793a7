r"""Whether a network can be as small as asked for with numbers of units that are multiples of one."""

from __future__ import annotations

from typing import Any

import torch

from l0bayes.infer.model_abilities import ModelAbilities
from l0bayes.infer.targets.costs import activities, costs_of, deployed_share_of
from l0bayes.infer.targets.target import Target

__all__ = ["check_rounding"]


@torch.no_grad()
def check_rounding(model: Any, guide: Any, target: Target, round_to: int) -> None:
    """Refuse a number that the target leaves no room for, before any work.

    Args:
        model: The model.
        guide: Its guide.
        target: The target.
        round_to: The number.

    Raises:
        ValueError: If the model has no units to round, or the least network of this kind is too large.
    """
    rounded = ModelAbilities(model).round_widths
    if rounded is None:
        raise ValueError(
            f"round_to needs a model of layers, such as SparseNetwork; got {type(model).__name__}"
        )
    chances = activities(guide)
    shut = {site: torch.zeros_like(value) for site, value in chances.items()}
    least = rounded(shut, chances, round_to, lambda _: False)
    share = float(deployed_share_of(costs_of(model, guide))(target.kind, least))
    if share > target.share:
        raise ValueError(
            f"target {target} can't be reached with round_to={round_to}: with {round_to} units in every "
            f"layer the share of {target.kind} is {share:.4g}"
        )
