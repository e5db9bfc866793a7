r"""The posterior of the coefficients within one model."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from l0bayes.estimators.original_scale import OriginalScalePosterior
from l0bayes.estimators.scaling import Scaling
from l0bayes.selection.engines.infer_gates import infer_gates
from l0bayes.selection.problem.inclusion_prior import InclusionPrior
from l0bayes.selection.summaries.top_models import top_models

__all__ = ["gates_of", "within_model"]

# Prior log odds of a gate that is certain: probabilities of the other side are below 1e-300.
_CERTAIN = 700.0


def gates_of(found: OriginalScalePosterior, estimator: str) -> Tensor:
    """Which gates are open in a model, shape ``(G,)``.

    Args:
        found: The posterior over models.
        estimator: ``"median"`` for the median probability model, of the gates with a PIP above one half
            (Barbieri and Berger 2004); ``"best"`` for the most probable model.
    """
    if estimator == "median":
        return found.pip > 0.5
    return top_models(found.posterior, 1)[0][0] > 0.5


def within_model(found: OriginalScalePosterior, gates: Tensor) -> tuple[OriginalScalePosterior, Tensor]:
    """The posterior given a model, and the places of its columns, shape ``(k,)``; one column that is shut
    where the model has none.

    All columns of the model are given one gate that is certainly open, so that any engine for any kind of
    problem gives it.

    Args:
        found: The posterior over models.
        gates: Which gates are open, shape ``(G,)``.
    """
    problem = found.posterior.problem
    columns = gates[problem.groups].nonzero()[:, 0]
    sign = 1.0 if len(columns) else -1.0
    if not len(columns):
        columns = torch.zeros(1, dtype=torch.long)
        if found.blocks and 0 in found.blocks[0].columns:  # levels stay together
            columns = torch.tensor(found.blocks[0].columns)
    certain = InclusionPrior(log_odds=torch.tensor([sign * _CERTAIN], dtype=torch.float64))
    part = problem.of_columns(columns, certain)
    place = {column: number for number, column in enumerate(columns.tolist())}
    blocks = tuple(
        replace(block, columns=tuple(place[column] for column in block.columns))
        for block in found.blocks
        if block.columns[0] in place
    )
    scaling = found.scaling
    own = Scaling(
        scaling.center[columns], scaling.scale[columns], scaling.response_center, scaling.response_scale
    )
    names = [found.names[column] for column in columns.tolist()]
    posterior = infer_gates(part, seed=found.seed)
    return OriginalScalePosterior(posterior, own, names, ["the model"], found.seed, blocks), columns
