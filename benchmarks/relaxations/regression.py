"""Part a: regressions of twelve columns, whose posterior is known exactly."""

from __future__ import annotations

import functools
import time
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

import l0bayes
from benchmarks.relaxations.exact import (
    Exact,
    Factorised,
    Problem,
    coordinate_ascent,
    enumerate_models,
    mean_field_optima,
    strict_elbo,
)
from benchmarks.relaxations.settings import Candidate, RegressionSettings
from l0bayes.guides import gate_guide
from l0bayes.infer import DivergenceError

__all__ = [
    "DESIGNS",
    "describe_problem",
    "draw_problem",
    "hardened",
    "make_model",
    "reference",
    "run_regression",
]

DESIGNS = ("independent", "correlated")
"""Columns that are independent, and blocks of columns that say nearly the same."""

_POINTS = "points for coefficients: neither a bound nor a posterior of single columns"


def draw_problem(design: str, seed: int, settings: RegressionSettings) -> Problem:
    """Data drawn from the model.

    Args:
        design: One of :data:`DESIGNS`.
        seed: Seed of columns, coefficients and noise.
        settings: Sizes and priors.
    """
    generator = torch.Generator().manual_seed(1000 + seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x = normal(settings.rows, settings.columns)
    if design == "correlated":
        block = torch.arange(len(settings.blocks)).repeat_interleave(torch.tensor(settings.blocks))
        shared = normal(settings.rows, len(settings.blocks))[:, block]
        x = settings.correlation**0.5 * shared + (1.0 - settings.correlation) ** 0.5 * x
    gates = torch.rand(settings.columns, generator=generator, dtype=torch.float64) < settings.inclusion
    beta = settings.slab_scale * normal(settings.columns) * gates
    y = x @ beta + settings.noise * normal(settings.rows)
    # Rounded as the fits see them.
    return Problem(
        x.float().double(), y.float().double(), settings.inclusion, settings.slab_scale, settings.noise
    )


@functools.lru_cache(maxsize=2)
def reference(design: str, seed: int, settings: RegressionSettings) -> tuple[Problem, Exact, Factorised]:
    """A problem, its posterior and the factorised optima, computed once for all candidates."""
    problem = draw_problem(design, seed, settings)
    exact = enumerate_models(problem)
    return problem, exact, mean_field_optima(problem, exact, settings.starts, seed)


def make_model(problem: Problem) -> Any:
    """The regression as a Pyro model of columns and response."""
    columns = problem.x.shape[1]

    def model(x: Tensor, y: Tensor) -> None:
        slab = dist.Normal(x.new_zeros(()), problem.slab_scale).expand([columns]).to_event(1)
        beta = l0bayes.spike_and_slab("beta", problem.inclusion, slab)
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(x @ beta, problem.noise), obs=y)

    return model


def hardened(problem: Problem, guide: Any) -> Factorised:
    """The guide with binary gates of the same activity, and its strict ELBO in closed form.

    Args:
        problem: The problem.
        guide: A guide with Normal slabs.
    """
    with torch.no_grad():
        laws = guide.laws()
        active = laws["beta.gate"].activity_logits.double().sigmoid()
        slab = laws["beta.slab"].base
        loc, variance = slab.loc.double(), slab.scale.double().square()
    return Factorised(active, loc, variance, strict_elbo(problem, active, loc, variance))


def run_regression(
    candidate: Candidate, settings: RegressionSettings, seed: int, design: str
) -> dict[str, Any]:
    """Fit one candidate to one data set.

    Args:
        candidate: The candidate.
        settings: The settings of this part.
        seed: Seed of the data and of the fit.
        design: One of :data:`DESIGNS`.

    Returns:
        Figures by name; ``None`` where one makes no sense, with ``reason``.
    """
    problem, exact, optima = reference(design, seed, settings)
    options = dict(candidate.options)
    if options.get("estimator") == "rloo":
        options["num_evaluations"] = settings.evaluations
    if not candidate.tied:
        options["slab"] = "normal"
    model, data = make_model(problem), (problem.x.float(), problem.y.float())
    guide = gate_guide(model, data, gate_law=candidate.gate_law, **options)
    begun = time.process_time()
    try:
        fit = l0bayes.fit(
            model,
            guide,
            data,
            steps=settings.steps,
            lr=settings.lr,
            gate_lr=settings.gate_lr,
            seed=seed,
            compile=settings.compile,
            progress=False,
        )
    except DivergenceError as error:
        return {"diverged": str(error)}
    cpu = time.process_time() - begun
    with torch.no_grad():
        active = guide.gates()["beta.gate"].activity_logits.double().sigmoid()
    result: dict[str, Any] = {
        **_errors("exact", active, exact.pips),
        "undecided": float(((active > 0.05) & (active < 0.95)).double().mean()),
        "seconds": fit.seconds,
        "cpu_seconds": cpu,
        "pips": [round(value, 5) for value in active.tolist()],
    }
    missing = ("largest_error_optimum", "mean_error_optimum", "hardened_elbo", "optimum_gap", "evidence_gap")
    if candidate.tied:
        return {**result, **dict.fromkeys(missing), "reason": _POINTS}
    hard = hardened(problem, guide)
    own = coordinate_ascent(problem, hard.active[None], hard.loc[None], seed=seed)
    ends = torch.cat([optima.active, own.active])
    nearest = ends[(ends - active).square().sum(-1).argmin()]
    return {
        **result,
        **_errors("optimum", active, nearest),
        "hardened_elbo": float(hard.elbo),
        "optimum_gap": float(optima.elbo[0] - hard.elbo),
        "evidence_gap": exact.log_evidence - float(hard.elbo),
    }


def describe_problem(design: str, seed: int, settings: RegressionSettings) -> dict[str, Any]:
    """What is known of a data set: the exact answer, and what the best factorised law misses of it."""
    _, exact, optima = reference(design, seed, settings)
    return {
        "design": design,
        "seed": seed,
        "log_evidence": exact.log_evidence,
        "pips": [round(value, 5) for value in exact.pips.tolist()],
        "optima": len(optima.elbo),
        "optimum_elbo": float(optima.elbo[0]),
        "optimum_evidence_gap": exact.log_evidence - float(optima.elbo[0]),
        **{f"optimum_{key}": value for key, value in _errors("exact", optima.active[0], exact.pips).items()},
    }


def _errors(against: str, active: Tensor, truth: Tensor) -> dict[str, float]:
    error = (active - truth).abs()
    return {f"largest_error_{against}": float(error.max()), f"mean_error_{against}": float(error.mean())}
