r"""Finding the linear predictor, and what surrounds it, in a Pyro model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from l0bayes.distributions import GatePrior
from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.infer.model_arguments import ModelArguments
from l0bayes.infer.objectives.reading_mode import reading_mode
from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.recognise.fixed_laws import demand
from l0bayes.selection.recognise.inclusion_latents import InclusionLatent, inclusion_prior
from l0bayes.selection.recognise.latent_scales import LatentScale
from l0bayes.selection.recognise.linear_predictor import find_predictor
from l0bayes.selection.recognise.model_priors import REMEDY, noise_and_slabs
from l0bayes.selection.recognise.model_runs import ModelRuns, NotLinearError, Run
from l0bayes.selection.recognise.pooled_latents import PooledMean, ungated_latents
from l0bayes.selection.recognise.response import Response

__all__ = ["LinearModel", "NotLinearError", "read_linear_model"]


@dataclass(frozen=True)
class LinearModel:
    """A Pyro model as a problem, with the way back to its sites.

    Attributes:
        problem: The problem. Rows that the model masks are left out.
        weights: Name of every effective weight, with its columns of the problem in the shape of its site.
        gates: Name of every gate site, with its groups of the problem in the shape of the site.
        unpenalised: Name of every ungated site in the predictor, with its columns of ``problem.unpenalised``.
        unpenalised_mean: Prior mean of those columns, which the problem's offset holds, shape ``(k,)``.
        slabs: Name of the slab site by that of its weight.
        noise: Name of the noise latent, with the power of it that the problem's noise scale is.
        inclusion: Latents of the gates' prior by name.
        pooled_means: Ungated latents whose prior mean follows from others; their columns hold what is left.
        pooled_scale: A latent that scales ungated columns or the noise; the problem is at one value of it.
    """

    problem: SelectionProblem
    weights: dict[str, Tensor]
    gates: dict[str, Tensor]
    unpenalised: dict[str, Tensor]
    unpenalised_mean: Tensor
    slabs: dict[str, str] = field(default_factory=dict)
    noise: dict[str, float] = field(default_factory=dict)
    inclusion: dict[str, InclusionLatent] = field(default_factory=dict)
    pooled_means: dict[str, PooledMean] = field(default_factory=dict)
    pooled_scale: LatentScale | None = None


@torch.no_grad()
def read_linear_model(
    model: Callable[..., Any], data: tuple[Any, ...] | ModelArguments, seed: int = 0
) -> LinearModel:
    r"""Run a Pyro model at several points, and recover the regression that it is.

    .. math:: \eta = o + U\alpha + X(z \odot \theta)

    X and U are the derivatives of the likelihood's predictor in slabs and ungated Normal latents. At points
    drawn from the prior it is checked that the predictor is linear in them and depends on nothing else, and
    that no prior depends on gates, weights or other latents, except in the ways that the engines support.
    Parameters made by ``pyro.param`` have their values in the store, and plates that draw a part of their
    rows have all of them.

    Args:
        model: The model.
        data: Its arguments, positional or all: all data.
        seed: Seed of the points.

    Raises:
        NotLinearError: If the predictor is not linear, or likelihood, slab prior, gate prior or noise prior
            are not among those that the engines support.
    """
    quiet = pyro.validation_enabled(False)  # which would branch on values
    with quiet, private_randomness(seed), reading_mode(model), evaluating(model):
        return _read(ModelRuns(model, ModelArguments.of(data)))


def _read(runs: ModelRuns) -> LinearModel:
    response = Response(runs)
    _check_kinds(runs)
    groups, gates = _groups(runs)
    weights = response.weights(runs.base)
    if response.kind.conjugate and not torch.allclose(weights, torch.ones_like(weights), atol=0.0):
        raise NotLinearError(
            f"the log likelihood of site {response.name!r} is scaled; give weights of rows by the "
            "Normal's scale, σ/√w"
        )
    _check_response(runs, response)
    normal = [name for name in runs.others if isinstance(runs.base.law(name), dist.Normal)]
    predictor = find_predictor(runs, response, normal)
    ungated = ungated_latents(runs, predictor, normal)
    noise = noise_and_slabs(runs, response)
    scale = noise.latent_scale if ungated.tau is None else ungated.tau
    if noise.latent_scale is not None and ungated.tau is not None:
        raise NotLinearError(
            f"the noise latent {noise.latent_scale.name!r} has a prior that is averaged over by quadrature, "
            f"and so has {ungated.tau.name!r}; refinement takes one such scale: {REMEDY}"
        )
    scales = [] if scale is None else [scale.name]
    prior, inclusion = inclusion_prior(runs)
    _check_untouched(runs, [*runs.gates, *runs.slabs, *ungated.names, *scales, *noise.latents, *inclusion])
    u, mean = ungated.design, ungated.mean.to(ungated.design.device)
    settings: dict[str, Any] = {
        "x": predictor.design[:, _joined([predictor.columns[name] for name in runs.slabs], torch.long)],
        "y": response.y,
        "prior": prior,
        "slab_scale": noise.slab_scale,
        "groups": groups,
        "unpenalised": u,
        "unpenalised_scale": ungated.scale.to(u.device),
        "offset": predictor.offset + u @ mean,
        "weights": noise.unit.square().reciprocal() if response.kind.conjugate else weights,
    }
    problem: SelectionProblem
    if response.kind.conjugate:
        problem = GaussianProblem(**settings, noise=noise.noise, slab_scaled_by_noise=noise.slabs_scaled)
    else:
        problem = GeneralisedProblem(**settings, likelihood=response.likelihood)
    columns = {runs.links[name].weight: predictor.columns[name] for name in runs.slabs}
    where, start = {}, 0
    for name in ungated.names:
        size = predictor.columns[name].numel()
        where[name] = torch.arange(start, start + size).reshape(predictor.columns[name].shape)
        start += size
    slabs = {runs.links[name].weight: name for name in runs.slabs}
    return LinearModel(
        problem, columns, gates, where, mean, slabs, noise.latents, inclusion, ungated.means, scale
    )


def _check_kinds(runs: ModelRuns) -> None:
    for name in runs.slabs:
        law = runs.base.law(name)
        if not isinstance(law, dist.Normal):
            raise NotLinearError(
                f"the slab of {runs.links[name].weight!r} has the prior {type(law).__name__}; refinement "
                "takes Normal slabs"
            )
    for name in runs.gates:
        law = runs.base.law(name)
        if not isinstance(law, GatePrior):
            raise NotLinearError(
                f"gate site {name!r} has the prior {type(law).__name__}; refinement takes Gate and L0Penalty"
            )


def _check_response(runs: ModelRuns, response: Response) -> None:
    """Mask, weights of rows and the law's other parameters are the same whatever the latents are."""
    site = f"site {response.name!r}"
    demand(runs, f"mask of {site}", lambda run: [response.kept(run).double()])
    demand(runs, f"scale of the log likelihood of {site}", lambda run: [response.weights(run).log()])
    for what in response.parameters(runs.base):
        demand(runs, f"{what} of {site}", partial(_log_parameter, response, what))
    if response.kind.has_noise and not response.kind.conjugate:
        demand(runs, f"noise of {site}", lambda run: [response.scale(run).log()])


def _log_parameter(response: Response, what: str, run: Run) -> list[Tensor]:
    return [response.parameters(run)[what].log()]


def _check_untouched(runs: ModelRuns, latents: list[str]) -> None:
    """No handler, and no ``mask`` of a law, changes a prior."""
    for name in latents:
        for run in (runs.base, *runs.joint):
            scaled = bool((torch.as_tensor(run.nodes[name]["scale"]) != 1).any())
            masked = not all(bool(torch.as_tensor(mask).all()) for mask, _ in run.masks(name))
            if scaled or masked:
                raise NotLinearError(
                    f"the log prior of {runs.named([name])} is {'masked' if masked else 'scaled'}; "
                    "refinement takes priors as they are: keep poutine.mask and poutine.scale to the "
                    "observed site"
                )


def _groups(runs: ModelRuns) -> tuple[Tensor, dict[str, Tensor]]:
    """The group of every gated column, and the groups of every gate site in its shape."""
    index, start = {}, 0
    for name in runs.gates:
        shape = runs.base.values[name].shape
        index[name] = torch.arange(start, start + shape.numel()).reshape(shape)
        start += shape.numel()
    parts = []
    for name in runs.slabs:
        record = runs.links[name]
        if len(record.gates) != 1 or record.gates[0].partial:
            raise NotLinearError(
                f"{record.weight!r} is multiplied by {len(record.gates)} gates; refinement takes "
                "weights with one gate each"
            )
        link = record.gates[0]
        parts.append(link.spread(index[link.site]).expand(runs.base.values[name].shape).flatten())
    groups = torch.cat(parts)
    if len(torch.unique(groups)) < start:
        raise NotLinearError("some gates multiply no weight of the predictor")
    return groups, index


def _joined(parts: list[Tensor], dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.cat([part.flatten() for part in parts]) if parts else torch.empty(0, dtype=dtype)
