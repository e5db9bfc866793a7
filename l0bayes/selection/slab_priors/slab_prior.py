r"""The contract of a slab prior that is Zellner's given a number g, and what follows from it alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

__all__ = ["GRule", "SlabPrior", "SlabSetting", "log_bayes_factor", "posterior_of_g"]


@dataclass(frozen=True)
class SlabSetting:
    r"""What a slab prior may depend on beside a model.

    Attributes:
        rows: Number of responses n.
        degrees: Those less the columns without a gate, :math:`\nu = n - k`.
        columns: Number of columns that have a gate, those that repeat others left out.
    """

    rows: float
    degrees: float
    columns: int


@dataclass(frozen=True)
class GRule:
    """A law of g as nodes of a quadrature.

    Attributes:
        log_g: Logarithms of the nodes, shape ``(T,)``, or ``(M, T)`` where each model has its own.
        log_mass: Log of the prior probability that each node stands for, of the same shape or ``(T,)``.
        step: Distance of neighbouring nodes on the scale of log g; 0 for a single one.
    """

    log_g: Tensor
    log_mass: Tensor
    step: float = 0.0


class SlabPrior(ABC):
    r"""Zellner's prior given g, and the law of g. A new one is a class of this, registered by its name.

    .. math::
        y \sim N(U\alpha + X_\gamma\beta, \sigma^2 W^{-1}), \qquad p(\alpha, \sigma^2) \propto 1/\sigma^2,
        \\ \beta \mid g, \sigma^2 \sim
        N\bigl(0,\; g\,\sigma^2 (\tilde X_\gamma' W \tilde X_\gamma)^{-1}\bigr), \qquad g \sim p(g)

    with U the columns without a gate, such as an intercept's ones, and :math:`\tilde X` the others less what
    U explains of them. With :math:`\nu = n - k`, rank p and :math:`R^2` of a model, its Bayes factor against
    the model with every gate shut is

    .. math:: \mathrm{BF}_\gamma =
        \int (1 + g)^{(\nu - p)/2}\,\bigl[1 + g (1 - R^2_\gamma)\bigr]^{-\nu/2}\,p(g)\,dg,

    and with :math:`s = g/(1+g)`, given g,

    .. math::
        \beta \mid \sigma^2, D \sim N\bigl(s\hat\beta,\; s\,\sigma^2 (\tilde X'W\tilde X)^{-1}\bigr), \\
        \sigma^2 \mid D \sim
        \mathrm{InverseGamma}\bigl(\tfrac{\nu}{2},\; \tfrac12 \tilde y'W\tilde y\,(1 - sR^2)\bigr).

    Nothing of it changes with the units or the coding of the columns, which R² and p do not know.

    Sources: Zellner 1986; Liang, Paulo, Molina, Clyde and Berger 2008, "Mixtures of g priors for Bayesian
    variable selection", JASA 103.

    Attributes:
        name: By which it is asked for.
        needs_all_models: Whether its g is learned from all models together.
    """

    name: ClassVar[str]
    needs_all_models: ClassVar[bool] = False

    @abstractmethod
    def rule(self, setting: SlabSetting, rank: Tensor, r2: Tensor) -> GRule:
        """The law of g for some models.

        Args:
            setting: Numbers of rows and columns.
            rank: Number of independent columns of each model, shape ``(M,)``.
            r2: Their R², shape ``(M,)``.
        """

    @abstractmethod
    def words(self, setting: SlabSetting) -> str:
        """The law of g, in a formula of a report.

        Args:
            setting: Numbers of rows and columns.
        """

    def at(self, setting: SlabSetting) -> SlabPrior:
        """The prior for a part of the columns, its g as with all of them; itself where it does not ask.

        Args:
            setting: Numbers of rows and columns, of all of them.
        """
        return self

    def prior_rule(self, setting: SlabSetting) -> GRule:
        """The law of g before any data, whose masses add up to 1.

        Args:
            setting: Numbers of rows and columns.

        Raises:
            ValueError: If there is none, since g is chosen by the data.
        """
        raise ValueError(
            f"the slab prior {self.name!r} has no law of g before the data: it is chosen by them. Take slab="
            "'g' with a number, 'hyper-g', 'hyper-g/n' or 'jzs'"
        )

    def settled(self, setting: SlabSetting, rank: Tensor, r2: Tensor, log_prior: Tensor) -> SlabPrior:
        """The prior where its g is known from all models together; itself where nothing is learned so.

        Args:
            setting: Numbers of rows and columns.
            rank: Number of independent columns of each model, shape ``(M,)``.
            r2: Their R², shape ``(M,)``.
            log_prior: Log of their prior probabilities or, of a sample of models, of their weights.
        """
        return self


def _log_weights(rule: GRule, setting: SlabSetting, rank: Tensor, r2: Tensor) -> Tensor:
    """Log of mass times Bayes factor of every node, shape ``(M, T)``."""
    unexplained = torch.log1p(-r2.clamp(0.0, 1.0))[:, None]
    gain = 0.5 * (setting.degrees - rank.to(r2)[:, None]) * softplus(rule.log_g, threshold=700.0)
    return rule.log_mass + gain - 0.5 * setting.degrees * softplus(rule.log_g + unexplained, threshold=700.0)


def log_bayes_factor(slab: SlabPrior, setting: SlabSetting, rank: Tensor, r2: Tensor) -> Tensor:
    """Log Bayes factor of models against the one with every gate shut, shape ``(M,)``.

    Args:
        slab: The prior.
        setting: Numbers of rows and columns.
        rank: Number of independent columns of each model, shape ``(M,)``.
        r2: Their R², shape ``(M,)``.
    """
    values = torch.logsumexp(_log_weights(slab.rule(setting, rank, r2), setting, rank, r2), -1)
    return torch.where(rank > 0, values, 0.0)


def posterior_of_g(slab: SlabPrior, setting: SlabSetting, rank: Tensor, r2: Tensor) -> tuple[GRule, Tensor]:
    """The law of g given each model and the data: its nodes, and their probabilities, shape ``(M, T)``.

    Args:
        slab: The prior.
        setting: Numbers of rows and columns.
        rank: Number of independent columns of each model, shape ``(M,)``.
        r2: Their R², shape ``(M,)``.
    """
    rule = slab.rule(setting, rank, r2)
    return rule, torch.softmax(_log_weights(rule, setting, rank, r2), -1)
