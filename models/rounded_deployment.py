r"""Deployed gates whose layers have numbers of units that are multiples of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.infer import DeploymentWarning
from l0bayes.infer.targets.costs import costs_of, deployed_share_of
from l0bayes.infer.targets.rounding_check import check_rounding
from l0bayes.infer.targets.target import Target, as_target
from l0bayes.user_warnings import warn_user

__all__ = ["rounded_gates"]

# Probabilities of being open between which a gate could go either way.
_SHUT, _OPEN = 1e-3, 0.98


@torch.no_grad()
def rounded_gates(
    model: Any,
    guide: Any,
    gates: Mapping[str, Tensor],
    round_to: int | None,
    target: str | Target | None,
) -> dict[str, Tensor]:
    """Values of gates, opened and shut until numbers of units are multiples.

    Args:
        model: The sparse network.
        guide: Its guide.
        gates: Values by a deployment rule, by site.
        round_to: The number; ``None`` is refused, since a target alone shuts nothing here.
        target: What the network has to keep to; ``None`` where numbers are rounded up.

    Raises:
        ValueError: If a target is given alone, or cannot be reached.

    Warns:
        DeploymentWarning: If gates are opened or shut that are decided otherwise.
    """
    if round_to is None:
        raise ValueError("target goes with round_to: a deployment rule alone knows no size; give it to fit")
    validate.at_least(1, round_to=round_to)
    fits = None
    if target is not None:
        wanted = as_target(target, model, guide)
        check_rounding(model, guide, wanted, round_to)
        share_of = deployed_share_of(costs_of(model, guide))

        def fits(opened: Mapping[str, Tensor]) -> bool:
            return float(share_of(wanted.kind, opened)) <= wanted.share

    laws = guide.gates()
    opened = {site: (value != 0).to(value.dtype) for site, value in gates.items()}
    scores = {site: laws[site].activity_logits for site in gates}
    found = model.round_widths(opened, scores, round_to, fits)
    _warn_of_decided({site: law.prob_active for site, law in laws.items()}, opened, found, round_to)
    return {
        site: torch.where(value != 0, value, laws[site].mean_given_active) * found[site]
        for site, value in gates.items()
    }


def _warn_of_decided(
    active: Mapping[str, Tensor], before: Mapping[str, Tensor], after: Mapping[str, Tensor], round_to: int
) -> None:
    shut = opened = 0
    for site, value in before.items():
        shut += int(((value > after[site]) & (active[site] > _OPEN)).sum())
        opened += int(((value < after[site]) & (active[site] < _SHUT)).sum())
    parts = [f"shuts {shut} gates that are open for certain"] * bool(shut)
    parts += [f"opens {opened} gates that have closed for good"] * bool(opened)
    if parts:
        warn_user(
            f"round_to={round_to} {' and '.join(parts)}, and nothing has been trained since: measure what "
            "the deployed network predicts, or give round_to to fit(..., shrink=True), which rounds at "
            "the cut and trains on",
            DeploymentWarning,
        )
