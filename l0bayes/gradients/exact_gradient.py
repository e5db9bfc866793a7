r"""The exact gradient for few gates, from all their configurations."""

from __future__ import annotations

import torch
from torch import Tensor

from l0bayes.gradients.gate_problem import GateProblem

__all__ = ["enumerated_gradient", "exact_gradient"]


def exact_gradient(problem: GateProblem, chunk_size: int) -> Tensor:
    r"""The gradient of F by enumeration; see :class:`~l0bayes.gradients.GateProblem`.

    Args:
        problem: Likelihood and KL as functions of G gates.
        chunk_size: Configurations evaluated at a time, of the :math:`2^G`.

    Returns:
        Shape (G,), float64.

    Raises:
        ValueError: If the likelihood of some configuration is not finite.
    """
    count, logits = 2**problem.num_gates, problem.logits
    places = torch.arange(problem.num_gates - 1, -1, -1, device=logits.device)
    values = []
    for codes in torch.arange(count, device=logits.device).split(chunk_size):
        gates = (codes[:, None] >> places) & 1  # the first gate changes most slowly
        values.append(problem.values(gates.to(logits)).double())
    likelihoods = torch.cat(values)
    if not likelihoods.isfinite().all():
        wrong = int((~likelihoods.isfinite()).sum())
        raise ValueError(
            f"model must have a finite likelihood at every configuration of its gates; "
            f"it is not at {wrong} of {count}, with the other latents at the guide's medians"
        )
    return enumerated_gradient(likelihoods, logits.double()) - problem.kl_gradient.double()


def enumerated_gradient(values: Tensor, logits: Tensor) -> Tensor:
    r""":math:`\nabla_\ell\,E_{z \sim \mathrm{Bern}(\sigma(\ell))}[f(z)]` from f at all configurations.

    .. math::
        \frac{\partial}{\partial\ell_j} E[f]
        = p_j (1 - p_j)\,\bigl(E[f \mid z_j = 1] - E[f \mid z_j = 0]\bigr)
        = \sigma(\ell_j)\,\sigma(-\ell_j)\,E_{z_{-j}}\bigl[f(z_{-j}, 1) - f(z_{-j}, 0)\bigr]

    Differences are taken first and averaged afterwards. The weights are products of :math:`\sigma(\ell)` and
    :math:`\sigma(-\ell)`, each from its own logit, so that nothing is divided by the probability of a
    decided gate or taken from 1.

    Args:
        values: f at all :math:`2^G` configurations, in the order in which the last gate changes fastest.
        logits: Shape (G,).

    Returns:
        Shape (G,).
    """
    pairs = torch.stack([(-logits).sigmoid(), logits.sigmoid()], -1)
    result = torch.empty_like(logits)
    for gate in range(len(logits)):
        before, after = _weights(pairs[:gate]), _weights(pairs[gate + 1 :])
        cube = values.reshape(len(before), 2, len(after))
        difference = before @ (cube[:, 1] - cube[:, 0]) @ after
        result[gate] = pairs[gate].prod() * difference
    return result


def _weights(pairs: Tensor) -> Tensor:
    """Probability of every configuration of some gates, shape (2^n,)."""
    result = pairs.new_ones(1)
    for pair in pairs:
        result = (result[:, None] * pair).reshape(-1)
    return result
