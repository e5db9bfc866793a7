r"""The sites of a fitted model: latents, effective weights and observations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import pyro
import torch
from pyro import poutine

from l0bayes.infer.loop.fit_result import Restart
from l0bayes.infer.objectives.latent_draws import Given
from l0bayes.infer.randomness import private_randomness
from l0bayes.sites import site_kind

__all__ = ["ModelSites", "model_trace"]


def model_trace(run: Restart, arguments: tuple[Any, ...]) -> Any:
    """One run of a fitted model at a draw of its guide. The global generators are left as they were.

    Args:
        run: The run of a fit.
        arguments: The model's arguments.
    """
    with torch.no_grad(), private_randomness(), poutine.block(), pyro.get_param_store().scope():
        guide_trace = poutine.trace(run.guide).get_trace(*arguments)
        with Given.sampled_in(guide_trace):
            return poutine.trace(run.model).get_trace(*arguments)


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
