r"""Derivatives of :math:`k\log\sigma(\eta) + m\log\sigma(-\eta)`."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["logistic_derivatives"]


def logistic_derivatives(
    success: Tensor, failure: Tensor, eta: Tensor, constant: Tensor | None, order: int
) -> tuple[Tensor, ...]:
    r"""Value and derivatives of :math:`c + k\log\sigma(\eta) + m\log\sigma(-\eta)`.

    Without loss where σ is near 0 or 1.

    Args:
        success: k.
        failure: m.
        eta: η.
        constant: c; ``None`` for 0.
        order: Highest derivative, 0 to 4.
    """
    # In place where it can be: fresh memory costs as much as the arithmetic.
    small = eta.abs().neg_().exp_()
    tail = torch.log1p(small)
    value = success * eta.clamp(max=0).sub_(tail) - failure * eta.clamp(min=0).add_(tail)
    values = [value if constant is None else value + constant]
    if order >= 1:
        share = 1.0 / (1.0 + small)
        positive = eta > 0
        up = torch.where(positive, share, small * share)
        down = torch.where(positive, small * share, share)
        values.append(success * down - failure * up)
        total = success + failure
        product = small * share * share
        if order >= 2:
            second = -total * product
            values.append(second)
        if order >= 3:
            values.append(second * (down - up))
        if order >= 4:
            values.append(second * (1.0 - 6.0 * product))
    return tuple(values)
