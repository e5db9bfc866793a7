r"""Probabilities and moments of all models, averaged over noise variances as a quadrature asks for them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from l0bayes.selection.kernels.between_nodes import quantiles_between
from l0bayes.selection.kernels.elimination import ModelTree, slab_sums
from l0bayes.selection.kernels.gated_system import gated_system
from l0bayes.selection.kernels.resampling import independent_indices, systematic_indices
from l0bayes.selection.problem.gaussian_problem import GaussianProblem

__all__ = ["NoiseAverage"]

# Log of the share of the posterior below which models at one noise are left out of moments: e^-25 is 1e-11.
_NEGLIGIBLE = -25.0


class NoiseAverage:
    r"""Sums over nodes of a quadrature of everything that is wanted of all models, by one walk a node.

    Nodes lie evenly in :math:`\log\sigma^2` and are added as they are asked for. Those that turn out to be
    worth next to nothing do no harm: each has its own weight.

    Args:
        problem: The problem.
        log_prior: Log prior probabilities of all models, shape ``(2**G,)``.
        num_draws: Size of the sample of models.
    """

    def __init__(self, problem: GaussianProblem, log_prior: Tensor, num_draws: int) -> None:
        self._problem, self._num_draws = problem, num_draws
        self._shape = ModelTree.shape(problem.num_groups)
        self._log_prior, self._log_slab = log_prior, torch.zeros(0, dtype=torch.float64)
        self._constants = log_prior
        self._weights = log_prior.new_zeros(self._shape)
        self._moments = log_prior.new_zeros(2, problem.num_columns)
        self._reference = -math.inf  # what the sums are in units of, as a log
        self._log_variances: list[float] = []
        self._drawn: list[Tensor] = []

    @property
    def count(self) -> int:
        """Number of nodes."""
        return len(self._drawn)

    def add(self, variance: Tensor) -> Tensor:
        """Add a node, and return its log evidence without the prior of the noise.

        Args:
            variance: σ², a scalar.
        """
        noise, system = self._problem.noise_prior, gated_system(self._problem, variance)
        log_variance = variance.log()
        density = 0.0 if noise is None else float(noise.log_density_of_log(log_variance))
        constant = float(system.constant) + density
        tree = ModelTree(system.matrix, system.vector, self._problem.group_columns)
        constants = self._constants_with(system.log_slab)
        node = torch.empty_like(self._weights)
        scales, blocks, places = [], [], []
        for chunk in tree.chunks():
            score = chunk.determinant.add_(chunk.quadratic).add_(constants[:, chunk.place])
            scale = float(score.max())
            if scale == -math.inf:  # a restriction forbids all of them
                node[:, chunk.place] = 0.0
                continue
            weights = torch.sub(score, scale, out=node[:, chunk.place]).exp_()
            blocks.append(weights.sum(1))
            scales.append(scale)
            places.append(chunk.place)
            if constant + scale + math.log(float(blocks[-1].sum())) > self._reference + _NEGLIGIBLE:
                chunk.weigh(weights, scale)
        log_scales, masses = torch.tensor(scales, dtype=torch.float64), torch.stack(blocks)
        at_node = torch.logsumexp(log_scales + masses.sum(1).log(), 0)
        self._raise_reference(constant + float(at_node))
        factors = (log_scales + (constant - self._reference)).exp()
        for factor, place in zip(factors.tolist(), places, strict=True):
            self._weights[:, place].add_(node[:, place], alpha=factor)
        mean, second, scale = tree.moments()
        self._moments += math.exp(constant + scale - self._reference) * torch.stack([mean, second])
        self._log_variances.append(float(log_variance))
        self._drawn.append(self._draw(node, masses * factors[:, None], places))
        return at_node + system.constant

    def probabilities(self) -> Tensor:
        """Posterior probabilities of all models, shape ``(2**G,)``."""
        return (self._weights / self._weights.sum()).flatten()

    def moments(self) -> tuple[Tensor, Tensor]:
        r""":math:`E[\beta]` and :math:`E[\beta^2]`, each of shape ``(p,)``."""
        mean, second = self._moments / self._weights.sum()
        return mean, second

    def draws(self, variances: Tensor, masses: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers of models, and noise variances: systematic draws of a node, independent ones of a model.

        Noises are from between the nodes, those of a node from about it.

        Args:
            variances: Nodes that were added, ascending.
            masses: Their posterior probabilities.
        """
        counts = torch.bincount(systematic_indices(masses, self._num_draws), minlength=len(masses))
        added = torch.tensor(self._log_variances, dtype=torch.float64)
        nearest = (variances.log()[:, None] - added).abs().argmin(1).tolist()
        models = [self._drawn[node][:count] for node, count in zip(nearest, counts.tolist(), strict=True)]
        logs = variances.log()
        if len(logs) == 1:
            return torch.cat(models), variances.repeat_interleave(counts)
        step = logs.diff().min()
        places = ((logs - logs[0]) / step).round()
        shares = (torch.arange(self._num_draws, dtype=torch.float64) + 0.5) / self._num_draws
        return torch.cat(models), (logs[0] + step * quantiles_between(places, masses.log(), shares)).exp()

    def _constants_with(self, log_slab: Tensor) -> Tensor:
        """What of the log weights depends on no data; slabs that are scaled by the noise change with it."""
        if not torch.equal(log_slab, self._log_slab):
            self._log_slab = log_slab
            self._constants = self._log_prior + slab_sums(log_slab, self._problem.group_columns)
        return self._constants.view(self._shape)

    def _raise_reference(self, value: float) -> None:
        if value > self._reference:
            fallen = math.exp(self._reference - value)
            self._weights *= fallen
            self._moments *= fallen
            self._reference = value

    def _draw(self, node: Tensor, masses: Tensor, places: list[slice]) -> Tensor:
        """Draws of models at one node: first of a row of a chunk, then within it."""
        rows = masses.shape[1]
        block = independent_indices(masses.flatten(), self._num_draws)
        starts = torch.tensor([place.start for place in places])[block // rows]
        width = places[0].stop - places[0].start
        columns = starts[:, None] + torch.arange(width)
        row = block % rows
        cumulative = node[row[:, None], columns].cumsum(1)
        wanted = torch.rand(len(row), 1, dtype=node.dtype) * cumulative[:, -1:]
        within = (cumulative <= wanted).sum(1).clamp(max=width - 1)
        return row * node.shape[1] + columns.gather(1, within[:, None])[:, 0]
