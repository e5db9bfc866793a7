r"""Labels of which some do not count, or that are trusted in part."""

from __future__ import annotations

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints

__all__ = ["LabelLaw"]


class LabelLaw(dist.Categorical):
    r"""Labels with logits :math:`\eta`, of which some are left out and the others smoothed.

    .. math:: (1 - s) \log p_y + \tfrac{s}{K} \sum_k \log p_k, \qquad p = \operatorname{softmax}(\eta)

    and 0 where y is ``ignore_index``: the negative of ``torch.nn.functional.cross_entropy``. With s above 0
    these are no log probabilities, for they do not add up to 1; draws are of p.

    Args:
        logits: Of shape ``(..., K)``.
        ignore_index: The label that does not count; ``None`` where all do.
        label_smoothing: s.
    """

    has_enumerate_support = False

    def __init__(self, logits: Tensor, ignore_index: int | None = None, label_smoothing: float = 0.0) -> None:
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing
        super().__init__(logits=logits, validate_args=False)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """Labels, and the one that does not count."""
        ends = (0, self.logits.shape[-1] - 1, 0 if self.ignore_index is None else self.ignore_index)
        return constraints.integer_interval(min(ends), max(ends))

    def expand(self, batch_shape: Any, _instance: Any = None) -> LabelLaw:
        """The law at a larger batch shape."""
        logits = self.logits.expand(torch.Size(batch_shape) + self.event_shape + self.logits.shape[-1:])
        return type(self)(logits, self.ignore_index, self.label_smoothing)

    def log_prob(self, value: Tensor) -> Tensor:
        """The formula above, entry by entry."""
        log_p, counts = self.logits, torch.ones_like(value, dtype=torch.bool)
        if self.ignore_index is not None:
            counts = value != self.ignore_index
        label = torch.where(counts, value, 0).long()
        found = log_p.gather(-1, label[..., None]).squeeze(-1)
        found = (1.0 - self.label_smoothing) * found + self.label_smoothing * log_p.mean(-1)
        return torch.where(counts, found, torch.zeros_like(found))
