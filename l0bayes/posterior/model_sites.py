r"""The sites of a fitted model: latents, effective weights and observations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch

from l0bayes.sites import site_kind

__all__ = ["ModelSites"]


@dataclass(frozen=True)
class ModelSites:
    """The sites of a model by kind.

    Attributes:
        latents: Shape of the value of every latent site.
        weights: Shape of the value of every deterministic site, effective weights among them.
        observed: Value of every observed site.
    """

    latents: dict[str, torch.Size]
    weights: dict[str, torch.Size]
    observed: dict[str, npt.NDArray[Any]]

    @classmethod
    def of(cls, trace: Any) -> ModelSites:
        """Read them off one run of the model.

        Args:
            trace: A trace of the model.
        """
        found = cls({}, {}, {})
        for name, site in trace.nodes.items():
            kind = site_kind(site)
            if kind == "deterministic":
                found.weights[name] = site["value"].shape
            elif kind == "observed":
                found.observed[name] = site["value"].detach().cpu().numpy()
            elif kind == "latent":
                found.latents[name] = site["value"].shape
        return found
