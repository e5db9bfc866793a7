r"""The partial likelihood of survival times."""

from __future__ import annotations

from typing import Any, Literal, Self, get_args

import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from l0bayes import validate

__all__ = ["CoxPartialLikelihood", "Ties"]

Ties = Literal["efron", "breslow"]


class CoxPartialLikelihood(TorchDistribution):
    r"""Cox's partial likelihood of times under a proportional hazard :math:`h_i(t) = h_0(t)\,e^{\eta_i}`.

    .. math:: \log L = \sum_{i:\,d_i = 1} w_i \Bigl(\eta_i - \log \sum_{j:\,t_j \ge t_i} w_j e^{\eta_j}\Bigr)

    An observation is all rows together, pairs of a time and whether the event was seen then
    (:math:`d_i = 1`) or the row was lost from sight (0). Where m events share a time, Breslow's form takes
    the sum above for each of them; Efron's leaves out the share l/m of the events' own hazards at the l-th
    (l = 0, ..., m - 1), and weighs each by the mean of their weights.

    The baseline :math:`h_0` is nowhere in it: there are no draws, and adding a constant to η changes nothing.

    Args:
        predictor: η, shape ``(..., n)``.
        weights: Case weights w, positive, shape ``(n,)``; all 1 by default.
        ties: ``"efron"`` or ``"breslow"``.

    Raises:
        ValueError: If ``ties`` is neither.
    """

    arg_constraints = {"predictor": constraints.independent(constraints.real, 1)}
    support = constraints.independent(constraints.nonnegative, 2)
    has_rsample = False

    def __init__(
        self,
        predictor: Tensor,
        weights: Tensor | None = None,
        ties: Ties = "efron",
        validate_args: bool | None = None,
    ) -> None:
        validate.one_of(get_args(Ties), ties=ties)
        self.predictor = predictor
        self.weights = weights
        self.ties = ties
        TorchDistribution.__init__(
            self, predictor.shape[:-1], torch.Size((predictor.shape[-1], 2)), validate_args=validate_args
        )

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same law with a larger batch shape, of its own type."""
        new: Self = self._get_checked_instance(CoxPartialLikelihood, _instance)
        new.predictor = self.predictor.expand(*batch_shape, self.predictor.shape[-1])
        new.weights, new.ties = self.weights, self.ties
        TorchDistribution.__init__(new, torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        """Not available.

        Raises:
            NotImplementedError: Always; without a baseline hazard there are no times.
        """
        raise NotImplementedError(
            "a partial likelihood has no baseline hazard, so that times cannot be drawn"
        )

    def log_prob(self, value: Tensor) -> Tensor:
        """Log partial likelihood in nats, shape ``(...)``.

        Args:
            value: Times and event indicators, shape ``(n, 2)``.
        """
        order = torch.argsort(value[..., 0], descending=True)
        times, events = value[order, 0], value[order, 1]
        predictor = self.predictor[..., order]
        weights = torch.ones_like(times) if self.weights is None else self.weights[order].to(predictor)
        # Rows of one time stand together: the first and the last of them, for every row.
        first = torch.searchsorted(-times, -times)
        last = torch.searchsorted(-times, -times, right=True) - 1
        hazard = predictor + torch.log(weights)
        at_risk = torch.logcumsumexp(hazard, -1)[..., last]
        if self.ties == "breslow":
            return (events * weights * (predictor - at_risk)).sum(-1)

        def within_ties(values: Tensor) -> Tensor:
            return torch.zeros_like(values).index_add(-1, last, values)[..., last]

        deaths = within_ties(events).clamp(min=1.0)
        mean_weight = within_ties(events * weights) / deaths
        before = events.cumsum(0) - events
        place = events * (before - before[first])  # 0, 1, ... among the events of one time
        own = within_ties(events * torch.exp(hazard - at_risk))
        left = at_risk + torch.log1p(-place / deaths * own)
        return (events * (weights * predictor - mean_weight * left)).sum(-1)
