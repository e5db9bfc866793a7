r"""Gates and slabs by stochastic variational inference, all restarts in one batch."""

from __future__ import annotations

import time

import torch

from l0bayes.gate_families import DEFAULT_GATE_LAW
from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.engines.svi_run import SVIOptions, SVIRun
from l0bayes.selection.kernels.mean_field import hardened_elbos
from l0bayes.selection.kernels.mixture import mixture_of_modes
from l0bayes.selection.kernels.relaxations import relaxation_of
from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["fit_gates"]


@torch.no_grad()
def fit_gates(
    problem: SelectionProblem,
    *,
    gate_law: str = DEFAULT_GATE_LAW,
    options: SVIOptions | None = None,
    num_draws: int = 4000,
    seed: int = 0,
) -> SelectionPosterior:
    r"""Mean-field posteriors of several runs, averaged by what their hardened ELBO says they are worth.

    Every run maximises the ELBO with relaxed gates,

    .. math:: E_q[\log p(y \mid z \odot \theta, \alpha)] - \mathrm{KL}(q(z \ne 0)\,\|\,p)
        - \sum_j q(z_{g(j)} \ne 0)\,\mathrm{KL}(q(\theta_j)\,\|\,p(\theta_j)) - \dots,

    over gates of one law, Normal slabs, Normal coefficients without a gate and a log-normal noise variance;
    gates and coefficients are drawn, each run its own. Binary gates, ``"bernoulli"``, are not relaxed: the
    objective is the ELBO itself, for a Gaussian problem in closed form, otherwise estimated without bias
    by :func:`~l0bayes.selection.kernels.relaxations.binary_log_likelihood`. π ~ Beta(a, b) is integrated out
    under its optimal law. Afterwards gates count as Bernoulli with the same activity, each mode found counts
    once, and modes k are mixed with weights :math:`\propto e^{\mathrm{ELBO}_k}`.

    Args:
        problem: The problem, Gaussian or generalised.
        gate_law: Law of the gates, one of :data:`~l0bayes.gate_families.GATE_FAMILIES` that gives each gate a
            probability of its own.
        options: Length and width.
        num_draws: Size of the sample of models that is handed on.
        seed: Seed.

    Returns:
        The posterior of the engine ``"svi"``. There is no evidence; ``diagnostics`` hold its lower bound
        ``elbo``, and of every run ``restart_elbo`` and ``restart_pip``, the mode it belongs to (``mode``),
        the modes' ``mode_weights`` and ``mode_factors``, and Pareto's ``k_hat`` of their mixture (see
        :func:`~l0bayes.selection.kernels.mixture.mixture_of_modes`).

    Raises:
        ValueError: If the gate law is unknown, or has no probability of its own for each gate.
    """
    options = options or SVIOptions()
    relaxation = relaxation_of(gate_law, *options.temperature)
    started = time.perf_counter()
    with private_randomness(seed):
        factors = SVIRun(problem, relaxation, options).optimise()
        posterior = mixture_of_modes(problem, factors, hardened_elbos(problem, factors), num_draws)
    posterior.diagnostics.update(
        gate_law=gate_law,
        steps=options.steps,
        restarts=options.restarts,
        seconds=time.perf_counter() - started,
    )
    return posterior
