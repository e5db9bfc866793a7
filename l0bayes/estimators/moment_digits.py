r"""How many digits of a spread are left where large means are taken off sums of squares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from l0bayes.estimators.input_tables import Array

__all__ = ["check_digits"]

# What a probability may be off by; of many rows, whose sums are rounded more, by so much a row.
_MOST, _MOST_A_ROW = 1e-10, 1e-13
# Sums whose means take off no more than this share cannot be much better.
_SMALL = 4.0


def check_digits(moments: Array, about: Array, n: float, names: Sequence[str]) -> None:
    r"""Refuse moments whose means leave too few digits of the spread for the probabilities.

    Sums that are rounded by :math:`\epsilon` have, less :math:`n \bar x\bar x'`, correlations
    :math:`C_{jk}` that are rounded by :math:`\epsilon s_j s_k`, :math:`s_j^2 = m_{jj}/c_{jj}`, with the sums
    of squares m as they stand and c about the mean. With coefficients
    :math:`\beta = (C_{xx} + I/n)^{-1} C_{xy}` and :math:`r = (-\beta, 1)` the unexplained
    share :math:`1 - R^2` is rounded by
    :math:`r'\,\Delta C\,r`, a log Bayes factor by :math:`\tfrac n2` times what that is of it, and a
    probability by no more than this. Errors of columns are independent, so that it is about

    .. math:: \frac{n}{2}\,\frac{\epsilon \sum_j r_j^2 s_j^2}{1 - R^2}.

    Args:
        moments: Sums of products of columns and response as they stand, the response's last,
            shape ``(p + 1, p + 1)``.
        about: Those about the means.
        n: Number of rows.
        names: What each is called.

    Raises:
        ValueError: If that is more than 1e-10, and than 1e-13 a row, by the column that loses most.
    """
    spread, square = np.diag(about), np.diag(moments)
    # What is constant, or no data's, is said elsewhere; but of large means it may be rounding alone.
    rounding = _of_sums(n) * square
    left = np.where(np.abs(spread) > rounding, np.abs(spread), np.maximum(rounding, 1e-300))
    lost = np.where(square > 0.0, square / left, 1.0)
    worst = int(lost.argmax())
    if lost[worst] <= _SMALL:
        return
    if (spread < -rounding).any():
        return  # these are no data's, whatever was lost
    unknown = ((np.abs(spread) <= rounding) & (spread != 0.0)).any()  # constant, or rounding alone
    error = 1.0 if unknown else _rounding_of(about, n, np.sqrt(lost), spread > rounding)
    if error <= max(_MOST, _MOST_A_ROW * n):
        return
    digits = math.ceil(math.log10(lost[worst]))
    raise ValueError(
        f"means are too large beside the spread of {names[worst]!r}: of its sum of squares {digits} "
        f"of 16 digits are its mean, and probabilities could be off by {min(error, 1.0):.1g}. Give centred "
        "moments, sums of products of deviations from the means, and means of zeros"
    )


def _of_sums(n: float) -> float:
    """The share of a sum of n squares that its rounding may be, added one by one."""
    return min(8.0 * (n + 4.0) * float(np.finfo(np.float64).eps), 1e-8)


def _rounding_of(about: Array, n: float, lost: Array, varied: Any) -> float:
    """What a probability may be off by, where columns vary beyond rounding; 1 where the response does not."""
    if not varied[-1]:
        return 1.0
    lost = lost[varied]
    unit = np.sqrt(np.diag(about)[varied])
    correlations = about[np.ix_(varied, varied)] / unit[:, None] / unit
    if np.linalg.eigvalsh(correlations).min() < -_of_sums(n) * len(unit) * lost.max() ** 2:
        return 0.0  # no data's either
    of_response = correlations[:-1, -1]
    beta = np.linalg.lstsq(correlations[:-1, :-1] + np.eye(len(of_response)) / n, of_response, rcond=None)[0]
    left = max(1.0 - float(beta @ of_response), 1.0 / (n + 1.0))
    size = float(beta**2 @ lost[:-1] ** 2 + lost[-1] ** 2)
    return float(0.5 * n * np.finfo(np.float64).eps * size / left)
