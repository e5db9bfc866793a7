"""The partial likelihood of survival times."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self, get_args

import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from l0bayes import validate
from l0bayes.likelihoods.cox_density import CoxDensity
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_words import Words
from l0bayes.likelihoods.offset_limits import refuse_far_offsets
from l0bayes.likelihoods.survival_simulation import simulated_survival
from l0bayes.likelihoods.whole_density import WholeDensity

__all__ = ["Cox", "CoxPartialLikelihood", "Ties"]

Ties = Literal["efron", "breslow"]

# Beyond, the smaller hazards are 0 beside the largest.
_FARTHEST_OFFSET = 700.0


class CoxPartialLikelihood(TorchDistribution):
    r"""Cox's partial likelihood of times under a proportional hazard :math:`h_i(t) = h_0(t)\,e^{\eta_i}`.

    .. math:: \log L = \sum_{i:\,d_i = 1} w_i \Bigl(\eta_i - \log \sum_{j:\,t_j \ge t_i} w_j e^{\eta_j}\Bigr)

    An observation is all rows together, pairs of a time and whether the event was seen then
    (:math:`d_i = 1`) or the row was lost from sight (0). Where m events share a time, Breslow's form takes
    the sum above for each of them; Efron's leaves out the share l/m of the events' own hazards at the l-th
    (l = 0, ..., m - 1), and weighs each by the mean of their weights. That is the weighted form of R's
    ``survival::coxph``: under Breslow's form, and where no events share a time, a row of weight 2 is two
    rows; under Efron's a tied event of weight 2 is one event that counts twice, not two tied events.

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
        self.ties: Ties = ties
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
        # Rows of one time are neighbours now: the first and the last of them, for every row.
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


class Cox(Likelihood):
    r"""Times under the hazard :math:`h_0(t)\,e^\eta`, by :class:`CoxPartialLikelihood`.

    A response is a time and an event indicator (1 seen, 0 censored); all rows together are one observation.

    Args:
        ties: Form of the likelihood where events share a time, ``"efron"`` or ``"breslow"``.

    Raises:
        ValueError: If ``ties`` is neither.
    """

    name = "cox"
    words = Words(
        kind="a proportional hazards regression",
        formula="h<sub>i</sub>(t) = h<sub>0</sub>(t) exp(η<sub>i</sub>)",
        effects="the log hazard",
        summary="survival times, censored or not, by their log hazard",
    )
    laws = (CoxPartialLikelihood,)
    by_row = False
    takes_intercept = False
    weights_multiply = False
    response_shape = (2,)
    response_labels = {"survival": ["time", "event"]}

    def __init__(self, ties: Ties = "efron") -> None:
        validate.one_of(get_args(Ties), ties=ties)
        self.ties: Ties = ties

    def supports_expansion(self) -> str | None:
        return None

    def whole_density(self, y: Tensor, weights: Tensor) -> WholeDensity:
        return CoxDensity(y, weights, efron=self.ties == "efron")

    def starting_predictor(self, y: Tensor) -> Tensor:
        return torch.zeros_like(y[..., 0])

    def supports_draws(self) -> str | None:
        return "a partial likelihood has no baseline hazard, so that times cannot be drawn"

    def supports_simulation(self) -> str | None:
        return None

    def simulated(self, eta: Tensor, like: Tensor) -> Tensor:
        return simulated_survival(eta, max(1, int(like[:, 1].sum())))

    def law(self, predictor: Tensor, latents: dict[str, Tensor], weights: Tensor | None = None) -> Any:
        return CoxPartialLikelihood(predictor, weights, self.ties)

    def as_response(self, y: Any) -> Tensor:
        """Times and indicators as the columns of one tensor.

        Args:
            y: The pair ``(time, event)``, each of shape ``(n,)``, or the tensor.
        """
        if isinstance(y, tuple | list):
            time, event = y
            return torch.stack([time, event.to(time)], -1)
        return super().as_response(y)

    @property
    def accepts(self) -> str:
        return "times, not negative, and events, 0 or 1"

    def violations(self, y: Tensor) -> Sequence[tuple[str, Tensor]]:
        time, event = y.unbind(-1)
        fine = torch.zeros_like(time, dtype=torch.bool)
        return [
            ("be a time, not negative", torch.stack([~(time >= 0) | (time == math.inf), fine], -1)),
            ("be an event, 0 or 1", torch.stack([fine, (event != 0) & (event != 1)], -1)),
        ]

    def check(self, y: Tensor) -> None:
        """Refuse responses that cannot be observed.

        Args:
            y: Times and indicators, shape ``(n, 2)``.

        Raises:
            ValueError: By the first row; or if there is no event at all, or none beside which another row
                is at risk.
        """
        (_, times), (_, events) = self.violations(y)
        self.refuse("time", y[:, 0], times[:, 0], "times, not negative")
        self.refuse("event", y[:, 1], events[:, 1], "1 where the event was seen and 0 where not")
        if not bool((y[:, 1] == 1).any()):
            raise ValueError("event must be 1 in at least one row: without an event nothing can be learned")
        if int((y[:, 0] >= y[y[:, 1] == 1, 0].min()).sum()) == 1:
            raise ValueError(
                "event must be 1 in a row beside which another is at risk: the only event is at the largest "
                "time of all, where nothing can be learned"
            )

    def check_offset(self, offset: Tensor) -> None:
        why = "the smallest: hazards would differ by more than numbers do"
        refuse_far_offsets(offset, offset.min(), _FARTHEST_OFFSET, why)

    @classmethod
    def predictor_of(cls, law: Any) -> Tensor:
        value: Tensor = law.predictor
        return value

    @classmethod
    def weights_of(cls, law: Any) -> Tensor | None:
        weights: Tensor | None = law.weights
        return weights

    @classmethod
    def of_law(cls, law: Any, rows: Callable[[Tensor], Tensor]) -> Self:
        return cls(ties=law.ties)
