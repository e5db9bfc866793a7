r"""Whether a linear predictor separates two classes without error."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["is_separated"]

_NEWTON_STEPS = 30
_SECONDS = 20.0


def is_separated(x: Tensor, y: Tensor, *, intercept: bool = True) -> bool:
    r"""Whether some direction has all rows of one class on one side, and all of the other on the other.

    Rows on the boundary count for both (quasi-complete separation), if not all are there. Then the
    likelihood of a logistic regression has no maximum: the coefficients' size is set by their prior alone.
    With :math:`s_i = \pm 1` the class and :math:`x_i` a row, it is so if and only if there is a b with
    :math:`s_i x_i'b \ge 0` for all rows and > 0 for one; and it is not if and only if there are weights
    :math:`\lambda_i > 0` with :math:`\sum_i \lambda_i s_i x_i = 0`. Newton's method for the likelihood finds
    either the one, or, as the residuals :math:`\lambda_i = |y_i - \mu_i|` at a maximum, the other; what it
    leaves open a linear programme decides; where that takes more than 20 seconds, the answer is no.

    Sources: Albert and Anderson 1984; Konis 2007, chapter 4, for the programme.

    Args:
        x: Columns, shape ``(n, p)``.
        y: Zeros and ones, shape ``(n,)``.
        intercept: Whether a column of ones is added.

    Raises:
        ValueError: If y holds something else, shapes do not fit, or a number is not finite.
    """
    x, y = x.detach().to(torch.float64), y.detach().to(torch.float64)
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise ValueError(
            f"x and y must have shapes (n, p) and (n,), got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    if not bool(((y == 0) | (y == 1)).all()):
        raise ValueError("y must hold zeros and ones")
    if not bool(torch.isfinite(x).all()):
        raise ValueError("x must be finite")
    if intercept:
        x = torch.cat([x.new_ones(len(x), 1), x - x.mean(0)], 1)
    x = x / x.square().mean(0).sqrt().clamp(min=1e-300)
    signed = x * (2.0 * y - 1.0)[:, None]
    decided = _by_likelihood(signed)
    return _by_programme(signed) if decided is None else decided


def _by_likelihood(signed: Tensor) -> bool | None:
    """The answer by Newton's method, if it finds one; rows have signs that make right margins positive."""
    n, p = signed.shape
    square = signed.T @ signed
    # Columns that are combinations of others must not stop it.
    ridge = 1e-10 * n * torch.eye(p, dtype=signed.dtype)
    b = signed.new_zeros(p)
    for _ in range(_NEWTON_STEPS):
        margin = signed @ b
        if bool((margin > 1e-9 * (1.0 + b.abs().sum())).all()):
            return True
        residual = torch.sigmoid(-margin)
        gradient = residual @ signed
        # Weights moved to where they balance exactly; they must stay positive for a proof.
        moved = residual - signed @ torch.linalg.solve(square + ridge, gradient)
        if bool((moved > 1e-6).all()) and float((moved @ signed).abs().max()) < 1e-9 * n:
            return False
        curvature = signed.T @ (signed * (residual * (1.0 - residual))[:, None])
        step = torch.linalg.solve(curvature + ridge, gradient)
        value, length = _log_likelihood(margin), 1.0
        while _log_likelihood(signed @ (b + length * step)) < value and length > 1e-6:
            length *= 0.5
        b = b + length * step
    # Quasi-complete separation: a direction that is 0 on the other rows separates those without residuals.
    vanished = torch.sigmoid(-(signed @ b)) < 1e-4
    if not vanished.any() or vanished.all():
        return None
    rest = signed[~vanished]
    values, vectors = torch.linalg.eigh(rest.T @ rest)
    basis = vectors[:, values < 1e-12 * n]
    beyond = signed[vanished] @ basis
    beyond = beyond[beyond.abs().amax(1) > 1e-6] if basis.shape[1] else beyond[:0]
    return True if len(beyond) and _by_likelihood(beyond) else None


def _log_likelihood(margin: Tensor) -> float:
    return float(torch.nn.functional.logsigmoid(margin).sum())


def _by_programme(signed: Tensor) -> bool:
    """The largest sum of margins that are none of them negative, of coefficients from -1 to 1."""
    from scipy.optimize import linprog

    rows = signed.numpy()
    total = rows.sum(0)
    solved = linprog(
        -total,
        A_ub=-rows,
        b_ub=0.0 * rows[:, 0],
        bounds=(-1.0, 1.0),
        method="highs",
        options={"time_limit": _SECONDS},
    )
    return bool(solved.status == 0 and -solved.fun > 1e-7 * len(rows))
