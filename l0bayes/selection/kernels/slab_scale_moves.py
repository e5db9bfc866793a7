r"""Moves of a learned slab scale within the sampler of the gates."""

from __future__ import annotations

import torch
from torch import Tensor

from l0bayes.selection.kernels.active_sets import ActiveSets
from l0bayes.selection.kernels.gate_conditionals import Conditionals
from l0bayes.selection.slab_priors.slab_scale_law import SlabScaleLaw

__all__ = ["SlabScaleMoves"]

# Standard deviations of the steps, one of which is drawn for each.
_STEPS = (0.15, 0.5, 1.5)


class SlabScaleMoves:
    r"""Random walk Metropolis steps on :math:`u = \log s`, under the posterior times φ.

    Each chain has a scale of its own, a part of its state: with the coefficients integrated out

    .. math:: p(u \mid \gamma, \sigma^2, D) \propto p(u)\,p(D \mid \gamma, \sigma^2, e^u),

    and φ of the tempered sampler depends on u, too. Steps are of three widths, so that scales of which the
    data say much or little are moved alike.

    Args:
        sets: The chains, with their scales.
        exploration: ε of the :class:`~l0bayes.selection.kernels.gate_conditionals.Conditionals`.
        law: p(s).
    """

    def __init__(self, sets: ActiveSets, exploration: float, law: SlabScaleLaw) -> None:
        self.law = law
        self.other = Conditionals(sets, exploration)

    def move(self, sets: ActiveSets, state: Conditionals) -> None:
        """One step of every chain.

        Args:
            sets: The chains, moved.
            state: Conditionals of their gates, up to date before and after.
        """
        here = sets.log_scale
        assert here is not None
        widths = torch.tensor(_STEPS, dtype=torch.float64)[torch.randint(len(_STEPS), here.shape)]
        proposed = sets.rescaled(here + widths * torch.randn_like(here))
        ratio = self._target(proposed) - self._target(sets)
        sets.take(proposed, torch.rand_like(ratio).log() < ratio)
        state.update(sets, sets.problem.prior)

    def _target(self, sets: ActiveSets) -> Tensor:
        assert sets.log_scale is not None
        evidence = sets.log_likelihood
        if sets.conjugate is not None:  # the noise integrated out, too
            evidence = evidence + sets.rate - sets.degrees * sets.rate.log()
        log_prior = self.law.log_density_of_log(sets.log_scale)
        target: Tensor = evidence + log_prior + self.other.log_phi(sets, sets.problem.prior)
        return target
