r"""Binary gates with the straight-through gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from l0bayes.distributions.bernoulli import BernoulliGate
from l0bayes.distributions.numerics import binary_draws

__all__ = ["StraightThroughGate"]


class StraightThroughGate(BernoulliGate):
    r"""A Bernoulli gate with the straight-through gradient (Bengio, Léonard and Courville 2013).

    Draws are exactly 0 or 1, as :class:`BernoulliGate`'s; backwards they count as
    :math:`\sigma(\ell)`, so that :math:`\partial z/\partial\ell = \sigma'(\ell)`. The objective's value is
    that of binary gates, its gradient is biased wherever the likelihood is not linear in the gate.

    Source: arXiv 1308.3432.

    Args:
        logits: Logit of the probability of being open, any shape.

    Raises:
        ValueError: With validation on, if ``logits`` is not finite.
    """

    has_rsample = True

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        """Binary draws of shape ``sample_shape + batch_shape`` with the gradient of their probability."""
        open_ = self.prob_active.expand(self._extended_shape(sample_shape))
        # The difference comes first: it is exactly 0, so that the draw stays exactly 0 or 1.
        return binary_draws(open_.detach()) + (open_ - open_.detach())
