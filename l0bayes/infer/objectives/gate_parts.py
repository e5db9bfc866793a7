"""The gates of a guide: their laws, their parameters, their temperatures. Empty where it has none."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from l0bayes.distributions import GateLaw
from l0bayes.infer.guide_abilities import GatePart, GuideAbilities

__all__ = ["gate_laws", "gate_parameters", "gate_part_of", "temperatures"]


def gate_laws(guide: Any) -> dict[str, GateLaw]:
    """The posterior law of every gate site; empty where the guide has none.

    Args:
        guide: Any guide.
    """
    return {name: law for part in GuideAbilities(guide).parts for name, law in part.guide.gates().items()}


def gate_part_of(guide: Any, site: str) -> GatePart:
    """The part of a guide that holds a gate site.

    Args:
        guide: Any guide.
        site: Name of a gate site of it.

    Raises:
        ValueError: If no part holds the site.
    """
    for part in GuideAbilities(guide).parts:
        if site in part.guide.gates():
            return part
    raise ValueError(f"site must be a gate site of the guide, got {site!r}")


def gate_parameters(guide: Any) -> list[torch.nn.Parameter]:
    """The parameters of all gates that are trained.

    Args:
        guide: Any guide.
    """
    found = (part.parameters for part in GuideAbilities(guide).parts)
    return [p for parameters in found if parameters is not None for p in parameters() if p.requires_grad]


def temperatures(guide: Any) -> list[Tensor]:
    """The temperature buffers of all gates; empty where the guide has none.

    Args:
        guide: Any guide.
    """
    return GuideAbilities(guide).temperatures
