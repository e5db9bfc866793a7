"""Models without data, such as those whose ``obs=`` was forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l0bayes.infer.objectives.observed_shapes import observes_anything
from l0bayes.user_warnings import warn_user

__all__ = ["UnobservedModelWarning", "warn_unobserved"]


class UnobservedModelWarning(UserWarning):
    """A model that observes nothing was fitted, so that the guide learns the prior."""


def warn_unobserved(nodes: Mapping[str, Any]) -> None:
    """Say so where a model has no data.

    Args:
        nodes: Nodes of a trace of the model.

    Warns:
        UnobservedModelWarning: If no site has ``obs`` and there is no ``pyro.factor``.
    """
    if not observes_anything(nodes):
        latent = [name for name, site in nodes.items() if site["type"] == "sample"]
        warn_user(
            f"no site of the model has obs=, and there is no pyro.factor: the sites {latent} are all latent, "
            "and the fit learns their prior, whatever the data are. Hand the response to its site, as in "
            'pyro.sample("y", law, obs=y); a network is given labels as the second part of a batch, (x, y)',
            UnobservedModelWarning,
        )
