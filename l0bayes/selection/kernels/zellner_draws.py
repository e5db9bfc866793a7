r"""Draws of the noise and of the shrinkage of models with Zellner's slabs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from l0bayes.selection.problem.level_block import hidden_shares
from l0bayes.selection.problem.zellner_problem import ZellnerProblem
from l0bayes.selection.slab_priors.slab_prior import GRule, posterior_of_g

__all__ = ["draw_noise", "draw_shrinkage", "hidden_variance"]


def draw_noise(problem: ZellnerProblem, rank: Tensor, r2: Tensor) -> Tensor:
    r"""A noise variance for each model, from :math:`p(\sigma^2 \mid \gamma, D)`: first g, then

    .. math:: \sigma^2 \sim
        \mathrm{InverseGamma}\bigl(\tfrac{\nu}{2}, \tfrac12 \tilde y'W\tilde y\,(1 - sR^2)\bigr).

    Args:
        problem: The problem.
        rank: Number of independent columns of each model, shape ``(S,)``.
        r2: Their R², shape ``(S,)``.
    """
    rule, probability = posterior_of_g(problem.slab, problem.setting, rank, r2)
    shrunk = torch.sigmoid(_drawn(rule, probability))
    shape = torch.full_like(r2, 0.5 * problem.setting.degrees)
    drawn: Tensor = 0.5 * problem.system.total * (1.0 - shrunk * r2) / torch._standard_gamma(shape)
    return drawn


def draw_shrinkage(problem: ZellnerProblem, rank: Tensor, r2: Tensor, variances: Tensor) -> Tensor:
    r"""An s = g/(1+g) for each model and noise, from

    .. math:: p(g \mid \gamma, \sigma^2, D) \propto
        p(g)\,(1 + g)^{-p/2}\exp\bigl(s\,R^2\,\tilde y'W\tilde y/(2\sigma^2)\bigr).

    Args:
        problem: The problem.
        rank: Number of independent columns of each model, shape ``(S,)``.
        r2: Their R², shape ``(S,)``.
        variances: Their noise variances, shape ``(S,)``.
    """
    rule = problem.slab.rule(problem.setting, rank, r2)
    gain = (0.5 * problem.system.total * r2 / variances)[:, None] * torch.sigmoid(rule.log_g)
    gain = gain - 0.5 * rank.to(r2)[:, None] * softplus(rule.log_g, threshold=700.0)
    return torch.sigmoid(_drawn(rule, torch.softmax(rule.log_mass + gain, -1)))


def hidden_variance(problem: ZellnerProblem) -> Tensor:
    """What of a column's variance, in units of the noise, stands for nothing that a response shows; ``(p,)``.

    Args:
        problem: The problem.
    """
    added = problem.system.added
    shares = hidden_shares(added, problem.blocks)
    return torch.where(added > 0, shares / added.clamp(min=1e-300), 0.0)


def _drawn(rule: GRule, probability: Tensor) -> Tensor:
    """Draws of log g: a node by its probability, and a place about it."""
    places = torch.rand(len(probability), 1, dtype=probability.dtype)
    node = (probability.cumsum(1) < places).sum(1).clamp(max=probability.shape[1] - 1)
    log_g = rule.log_g.expand(probability.shape).gather(1, node[:, None])[:, 0]
    return log_g + rule.step * (torch.rand(len(node), dtype=probability.dtype) - 0.5)
