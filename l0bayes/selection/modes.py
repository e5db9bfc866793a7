r"""Several factorised posteriors as one mixture, each mode once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from l0bayes.selection.hardened import Factors, Hardened
from l0bayes.selection.problem import LinearProblem
from l0bayes.selection.result import ModelDraws, SelectionPosterior

__all__ = ["distinct_modes", "mixture_of_modes"]

# Runs of one mode differ by what is left of the optimiser's noise.
_ALIKE = 0.25


def distinct_modes(pip: Tensor, elbo: Tensor, tolerance: float = _ALIKE) -> Tensor:
    """The run that stands for each run's mode: the best of those no gate of which differs by more.

    Args:
        pip: Inclusion probabilities of every run, shape ``(R, G)``.
        elbo: What the runs are worth, shape ``(R,)``.
        tolerance: Largest difference within a mode.

    Returns:
        Index of a run for every run, ``torch.long``, shape ``(R,)``.
    """
    mode = torch.full((len(pip),), -1, dtype=torch.long)
    for run in torch.argsort(elbo, descending=True).tolist():
        if mode[run] < 0:
            alike = ((pip - pip[run]).abs().amax(1) <= tolerance) & (mode < 0)
            mode[alike] = run
    return mode


def mixture_of_modes(
    problem: LinearProblem, factors: Factors, hardened: Hardened, num_draws: int
) -> SelectionPosterior:
    r"""Mix the modes with weights :math:`\propto e^{\mathrm{ELBO}}`.

    Where modes do not overlap these are the weights of the best mixture, which is then worth
    :math:`\log\sum_k e^{\mathrm{ELBO}_k}`; what is a bound without that condition is the best run's ELBO, and
    that is what ``diagnostics["elbo"]`` says.

    Args:
        problem: The problem.
        factors: Posteriors of the runs.
        hardened: What they are worth.
        num_draws: Size of the sample of models.
    """
    pip = torch.sigmoid(factors.logits)
    mode = distinct_modes(pip, hardened.elbo)
    kept = torch.unique(mode)
    weights = torch.softmax(hardened.elbo[kept], 0)
    q, mean = pip[kept], factors.mean[kept]
    by_column = weights[:, None] * q[:, problem.groups]
    chosen = torch.multinomial(weights, num_draws, replacement=True)
    gates = (torch.rand(num_draws, q.shape[1], dtype=q.dtype) < q[chosen]).to(q.dtype)
    joint = torch.einsum("k,kg,kh->gh", weights, q, q)
    total = weights @ q
    counted = weights > 0.01
    return SelectionPosterior(
        engine="svi",
        problem=problem,
        pip=total,
        pip_mcse=torch.full_like(total, math.nan),
        mean=(by_column * mean).sum(0),
        second_moment=(by_column * (mean.square() + factors.sd[kept].square())).sum(0),
        log_evidence=math.nan,
        size_probabilities=weights @ _sizes(q),
        draws=ModelDraws(
            gates,
            _variances(problem, hardened, kept[chosen]),
            torch.full((num_draws,), 1.0 / num_draws, dtype=q.dtype),
            kept[chosen],
        ),
        exact_joint=joint - joint.diagonal().diag() + total.diag(),
        diagnostics={
            "elbo": float(hardened.elbo.max()),
            "elbo_error": float(hardened.standard_error[hardened.elbo.argmax()]),
            "restart_elbo": hardened.elbo,
            "restart_pip": pip,
            "mode": mode,
            "modes": len(kept),
            "mode_weights": weights,
            "disagreement": float((q[counted].amax(0) - q[counted].amin(0)).max()),
        },
    )


def _variances(problem: LinearProblem, hardened: Hardened, runs: Tensor) -> Tensor:
    if hardened.noise is None:
        noise = problem.noise
        assert isinstance(noise, float | int)
        return torch.full((len(runs),), float(noise) ** 2, dtype=torch.float64)
    shape, rate = hardened.noise[runs].unbind(1)
    return rate / torch._standard_gamma(shape)


def _sizes(pip: Tensor) -> Tensor:
    """Law of the number of open gates, independent with these probabilities, row by row."""
    law = pip.new_zeros(len(pip), pip.shape[1] + 1)
    law[:, 0] = 1.0
    for q in pip.T:
        moved = law[:, :-1] * q[:, None]
        law = law * (1.0 - q)[:, None]
        law[:, 1:] += moved
    return law
