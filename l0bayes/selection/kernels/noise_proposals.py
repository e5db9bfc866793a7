r"""Moves of an unknown noise variance within the sampler of the gates."""

from __future__ import annotations

import torch
from torch import Tensor

from l0bayes.selection.kernels.active_sets import ActiveSets
from l0bayes.selection.kernels.gate_conditionals import Conditionals

__all__ = ["NoiseMoves"]

# Each chain's steps end with the first that is this small; they depend on nothing but its own gates.
_NEWTON_STEPS, _SMALL_STEP = 40, 0.05
_DEGREES = 5.0
# The proposal is a little wider than the law it stands for, as an independence proposal must be.
_WIDTH = 1.1


class NoiseMoves:
    r"""Independence Metropolis steps on :math:`t = \log\sigma^2`, under the posterior times φ.

    With A, b, V and m of :class:`~l0bayes.selection.kernels.active_sets.ActiveSets`, :math:`G = A - T` the
    part of A that is proportional to :math:`e^{-t}` (T the prior precisions that do not change with the
    noise), R the residual sum of squares at m over σ², and :math:`\sigma^2 \sim \mathrm{InverseGamma}(a, c)`,

    .. math:: \frac{d}{dt} \log p(y, t \mid \gamma) =
        \tfrac12 R + c\,e^{-t} - \tfrac{n}{2} - a + \tfrac12\operatorname{tr}(VG) - \tfrac{k}{2}

    with k the number of active columns whose slab is in units of the noise. Its root is found by Newton's
    method with the curvature :math:`-(\tfrac12 R + c\,e^{-t})` from a fixed start, so that the proposal, a
    Student's t about the root, depends on the gates alone. It is close to the conditional law, so that most
    proposals are accepted. Proposals of the chains are stratified: each has the law of the proposal, and
    together they are spread evenly.

    Args:
        sets: The chains.
        exploration: ε of the :class:`~l0bayes.selection.kernels.gate_conditionals.Conditionals`.
    """

    def __init__(self, sets: ActiveSets, exploration: float) -> None:
        prior = sets.problem.noise_prior
        assert prior is not None
        self.prior = prior
        self.scaled = sets.problem.slab_scaled_by_noise
        self.other = Conditionals(sets, exploration)
        self.centre = sets.variances.log().mean()

    def settle(self, sets: ActiveSets) -> ActiveSets:
        """The same models with a noise drawn for each, without acceptance: during burn-in only.

        Args:
            sets: The chains.
        """
        proposal, _, _ = self._propose(sets)
        settled = sets.at(proposal.exp())
        self.centre = proposal.mean()
        return settled

    def drawn(self, sets: ActiveSets, steps: int = 3) -> ActiveSets:
        r"""The same models, each with a noise drawn from :math:`p(\sigma^2 \mid \gamma, D)`.

        Args:
            sets: The models.
            steps: Independence Metropolis steps that correct the proposal, which is close already.
        """
        mode, scale = self._about(sets)
        now = sets.at(self._drawn_about(mode, scale).exp())
        for _ in range(steps):
            proposal = self._drawn_about(mode, scale)
            proposed = sets.at(proposal.exp())
            ratio = proposed.log_likelihood + self.prior.log_density_of_log(proposal)
            ratio -= now.log_likelihood + self.prior.log_density_of_log(now.variances.log())
            ratio += _log_density(now.variances.log(), mode, scale) - _log_density(proposal, mode, scale)
            now.take(proposed, torch.rand(len(ratio), dtype=torch.float64).log() < ratio)
        return now

    def move(self, sets: ActiveSets, state: Conditionals) -> None:
        """One step of every chain.

        Args:
            sets: The chains, moved.
            state: Conditionals of their gates, up to date before and after.
        """
        gates_prior = sets.problem.prior
        proposal, mode, scale = self._propose(sets)
        proposed = sets.at(proposal.exp())
        ratio = self._target(proposed) - self._target(sets)
        ratio += _log_density(sets.variances.log(), mode, scale) - _log_density(proposal, mode, scale)
        sets.take(proposed, torch.rand(len(ratio), dtype=torch.float64).log() < ratio)
        state.update(sets, gates_prior)

    def _target(self, sets: ActiveSets) -> Tensor:
        log_prior = self.prior.log_density_of_log(sets.variances.log())
        target: Tensor = sets.log_likelihood + log_prior + self.other.log_phi(sets, sets.problem.prior)
        return target

    def _propose(self, sets: ActiveSets) -> tuple[Tensor, Tensor, Tensor]:
        """Proposed log variances, and mode and scale of the proposal."""
        mode, scale = self._about(sets)
        return self._drawn_about(mode, scale), mode, scale

    def _drawn_about(self, mode: Tensor, scale: Tensor) -> Tensor:
        count = len(mode)
        uniform = (torch.randperm(count) + torch.rand(count, dtype=torch.float64)) / count
        normal = torch.special.ndtri(uniform.clamp(1e-12, 1.0 - 1e-12))
        half = torch.full((count,), 0.5 * _DEGREES, dtype=torch.float64)
        student = normal * (half / torch._standard_gamma(half)).sqrt()
        proposal: Tensor = mode + scale * student
        return proposal

    def _about(self, sets: ActiveSets) -> tuple[Tensor, Tensor]:
        """Mode and scale of the noise given the gates, each ``(C,)``."""
        square, place, held = sets.problem.gram.square, sets.place, sets.held
        both = held[:, :, None] & held[:, None, :]
        varying = torch.where(both, sets.moments[place[:, :, None], place[:, None, :]], 0.0)
        vector = torch.where(held, sets.vector[place], 0.0)
        precision = sets.precision(torch.ones(len(place), dtype=torch.float64)).gather(1, place)
        precision = torch.where(held, precision, 0.0)
        slabs = torch.zeros(len(place), dtype=torch.float64)
        if self.scaled:
            gated = held & (place >= sets.fixed)
            varying = varying + torch.diag_embed(torch.where(gated, precision, 0.0))
            precision = torch.where(gated, 0.0, precision)
            slabs = gated.sum(1).to(torch.float64)
        fixed = torch.diag_embed(torch.where(held, precision, 1.0))
        n, a, c = sets.problem.num_observations, self.prior.shape, self.prior.rate
        t = self.centre.expand(len(place)).clone()
        walks = torch.ones_like(t, dtype=torch.bool)
        width = torch.ones_like(t)
        for _ in range(_NEWTON_STEPS):
            inverse_noise = torch.exp(-t)
            part = varying * inverse_noise[:, None, None]
            inverse = torch.cholesky_inverse(torch.linalg.cholesky(part + fixed))
            b = vector * inverse_noise[:, None]
            mean = (inverse @ b[:, :, None])[:, :, 0]
            explained = (part @ mean[:, :, None])[:, :, 0]
            left = square * inverse_noise - 2.0 * (mean * b).sum(1) + (mean * explained).sum(1)
            curvature = 0.5 * left.clamp(min=0.0) + c * inverse_noise
            slope = curvature - 0.5 * n - a + 0.5 * (inverse * part).sum((1, 2)) - 0.5 * slabs
            curvature = curvature.clamp(min=0.5)
            step = torch.where(walks, (slope / curvature).clamp(-1.0, 1.0), 0.0)
            t, width = t + step, torch.where(walks, _WIDTH / curvature.sqrt(), width)
            walks = walks & (step.abs() > _SMALL_STEP)
            if not bool(walks.any()):
                break
        return t, width


def _log_density(t: Tensor, mode: Tensor, scale: Tensor) -> Tensor:
    """Log density of the proposal, up to a constant."""
    return -0.5 * (_DEGREES + 1.0) * torch.log1p(((t - mode) / scale).square() / _DEGREES)
