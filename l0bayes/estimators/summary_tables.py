r"""Tables of a selection: columns, models, sizes, pairs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from l0bayes.estimators.original_scale import OriginalScalePosterior
from l0bayes.selection.summaries.coefficient_draws import narrowest_interval
from l0bayes.selection.summaries.credible_sets import credible_sets
from l0bayes.selection.summaries.false_discoveries import fdr_q_values
from l0bayes.selection.summaries.top_models import top_models

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["joint_table", "models_table", "size_table", "summary_table"]


def summary_table(
    original: OriginalScalePosterior,
    *,
    hdi_prob: float,
    set_prob: float,
    min_correlation: float,
    attributes: dict[str, Any],
) -> pd.DataFrame:
    """One row a column of X, the most probable first.

    Args:
        original: The posterior on the user's scale.
        hdi_prob: Share of the conditional posterior that the interval holds.
        set_prob: Coverage of the credible sets.
        min_correlation: Least correlation within a credible set.
        attributes: What goes into ``DataFrame.attrs``.
    """
    import pandas as pd

    slope = original.scaling.slope
    interval = narrowest_interval(original.coefficients.conditional_draws, hdi_prob) * slope[:, None]
    gate = original.groups
    pip, prior = original.pip, original.prior
    number = np.full(len(pip), np.nan)
    sets = credible_sets(original.posterior, coverage=set_prob, min_correlation=min_correlation)
    for index, one in enumerate(sets, start=1):
        number[list(one.gates)] = index
    conditional_mean, conditional_sd = original.conditional
    bayes_factor = (original.posterior.log_odds - torch.logit(prior)) / math.log(10.0)
    table = pd.DataFrame(
        {
            "pip": pip[gate].numpy(),
            "pip_mcse": original.posterior.pip_mcse[gate].numpy(),
            "prior": prior[gate].numpy(),
            "log10_bf": bayes_factor[gate].numpy(),
            "mean": original.mean.numpy(),
            "sd": original.sd.numpy(),
            "cond_mean": conditional_mean.numpy(),
            "cond_sd": conditional_sd.numpy(),
            "cond_hdi_low": interval[:, 0].numpy(),
            "cond_hdi_high": interval[:, 1].numpy(),
            "p_positive": original.coefficients.positive.numpy(),
            "in_median_model": (pip > 0.5)[gate].numpy(),
            "bfdr_q": fdr_q_values(pip)[gate].numpy(),
            "group": [original.gate_names[index] for index in gate.tolist()],
            "credible_set": pd.array(number[gate.numpy()], dtype="Int64"),
        },
        index=pd.Index(original.names, name="feature"),
    )
    table = table.sort_values("pip", ascending=False, kind="stable")
    table.attrs.update(attributes)
    return table


def models_table(original: OriginalScalePosterior, count: int) -> pd.DataFrame:
    """The most probable models, one a row.

    Args:
        original: The posterior on the user's scale.
        count: How many at most.
    """
    import pandas as pd

    models, probabilities = top_models(original.posterior, count)
    held = [[original.gate_names[g] for g in model.nonzero()[:, 0].tolist()] for model in models]
    return pd.DataFrame(
        {
            "probability": probabilities.numpy(),
            "cumulative": probabilities.cumsum(0).numpy(),
            "size": models.sum(1).long().numpy(),
            "variables": [tuple(names) for names in held],
        },
        index=pd.RangeIndex(1, len(held) + 1, name="rank"),
    )


def size_table(original: OriginalScalePosterior) -> pd.DataFrame:
    """Probability of every number of open gates, after the data and before.

    Args:
        original: The posterior on the user's scale.
    """
    import pandas as pd

    problem = original.posterior.problem
    return pd.DataFrame(
        {
            "posterior": original.posterior.size_probabilities.numpy(),
            "prior": problem.prior.size_probabilities(problem.num_groups).numpy(),
        },
        index=pd.RangeIndex(problem.num_groups + 1, name="size"),
    )


def joint_table(original: OriginalScalePosterior) -> pd.DataFrame:
    """Probability that two gates are open together; of each alone on the diagonal.

    Args:
        original: The posterior on the user's scale.
    """
    import pandas as pd

    joint = original.posterior.joint.clone()
    joint.diagonal().copy_(original.pip)
    names = pd.Index(original.gate_names, name="group")
    return pd.DataFrame(joint.numpy(), index=names, columns=names)
