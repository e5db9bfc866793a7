r"""The rows of a fit beside what the fitted model expects of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from l0bayes.distributions.cumulative import cumulative
from l0bayes.estimators.input_tables import Array
from l0bayes.estimators.kept.predictor import Predictor
from l0bayes.infer.randomness import private_randomness
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.posterior.pareto import pareto_k, ratios_are_usable
from l0bayes.selection.trust.likelihood_fit import LikelihoodCheck

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RowChecks", "check_rows"]

# Rows that leave so large a share of the draws effective need no closer look.
_CLEARLY_EFFECTIVE = 0.5
_REPLICATES, _MOST_ROWS = 200, 5000
_INTERVAL = 0.9
# A rank correlation of so many standard errors, and at least so large, is told of.
_ERRORS, _LEAST_CORRELATION = 4.0, 0.2
_MOST_NAMED = 8


@dataclass(frozen=True)
class RowChecks:
    """What is known of each row that counts, and what of it is told.

    Attributes:
        rows: One row for each, by its place: the response ``y``; its posterior mean ``mean``; ``residual``,
            on the scale of a standard Normal law, see :func:`check_rows`; ``pareto_k`` of leaving it out;
            ``influential``, whether the posterior without it would be another one.
        replicated: Responses drawn from the posterior predictive law, shape ``(R, n)``.
        classes: Whether responses are classes, 0 and 1.
        words: What is wrong, or that nothing is, in sentences.
    """

    rows: pd.DataFrame
    replicated: Array
    classes: bool
    words: list[str]


@torch.no_grad()
def check_rows(
    predictor: Predictor,
    x: Tensor,
    y: Tensor,
    weights: Tensor,
    checks: Sequence[LikelihoodCheck],
    *,
    offset: Tensor | None = None,
    trials: Tensor | None = None,
    row_name: Callable[[int], str] = "row {}".format,
    seed: int = 0,
) -> RowChecks:
    r"""Compare the rows of a fit with its posterior predictive law.

    The residual of a row is the Normal quantile of its cumulative probability, for whole numbers at a random
    place of its step (Dunn and Smyth 1996), so that residuals are standard Normal where the model holds,
    whatever the likelihood:

    .. math:: r_i = \Phi^{-1}\Bigl(\tfrac1S \sum_s P(y \le y_i \mid \text{draw } s)\Bigr).

    A row is influential where the importance ratios of leaving it out,
    :math:`1/p(y_i \mid \text{draw } s)`, have a Pareto k-hat above 0.7 (Vehtari, Gelman and Gabry 2017): the
    posterior without it would be another one. Of more than 5,000 rows so many are looked at, evenly spaced.

    Args:
        predictor: What predicts.
        x: Columns of the fit, on the user's scale, shape ``(n, p)``.
        y: Responses, shape ``(n,)``.
        weights: Weights of the rows, shape ``(n,)``.
        checks: What is known of the likelihood.
        offset: Added to the predictor, shape ``(n,)``.
        trials: Numbers of trials, of a likelihood that has them.
        row_name: What a row is called, by its place.
        seed: Seed of what is drawn.
    """
    import pandas as pd

    total = len(y)
    places = torch.arange(total)
    if total > _MOST_ROWS:
        places = torch.linspace(0, total - 1, _MOST_ROWS).long()
        x, y, weights = x[places], y[places], weights[places]
        offset = None if offset is None else offset[places]
        trials = None if trials is None else trials[places]
    known, n = predictor.law("average"), len(y)
    mean, residual = torch.zeros(n, dtype=torch.float64), torch.zeros(n, dtype=torch.float64)
    k_hat, usable = torch.full((n,), -torch.inf, dtype=torch.float64), np.ones(n, dtype=bool)
    replicated = torch.zeros(_REPLICATES, n, dtype=torch.float64)
    with private_randomness(seed):
        chosen = torch.randint(len(known.intercepts), (_REPLICATES,))
        for rows, eta in known.draws(x):
            eta = eta if offset is None else eta + offset[rows, None]
            likelihood, law = predictor.law_of_rows(
                eta, known, None if trials is None else trials[rows, None]
            )
            mean[rows] = likelihood.mean(eta).mean(1)
            replicated[:, rows] = law.sample()[:, chosen].T.double()
            below = _cumulative_share(law, y[rows], replicated[:, rows])
            residual[rows] = torch.special.ndtri(below.clamp(1e-12, 1.0 - 1e-12))
            log_density = _log_density(likelihood, law, y[rows], eta, bool(known.latents))
            _look_at_tails(-weights[rows, None] * log_density, rows, k_hat, usable)
    table = pd.DataFrame(
        {
            "y": y.numpy(),
            "mean": mean.numpy(),
            "residual": residual.numpy(),
            "pareto_k": k_hat.numpy(),
            "influential": ~usable,
        },
        index=pd.Index(places.numpy(), name="row"),
    )
    edge = float(torch.special.ndtri(torch.tensor(0.5 + 0.5 * _INTERVAL, dtype=torch.float64)))
    inside = float((weights * (residual.abs() <= edge)).sum() / weights.sum())
    words = _words(table, checks, inside, float(weights.sum()), predictor.likelihood, row_name)
    if total > n:
        words.append(f"Of {total:,} rows {n:,} were looked at.")
    return RowChecks(table, replicated.numpy(), predictor.likelihood.has_classes, words)


def _cumulative_share(law: Any, y: Tensor, replicated: Tensor) -> Tensor:
    """Cumulative probability of each response, at a random place of its step where it is a whole number."""
    place = torch.rand(len(y), dtype=torch.float64)
    try:
        upper = cumulative(law, y[:, None]).mean(1)
        lower = cumulative(law, y[:, None] - 1.0).mean(1) if law.support.is_discrete else upper
    except NotImplementedError:  # by what was drawn
        upper, lower = (replicated <= y).double().mean(0), (replicated < y).double().mean(0)
    found: Tensor = lower + place * (upper - lower)
    return found


def _log_density(likelihood: Likelihood, law: Any, y: Tensor, eta: Tensor, learned: bool) -> Tensor:
    if learned:
        found: Tensor = law.log_prob(y[:, None])
        return found
    return likelihood.log_density(y[:, None], eta)


def _look_at_tails(log_ratios: Tensor, rows: slice, k_hat: Tensor, usable: Any) -> None:
    """Pareto k-hat of rows that leave few draws effective; of the others it need not be computed."""
    shifted = (log_ratios - log_ratios.amax(1, keepdim=True)).exp()
    share = shifted.sum(1).square() / shifted.square().sum(1) / log_ratios.shape[1]
    for place in (share < _CLEARLY_EFFECTIVE).nonzero()[:, 0].tolist():
        found = pareto_k(log_ratios[place])
        k_hat[rows.start + place] = found
        usable[rows.start + place] = ratios_are_usable(found, float(share[place]))


def _words(
    table: pd.DataFrame,
    checks: Sequence[LikelihoodCheck],
    inside: float,
    count: float,
    likelihood: Likelihood,
    row_name: Callable[[int], str],
) -> list[str]:
    words = [check.words for check in checks if check.contradicted]
    wrong = bool(words)
    if not likelihood.has_classes:
        words.append(
            f"Of the responses of the fit {100.0 * inside:.0f} % lie within their {100.0 * _INTERVAL:.0f} % "
            "predictive intervals."
        )
    if not likelihood.has_classes and table["mean"].nunique() > 2:
        spread = float(table["residual"].abs().rank().corr(table["mean"].rank()))
        if abs(spread) > max(_LEAST_CORRELATION, _ERRORS / math.sqrt(count)):
            wrong = True
            how = "more" if spread > 0 else "less"
            words.append(
                f"Residuals vary {how} where larger responses are expected (rank correlation {spread:.2f}): "
                "the likelihood's spread does not fit. Try the logarithm of the response, or another "
                "likelihood."
            )
    influential = table.index[table["influential"]].tolist()
    if influential:
        wrong = True
        named = ", ".join(row_name(int(place)) for place in influential[:_MOST_NAMED])
        more = f" and {len(influential) - _MOST_NAMED} more" if len(influential) > _MOST_NAMED else ""
        which = "this row" if len(influential) == 1 else "one of these rows"
        words.append(
            f"Influential: {named}{more}. Without {which} the posterior would be another one (Pareto k-hat "
            "above 0.7): look at it, and fit without it to see."
        )
    words += [check.words for check in checks if not check.contradicted]
    if not wrong:
        words.append("Nothing in the rows speaks against the likelihood, and no single row decides much.")
    return words
