r"""The verdict on any fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from l0bayes.infer.loop.fit_result import Fit, check_is_fit
from l0bayes.infer.loop.restart_agreement import pip_disagreement
from l0bayes.infer.model_arguments import ModelArguments
from l0bayes.infer.objectives.gate_parts import gate_laws
from l0bayes.infer.objectives.latent_draws import draw_latents
from l0bayes.infer.objectives.model_reading import ModelReading
from l0bayes.posterior.importance import importance_weighted
from l0bayes.selection.kernels.gaussian_expansion import ridge_problem
from l0bayes.selection.kernels.rao_blackwell import rao_blackwell
from l0bayes.selection.kernels.variational_verdict import judge_variational
from l0bayes.selection.problem.verdict import Trust
from l0bayes.selection.recognise.linear_model import NotLinearError, read_linear_model

__all__ = ["trust"]

# With fewer the weighted PIPs, and what is computed as their errors, say too little.
_FEWEST_EFFECTIVE = 20


def trust(
    fit: Fit,
    *,
    data: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    num_draws: int = 2000,
    seed: int = 0,
) -> Trust:
    r"""How far a fit's inclusion probabilities can be trusted, in words and numbers.

    Three signs of error are computed, as far as the fit allows. A good verdict takes one of the first two;
    where neither can be computed it is ``"unchecked"``, with the reasons why:

    * the *Rao-Blackwell residual*, where the gated weights enter through a linear predictor: by how much a
      PIP differs from the mean of its exact conditional given the other gates, these drawn from the guide,
      with coefficients and an unknown noise integrated out (a generalised linear model is expanded to second
      order first);
    * *Pareto k-hat* of the hardened guide's importance ratios, where slabs have a law; with it, by how much
      these weights move a PIP, and what share of the draws they leave effective;
    * the *disagreement of restarts*, where there were several.

    None of them proves a fit right: all start from the fit itself. For an answer that does not, see
    :func:`l0bayes.refine`.

    Args:
        fit: The result of :func:`l0bayes.fit`.
        data: The model's positional arguments, all data; default: what was fitted, which must then be a
            tuple.
        kwargs: Its keyword arguments; default: those of the fit.
        num_draws: Draws of the guide, for the residual and for k-hat.
        seed: Seed of all draws.

    Returns:
        The verdict. It is true if the PIPs may be used; ``warn()`` warns if not.

    Raises:
        ValueError: If the guide has no gates, or a plate holds a part of the data.
        TypeError: If ``data`` is no tuple, or ``fit`` no fit.
    """
    check_is_fit(fit)
    arguments = fit.arguments(data, kwargs)
    laws = gate_laws(fit.guide)
    if not laws:
        raise ValueError(f"fit must be of a guide with gates; {type(fit.guide).__name__} has none")
    reading = ModelReading.of(fit.model, fit.guide, arguments, fit.best.parameters)
    unchecked: list[str] = []
    with reading.open():
        residual, worst = _residual(fit, arguments, num_draws, seed, unchecked)
    k_hat, share, shift = _ratios(fit, arguments, num_draws, seed, unchecked)
    disagreement = pip_disagreement(fit.restarts)
    if disagreement is None:
        unchecked.append("There are no restarts to compare: fit with restarts=5.")
    return judge_variational(
        residual,
        k_hat=k_hat,
        effective_share=share,
        shift=shift,
        disagreement=disagreement,
        worst=worst,
        unchecked=tuple(unchecked),
    )


def _ratios(
    fit: Fit, data: ModelArguments, num_draws: int, seed: int, unchecked: list[str]
) -> tuple[float | None, float | None, float | None]:
    """By importance ratios of the hardened guide: k-hat, the effective share of the draws, and by how much
    they move a PIP for certain."""
    if fit.objective.has_points:
        unchecked.append("There are no importance ratios: slabs or other latents are points.")
        return None, None, None
    found = importance_weighted(fit, data=data, num_draws=num_draws, seed=seed)
    shift = None
    if found and found.ess >= _FEWEST_EFFECTIVE:
        moved = [
            (found.pip[site].flatten() - law.prob_active.detach().double().cpu().flatten()).abs()
            - 3.0 * found.pip_mcse[site].flatten()
            for site, law in gate_laws(fit.guide).items()
        ]
        shift = float(torch.cat(moved).max())
    return found.k_hat, found.ess / num_draws, shift


@torch.no_grad()
def _residual(
    fit: Fit, data: ModelArguments, num_draws: int, seed: int, unchecked: list[str]
) -> tuple[float | None, int | None]:
    try:
        linear = read_linear_model(fit.model, data, seed)
    except NotLinearError as error:
        unchecked.append(f"There are no exact conditionals to compare with: {error}.")
        return None, None
    if linear.pooled_scale is not None:
        scale = linear.pooled_scale.name
        unchecked.append(f"There are no exact conditionals to compare with: scale {scale!r} is a latent.")
        return None, None
    laws = gate_laws(fit.guide)
    if missing := [site for site in linear.gates if site not in laws]:
        unchecked.append(f"There are no exact conditionals to compare with: the guide lacks gates {missing}.")
        return None, None
    # Draws of the guide itself: its gates may depend on one another.
    draws = draw_latents(fit.guide, data, num_draws, seed)
    pip = torch.zeros(linear.problem.num_groups, dtype=torch.float64)
    is_open = torch.zeros(num_draws, linear.problem.num_groups, dtype=torch.float64)
    for site, groups in linear.gates.items():
        own, gates = groups.flatten(), draws[site].double().flatten(1).cpu()
        pip[own] = laws[site].prob_active.double().flatten().cpu()
        is_open[:, own] = (gates > laws[site].activity_threshold).double()
    problem = ridge_problem(linear.problem)
    gaps = (rao_blackwell(problem, pip, gates=is_open) - pip).abs()
    return float(gaps.max()), int(gaps.argmax())
