r"""A guide's draws reweighted to the posterior, and how far that can be trusted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from l0bayes.infer.guide_abilities import GuideAbilities
from l0bayes.infer.loop.fit_result import Fit
from l0bayes.infer.objectives.gate_parts import gate_laws
from l0bayes.infer.objectives.masked_latents import check_masked_latents
from l0bayes.infer.objectives.model_reading import ModelReading
from l0bayes.posterior.model_sites import ModelSites
from l0bayes.posterior.pareto import LARGEST_K_HAT, ratios_are_usable, smoothed_log_weights
from l0bayes.posterior.sampling import draw_posterior
from l0bayes.sites import latent_sites

__all__ = ["ImportanceWeighted", "importance_weighted"]


@dataclass(frozen=True, repr=False)
class ImportanceWeighted:
    r"""Averages over a guide's draws, each weighted by :math:`p(D, z, \theta) / q(z, \theta)`.

    Attributes:
        pip: Posterior inclusion probability of every gate, by gate site.
        pip_mcse: Its Monte Carlo standard error, by gate site.
        mean: Posterior mean of every effective weight, zeros included, by its site.
        log_evidence: Estimate of the log evidence in nats, the log of the mean ratio.
        k_hat: Pareto k-hat of the ratios; up to 0.7 the averages are usable, and beyond where nearly all
            draws are effective (:func:`~l0bayes.posterior.pareto.ratios_are_usable`); minus infinity where
            the ratios take few values.
        ess: Effective sample size, :math:`1 / \sum w^2`.
        log_weights: Logarithms of the smoothed weights, which sum to 1, one a draw.
        gates: The draws of the gates, zeros and ones, by gate site.
    """

    pip: dict[str, Tensor]
    pip_mcse: dict[str, Tensor]
    mean: dict[str, Tensor]
    log_evidence: float
    k_hat: float
    ess: float
    log_weights: Tensor
    gates: dict[str, Tensor]

    def __bool__(self) -> bool:
        """Whether the averages may be used."""
        return ratios_are_usable(self.k_hat, self.ess / len(self.log_weights))

    def __str__(self) -> str:
        drawn = f"effective draws {self.ess:.0f} of {len(self.log_weights)}"
        if not self:
            return (
                f"k-hat {self.k_hat:.2f}, {drawn}; not to be used: the guide misses a part of the posterior"
            )
        if self.k_hat == -math.inf:
            return f"{drawn}; usable: the ratios take few values and have no tail"
        if self.k_hat > LARGEST_K_HAT:
            tail = f"so that their tail (k-hat {self.k_hat:.2f}) is noise"
            return f"{drawn}; usable: the ratios hardly vary, {tail}"
        return f"k-hat {self.k_hat:.2f}, {drawn}; usable"

    def __repr__(self) -> str:
        sites = ", ".join(f"{name} {tuple(value.shape)}" for name, value in self.pip.items())
        return f"ImportanceWeighted({self}; log evidence {self.log_evidence:.2f}; gates {sites})"


def importance_weighted(
    fit: Fit | Callable[..., Any],
    guide: Any = None,
    data: Any = None,
    *,
    kwargs: Mapping[str, Any] | None = None,
    num_draws: int = 4000,
    seed: int = 0,
    chunk_size: int | None = 1000,
) -> ImportanceWeighted:
    r"""Take the error of a guide's family out of its inclusion probabilities, as far as its draws reach.

    .. math:: w_s \propto \frac{p(D, z_s, \theta_s)}{q(z_s, \theta_s)}, \qquad
        P(z_j = 1 \mid D) \approx \sum_s w_s z_{sj}

    for draws of the hardened guide under strict priors, with slabs behind shut gates left out of both
    densities. The largest weights are smoothed by a Pareto law (Vehtari et al., arXiv 1507.02646), whose
    shape k-hat measures whether the guide covers the posterior. Mean-field guides on correlated columns
    seldom do; those of :class:`~l0bayes.guides.AutoJointGates` mostly.

    Args:
        fit: What :func:`l0bayes.fit` returned: its best run is taken; or a Pyro model.
        guide: The trained guide, with a model.
        data: The model's positional arguments, all data; default: what was fitted, which must then be a
            tuple.
        kwargs: Its keyword arguments; default: those of the fit.
        num_draws: Number of draws.
        seed: Seed of the draws.
        chunk_size: Draws computed at a time, to bound memory; ``None`` for all.

    Returns:
        The weighted averages.

    Raises:
        ValueError: If slabs or other latents are points, which have no density to divide by, ``guide`` and
            ``data`` are not given as described, a plate holds a part of the data, or the model masks a latent
            whose value it uses.
        TypeError: If ``data`` is no tuple.

    Example::

        better = importance_weighted(l0bayes.fit(model, AutoJointGates(model, (x, y)), (x, y)))
    """
    if not isinstance(fit, Fit):
        if guide is None or data is None:
            raise ValueError("give a fit, or a model with guide= and data=")
        fit = Fit.of(fit, guide, data, kwargs)
    elif guide is not None:
        raise ValueError("a fit has its guide; guide goes with a model")
    arguments = fit.arguments(data, kwargs)
    if fit.objective.has_points:
        raise ValueError(
            "the guide's slabs or other latents are points, which cannot be reweighted (an "
            "AutoLaplaceApproximation is one until its laplace_approximation() is taken)"
        )
    harden = GuideAbilities(fit.guide).harden
    guide = fit.guide if harden is None else harden()
    reading = ModelReading.of(fit.model, guide, arguments, fit.best.parameters)
    model_trace, guide_trace = reading.traces()
    _check_masks(reading, model_trace.nodes, guide_trace.nodes)
    weights = ModelSites.of(model_trace).weights
    sites = [*gate_laws(guide)]
    keep = {*sites, *weights}
    draws = draw_posterior(
        reading, num_draws=num_draws, seed=seed, keep=keep, chunk_size=chunk_size, data=False
    )
    ratios = (draws.log_p.double() - draws.log_q.double()).cpu()
    log_weights, k_hat = smoothed_log_weights(ratios)
    weight = log_weights.exp()

    def average(values: Tensor) -> Tensor:
        total: Tensor = weight @ values.double().cpu().reshape(len(values), -1)
        return total.reshape(values.shape[1:])

    gates = {name: draws.latent[name].double().cpu() for name in sites}
    pip = {name: average(values) for name, values in gates.items()}
    squared = weight.square()
    return ImportanceWeighted(
        pip=pip,
        pip_mcse={
            name: (squared @ (values - pip[name]).square().reshape(len(values), -1))
            .sqrt()
            .reshape(pip[name].shape)
            for name, values in gates.items()
        },
        mean={name: average(draws.weight[name]) for name in weights},
        log_evidence=float(torch.logsumexp(ratios, 0)) - math.log(num_draws),
        k_hat=k_hat,
        ess=float(1.0 / squared.sum()),
        log_weights=log_weights,
        gates=gates,
    )


def _check_masks(reading: ModelReading, model: dict[str, Any], guide: dict[str, Any]) -> None:
    values = {name: site["value"] for name, site in latent_sites(model).items() if name in guide}
    with reading.open():
        check_masked_latents(model, guide, lambda changed: reading.model_at({**values, **changed}).nodes)
