r"""Cumulative probabilities of laws of a response, also of those for which torch has none."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import torch
import torch.distributions as laws
from torch import Tensor

__all__ = ["cumulative"]


@singledispatch
def cumulative(law: laws.Distribution, values: Tensor) -> Tensor:
    r""":math:`P(y \le v)`, of the shape that law and values broadcast to.

    Args:
        law: The law of one number.
        values: v, any shape that broadcasts with the law's batch.

    Raises:
        NotImplementedError: If neither torch nor this module has a formula for it.
    """
    found: Tensor = law.cdf(values)
    return found


@cumulative.register(laws.Poisson)
def _(law: Any, values: Tensor) -> Tensor:
    whole = values.floor()
    found = torch.special.gammaincc(whole.clamp(min=0.0) + 1.0, law.rate)
    return torch.where(whole < 0, 0.0, found)


@cumulative.register(laws.NegativeBinomial)
def _(law: Any, values: Tensor) -> Tensor:
    whole = values.floor()
    # P(y <= k) = I_{1-q}(r, k + 1), with q the probability of what is counted.
    found = _incomplete_beta(law.total_count, whole.clamp(min=0.0) + 1.0, torch.sigmoid(-law.logits))
    return torch.where(whole < 0, 0.0, found)


@cumulative.register(laws.Binomial)
def _(law: Any, values: Tensor) -> Tensor:
    whole, count = values.floor(), law.total_count
    inside = torch.minimum(whole.clamp(min=0.0), (count - 1.0).clamp(min=0.0))
    found = _incomplete_beta((count - inside).clamp(min=1.0), inside + 1.0, torch.sigmoid(-law.logits))
    return torch.where(whole < 0, 0.0, torch.where(whole >= count, 1.0, found))


@cumulative.register(laws.Bernoulli)
def _(law: Any, values: Tensor) -> Tensor:
    shut = torch.sigmoid(-law.logits)
    return torch.where(values < 0.0, 0.0, torch.where(values >= 1.0, 1.0, shut))


@cumulative.register(laws.StudentT)
def _(law: Any, values: Tensor) -> Tensor:
    from scipy.special import stdtr

    away = (values - law.loc) / law.scale
    df = law.df.expand_as(away) if law.df.ndim <= away.ndim else law.df
    return torch.as_tensor(stdtr(df.numpy(), away.numpy()), dtype=away.dtype)


def _incomplete_beta(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    from scipy.special import betainc

    found = betainc(*(one.numpy() for one in torch.broadcast_tensors(a.double(), b.double(), x.double())))
    return torch.as_tensor(found, dtype=torch.float64)
