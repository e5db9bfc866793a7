r"""How good predicted class probabilities are: hits, proper scores, calibration, entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from l0bayes import validate
from l0bayes.posterior.probabilities import Floats, Integers, as_array, distributions, labelled

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "PredictionScores",
    "accuracy",
    "auroc",
    "brier_score",
    "expected_calibration_error",
    "negative_log_likelihood",
    "prediction_scores",
    "predictive_entropy",
    "reliability_table",
]


@dataclass(frozen=True)
class PredictionScores:
    """What :func:`prediction_scores` finds; ``dataclasses.asdict`` makes a row of a table of it.

    Attributes:
        accuracy: Share of rows whose most probable class is the label.
        nll: Mean negative log probability of the label, in nats.
        brier: Brier score over all classes, from 0 to 2.
        ece: Expected calibration error, from 0 to 1.
        entropy: Mean predictive entropy, in nats.
        count: Number of rows.
        bins: Number of bins behind ``ece``.
    """

    accuracy: float
    nll: float
    brier: float
    ece: float
    entropy: float
    count: int
    bins: int

    def __str__(self) -> str:
        return (
            f"accuracy {self.accuracy:.4f}, NLL {self.nll:.4f} nats, Brier {self.brier:.4f}, "
            f"ECE {self.ece:.4f} ({self.bins} bins), entropy {self.entropy:.4f} nats, n = {self.count:,}"
        )


def prediction_scores(probabilities: Any, labels: Any, bins: int = 15) -> PredictionScores:
    """All scores of one set of predictions.

    Args:
        probabilities: Class probabilities of shape (n, classes), tensor or array, each row of sum 1; or of
            shape (n,), the probability of class 1 of two.
        labels: True classes, integers of shape (n,).
        bins: Number of bins of the calibration error.

    Returns:
        The scores.

    Raises:
        ValueError: If a shape does not fit, a row is no distribution, a label is no class, or ``bins`` is
            below 1.

    Example::

        scores = prediction_scores(predict_probabilities(fit, x), y)
    """
    return PredictionScores(
        accuracy=accuracy(probabilities, labels),
        nll=negative_log_likelihood(probabilities, labels),
        brier=brier_score(probabilities, labels),
        ece=expected_calibration_error(probabilities, labels, bins),
        entropy=float(predictive_entropy(probabilities).mean()),
        count=len(distributions(probabilities)),
        bins=bins,
    )


def accuracy(probabilities: Any, labels: Any) -> float:
    """Share of rows whose most probable class is the label; the first of equals counts.

    Args:
        probabilities: Class probabilities, as in :func:`prediction_scores`.
        labels: True classes.

    Raises:
        ValueError: As :func:`prediction_scores`.
    """
    p, y = labelled(probabilities, labels)
    return float((p.argmax(-1) == y).mean())


def negative_log_likelihood(probabilities: Any, labels: Any) -> float:
    r"""Mean negative log probability of the labels, in nats: :math:`-\tfrac1n \sum_i \log p_{i, y_i}`.

    A proper score (Good 1952), infinite where a label was given probability 0.

    Args:
        probabilities: Class probabilities, as in :func:`prediction_scores`.
        labels: True classes.

    Raises:
        ValueError: As :func:`prediction_scores`.
    """
    p, y = labelled(probabilities, labels)
    with np.errstate(divide="ignore"):
        return float(-np.log(p[np.arange(len(y)), y]).mean())


def brier_score(probabilities: Any, labels: Any) -> float:
    r"""Squared distance from the label: :math:`\tfrac1n \sum_i \sum_k (p_{ik} - [y_i = k])^2`.

    Brier's (1950) own score over all classes, a proper score from 0 to 2. The score of class 1 alone that is
    common for two classes, scikit-learn's among them, is half of it.

    Args:
        probabilities: Class probabilities, as in :func:`prediction_scores`.
        labels: True classes.

    Raises:
        ValueError: As :func:`prediction_scores`.
    """
    p, y = labelled(probabilities, labels)
    distance = p.copy()
    distance[np.arange(len(y)), y] -= 1.0
    return float(np.square(distance).sum(-1).mean())


def expected_calibration_error(probabilities: Any, labels: Any, bins: int = 15) -> float:
    r"""ECE over bins of equal width: :math:`\sum_b \tfrac{n_b}{n} |\text{acc}_b - \text{conf}_b|`.

    The confidence of a row is the probability of its most probable class; bin b holds the rows with
    confidence in :math:`((b-1)/B, b/B]` (Naeini et al. 2015; Guo et al. 2017, arXiv 1706.04599). It is no
    proper score, its value depends on the number of bins, and with few rows it is biased upward.

    Args:
        probabilities: Class probabilities, as in :func:`prediction_scores`.
        labels: True classes.
        bins: Number of bins B.

    Raises:
        ValueError: As :func:`prediction_scores`.
    """
    counts, confidence, hits = _bin_sums(*labelled(probabilities, labels), bins)
    return float(np.abs(hits - confidence).sum() / counts.sum())


def reliability_table(probabilities: Any, labels: Any, bins: int = 15) -> pd.DataFrame:
    """What lies behind the calibration error: confidence and accuracy, a row for each bin.

    Args:
        probabilities: Class probabilities, as in :func:`prediction_scores`.
        labels: True classes.
        bins: Number of bins.

    Returns:
        A DataFrame with the bin's limits ``low`` (excluded) and ``high``, ``count`` of rows in it, their
        mean ``confidence`` and ``accuracy``, and ``gap``, accuracy less confidence: negative where the
        predictions are too sure. Empty bins have NaN.

    Raises:
        ValueError: As :func:`prediction_scores`.
    """
    import pandas as pd

    counts, confidence, hits = _bin_sums(*labelled(probabilities, labels), bins)
    with np.errstate(invalid="ignore"):
        confidence, hits = confidence / counts, hits / counts
    edges = np.linspace(0.0, 1.0, bins + 1)
    columns = {"low": edges[:-1], "high": edges[1:], "count": counts, "confidence": confidence}
    return pd.DataFrame({**columns, "accuracy": hits, "gap": hits - confidence})


def predictive_entropy(probabilities: Any) -> Floats:
    r"""Entropy of each row in nats, :math:`-\sum_k p_k \log p_k`, with :math:`0 \log 0 = 0`.

    Args:
        probabilities: Class probabilities, as in :func:`prediction_scores`.

    Returns:
        Entropies of shape (n,), from 0 to the logarithm of the number of classes.

    Raises:
        ValueError: As :func:`prediction_scores`.
    """
    p = distributions(probabilities)
    logs: Floats = np.log(p, where=p > 0, out=np.zeros_like(p))
    entropy: Floats = np.maximum(-(p * logs).sum(-1), 0.0)
    return entropy


def auroc(negatives: Any, positives: Any) -> float:
    r"""Probability that a score of a positive exceeds one of a negative, ties counted by half.

    The area under the ROC curve as the Mann-Whitney statistic: ½ where the scores are unrelated to the two, 1
    where they separate. With predictive entropies it measures how well doubt separates strange inputs from
    known ones.

    Args:
        negatives: Scores of the negatives, such as entropies in distribution, of shape (n,).
        positives: Scores of the positives, such as entropies out of distribution, of shape (m,).

    Raises:
        ValueError: If one is empty or has NaN.
    """
    scores = {"negatives": as_array(negatives).ravel(), "positives": as_array(positives).ravel()}
    for name, values in scores.items():
        if not values.size or np.isnan(values).any():
            raise ValueError(f"{name} must hold at least one score and no NaN, got {values.size} values")
    low, high = np.sort(scores["negatives"]), scores["positives"]
    below = np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")
    return float(below.mean() / (2 * len(low)))


def _bin_sums(p: Floats, y: Integers, bins: int) -> tuple[Integers, Floats, Floats]:
    """Rows of each bin, the sum of their confidences, and how many of them are right."""
    validate.at_least(1, bins=bins)
    confidence, right = p.max(-1), p.argmax(-1) == y
    # "left" puts a confidence that is an edge into the bin below, as the formula does.
    index = np.searchsorted(np.linspace(0.0, 1.0, bins + 1)[1:-1], confidence, "left")
    counts, sums, hits = (
        np.bincount(index, weights, minlength=bins).astype(np.float64)
        for weights in (None, confidence, right.astype(np.float64))
    )
    return counts.astype(np.int64), sums, hits
