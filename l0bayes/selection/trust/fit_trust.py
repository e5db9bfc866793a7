r"""The verdict on any fit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from l0bayes.infer.loop.fit_result import Fit
from l0bayes.infer.objectives.gate_parts import gate_laws
from l0bayes.infer.objectives.latent_draws import draw_latents
from l0bayes.posterior.importance import importance_weighted
from l0bayes.selection.kernels.gaussian_expansion import ridge_problem
from l0bayes.selection.kernels.rao_blackwell import rao_blackwell
from l0bayes.selection.kernels.variational_verdict import judge_variational
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.verdict import Trust
from l0bayes.selection.recognise.linear_model import LinearModel, NotLinearError, read_linear_model

__all__ = ["trust"]


def trust(fit: Fit, *, data: tuple[Any, ...] | None = None, num_draws: int = 2000, seed: int = 0) -> Trust:
    r"""How far a fit's inclusion probabilities can be trusted, in words and numbers.

    Three signs of error are computed, as far as the fit allows:

    * the *Rao-Blackwell residual*, where the gated weights enter through a linear predictor: by how much a
      PIP differs from the mean of its exact conditional given the other gates, these drawn from the guide,
      with coefficients integrated out (a generalised linear model is expanded to second order first);
    * *Pareto k-hat* of the hardened guide's importance ratios, where slabs have a law;
    * the *disagreement of restarts*, where there were several.

    None of them proves a fit right: all start from the fit itself. For an answer that does not, see
    :func:`l0bayes.refine`.

    Args:
        fit: The result of :func:`l0bayes.fit`.
        data: The model's arguments, all data; default: what was fitted, which must then be a tuple.
        num_draws: Draws of the guide, for the residual and for k-hat.
        seed: Seed of all draws.

    Returns:
        The verdict. It is true if the PIPs may be used; ``warn()`` warns if not.

    Raises:
        ValueError: If the guide has no gates, or ``data`` are needed and not given.
        TypeError: If ``data`` is no tuple.
    """
    arguments = fit.data if data is None else data
    arguments = (arguments,) if isinstance(arguments, Tensor) else arguments
    if not isinstance(arguments, tuple):
        raise TypeError(f"data must be a tuple of all the model's arguments; got {type(arguments).__name__}")
    laws = gate_laws(fit.guide)
    if not laws:
        raise ValueError(f"fit must be of a guide with gates; {type(fit.guide).__name__} has none")
    residual, worst = _residual(fit, arguments, num_draws, seed)
    k_hat, share = _ratios(fit, arguments, num_draws, seed)
    return judge_variational(
        residual, k_hat=k_hat, effective_share=share, disagreement=_disagreement(fit), worst=worst
    )


def _ratios(fit: Fit, data: tuple[Any, ...], num_draws: int, seed: int) -> tuple[float | None, float | None]:
    """k-hat and effective share of the draws, by importance ratios of the hardened guide."""
    try:
        found = importance_weighted(fit, data=data, num_draws=num_draws, seed=seed)
    except ValueError:  # points have no density to divide by
        return None, None
    return found.k_hat, found.ess / num_draws


@torch.no_grad()
def _residual(fit: Fit, data: tuple[Any, ...], num_draws: int, seed: int) -> tuple[float | None, int | None]:
    try:
        linear = read_linear_model(fit.model, data, seed)
    except NotLinearError:
        return None, None
    laws = gate_laws(fit.guide)
    if not all(site in laws for site in linear.gates):
        return None, None
    # Draws of the guide itself: its gates may depend on one another.
    draws = draw_latents(fit.guide, data, num_draws, seed)
    pip = torch.zeros(linear.problem.num_groups, dtype=torch.float64)
    gates = torch.zeros(num_draws, linear.problem.num_groups, dtype=torch.float64)
    for site, groups in linear.gates.items():
        pip[groups.flatten()] = laws[site].prob_active.double().flatten().cpu()
        gates[:, groups.flatten()] = draws[site].double().flatten(1).cpu()
    is_open = torch.zeros_like(gates)
    for site, groups in linear.gates.items():
        is_open[:, groups.flatten()] = (gates[:, groups.flatten()] > laws[site].activity_threshold).double()
    problem = ridge_problem(linear.problem)
    variance = _variance(problem, linear, draws, gates)
    gaps = (rao_blackwell(problem, pip, variance, gates=is_open) - pip).abs()
    return float(gaps.max()), int(gaps.argmax())


def _variance(
    problem: GaussianProblem, linear: LinearModel, draws: dict[str, Tensor], gates: Tensor
) -> float:
    """The noise variance to condition on: if it is unknown, that of the residuals at the mean weights."""
    noise = problem.noise_prior
    if noise is None:
        return problem.noise_variance
    mean = torch.zeros(problem.num_columns, dtype=torch.float64)
    for weight, columns in linear.weights.items():
        slabs = draws.get(f"{weight}.slab")
        if slabs is not None:
            own = columns.flatten()
            mean[own] = (gates[:, problem.groups[own]] * slabs.double().flatten(1).cpu()).mean(0)
    residual = problem.y - problem.offset - problem.x @ mean
    if problem.num_unpenalised:
        residual = (
            residual
            - problem.unpenalised @ torch.linalg.lstsq(problem.unpenalised, residual[:, None]).solution[:, 0]
        )
    square = float((problem.weights * residual.square()).sum())
    return (noise.rate + 0.5 * square) / (noise.shape + 0.5 * problem.num_observations)


@torch.no_grad()
def _disagreement(fit: Fit) -> float | None:
    finished = [run for run in fit.restarts if run.stopped in ("finished", "converged")]
    if len(finished) < 2:
        return None
    largest = 0.0
    for site in gate_laws(fit.guide):
        active = torch.stack([gate_laws(run.guide)[site].prob_active for run in finished])
        largest = max(largest, float((active.max(0).values - active.min(0).values).max()))
    return largest
