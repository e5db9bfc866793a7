"""The gate guides inside a guide: itself, or the parts of a combination such as Pyro's AutoGuideList."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from l0bayes.distributions import GateLaw

__all__ = ["gate_guide_of", "gate_laws", "gate_parameters", "temperatures"]


def gate_laws(guide: Any) -> dict[str, GateLaw]:
    """The posterior law of every gate site; empty where the guide has none.

    Args:
        guide: Any guide.
    """
    return {name: law for part in _parts(guide) for name, law in part.gates().items()}


def gate_guide_of(guide: Any, site: str) -> Any:
    """The part of a guide that holds a gate site.

    Args:
        guide: Any guide.
        site: Name of a gate site of it.

    Raises:
        ValueError: If no part holds the site.
    """
    for part in _parts(guide):
        if site in part.gates():
            return part
    raise ValueError(f"site must be a gate site of the guide, got {site!r}")


def gate_parameters(guide: Any) -> list[torch.nn.Parameter]:
    """The parameters of all gates that are trained.

    Args:
        guide: Any guide.
    """
    parts = (part for part in _parts(guide) if hasattr(part, "gate_parameters"))
    return [p for part in parts for p in part.gate_parameters() if p.requires_grad]


def temperatures(guide: Any) -> list[Tensor]:
    """The temperature buffers of all gates; empty where the guide has none.

    Args:
        guide: Any guide.
    """
    found = (getattr(part, "temperature", None) for part in (guide, *_parts(guide)))
    unique = {id(value): value for value in found if isinstance(value, Tensor)}
    return list(unique.values())


def _parts(guide: Any) -> Iterator[Any]:
    if callable(getattr(guide, "gates", None)):
        yield guide
    elif isinstance(guide, torch.nn.Module):
        for part in guide.children():
            yield from _parts(part)
