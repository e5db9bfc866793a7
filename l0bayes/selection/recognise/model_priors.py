r"""Priors of noise, slabs and gates in a Pyro model, as the engines take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor

from l0bayes.selection.problem.noise_prior import InverseGamma
from l0bayes.selection.recognise.fixed_laws import Reading, demand, differ, movers
from l0bayes.selection.recognise.latent_scales import LatentScale, read_latent_scale
from l0bayes.selection.recognise.model_runs import ModelRuns, NotLinearError, Run
from l0bayes.selection.recognise.response import Response

__all__ = ["REMEDY", "NoiseAndSlabs", "noise_and_slabs", "normal_reading"]

REMEDY = (
    'write variance = pyro.sample("variance", dist.InverseGamma(1.0, 1.0)), and variance.sqrt() as the scale'
)
"""How to write a noise that every engine takes."""

# Powers of a latent that a noise may be: a standard deviation, a variance, a precision, an inverse scale.
_POWERS = (-0.5, 1.0, 0.5, -1.0)


@dataclass(frozen=True)
class NoiseAndSlabs:
    """The scales of a regression.

    Attributes:
        unit: Scale of every row's noise in units of σ, float64, shape ``(n,)``; ones without a noise.
        noise: σ, or the prior of its square; 1 without a noise.
        slab_scale: Scale of every slab, float64, shape ``(p,)``.
        slabs_scaled: Whether that is in units of σ.
        latents: Latents that were read as the noise, one at most, with the power of each that σ is
            proportional to.
        latent_scale: The noise's latent where its prior is of another kind; the noise is at one value of it.
    """

    unit: Tensor
    noise: float | InverseGamma
    slab_scale: Tensor
    slabs_scaled: bool
    latents: dict[str, float]
    latent_scale: LatentScale | None = None


def normal_reading(site: str) -> Reading:
    """What a Normal latent's law is.

    Args:
        site: Its name.
    """

    def reading(run: Run) -> list[Tensor]:
        law, shape = run.law(site), run.nodes[site]["value"].shape
        scale = law.scale.expand(shape).double()
        return [law.loc.expand(shape).double() / scale, scale.log()]

    return reading


def noise_and_slabs(runs: ModelRuns, response: Response) -> NoiseAndSlabs:
    """Read scales of noise and slabs.

    Args:
        runs: Runs of the model.
        response: Its observed site.

    Raises:
        NotLinearError: If they depend on latents in a way that the engines do not support.
    """
    ones = torch.ones_like(response.y)
    if not response.kind.conjugate:
        return NoiseAndSlabs(ones, 1.0, _fixed_slabs(runs), False, {})
    what = f"noise of site {response.name!r}"

    def scale(run: Run) -> list[Tensor]:
        return [response.scale(run).log()]

    moving = movers(runs, scale)
    weights = [name for name in moving if name in (*runs.gates, *runs.slabs)]
    if weights:
        raise NotLinearError(
            f"the {what} depends on the weights: it moves with {runs.named(weights[:1])}; refinement takes "
            "one that is the same in all models"
        )
    if len(moving) > 1:
        raise NotLinearError(f"the {what} depends on several latents, {moving}")
    there = response.scale(runs.base)
    if not moving:
        demand(runs, what, scale)
        sigma = float(there[0])
        return NoiseAndSlabs(there / sigma, sigma, _fixed_slabs(runs), False, {})
    name = moving[0]
    law, size = runs.base.law(name), runs.base.values[name].numel()
    known = isinstance(law, dist.InverseGamma) or type(law) is dist.Gamma
    powers = (0.5,) if isinstance(law, dist.InverseGamma) else _POWERS
    power = next((one for one in powers if size == 1 and _follows(runs, scale, name, one)), None)
    if power is None or not (known or _is_positive(law)):
        raise NotLinearError(
            f"the noise latent {name!r} has the prior {type(law).__name__}, and the noise of site "
            f"{response.name!r} is not one that goes with it; refinement takes a known noise, or one that is "
            f"proportional to a positive latent of one number, its root or its inverse: {REMEDY}"
        )

    def log_sigma(run: Run) -> Tensor:
        return power * run.values[name].double().log().sum()

    def wanted(run: Run) -> list[Tensor]:
        return [scale(runs.base)[0] + log_sigma(run) - log_sigma(runs.base)]

    demand(runs, what, scale, wanted, name)
    slab_scale, scaled = _slabs_beside(runs, name, log_sigma)
    if not known or (type(law) is dist.Gamma and power != -0.5):
        latent = read_latent_scale(runs, name, power=power)
        sigma = float(log_sigma(runs.base).exp())
        return NoiseAndSlabs(there / sigma, sigma, slab_scale, scaled, {}, latent)
    demand(
        runs,
        f"prior of the noise latent {name!r}",
        lambda run: [run.law(name).concentration.double().log(), run.law(name).rate.double().log()],
    )
    noise = InverseGamma(float(law.concentration), float(law.rate))
    return NoiseAndSlabs(there / log_sigma(runs.base).exp(), noise, slab_scale, scaled, {name: power})


def _follows(runs: ModelRuns, reading: Reading, name: str, power: float) -> bool:
    """Whether the log of a scale moves with the log of a latent, by a power of it."""
    start = runs.base.values[name].double().log().sum()

    def wanted(run: Run) -> list[Tensor]:
        return [reading(runs.base)[0] + power * (run.values[name].double().log().sum() - start)]

    return not any(differ(reading(run), wanted(run)) for run in runs.single[name])


def _is_positive(law: Any) -> bool:
    low = getattr(law.support, "lower_bound", None)
    return low is not None and float(torch.as_tensor(low).min()) >= 0.0 and not law.has_enumerate_support


def _fixed_slabs(runs: ModelRuns) -> Tensor:
    for name in runs.slabs:
        _check_centred(runs, name)
        demand(runs, f"slab scale of site {name!r}", normal_reading(name))
    return torch.cat([_log_scale(name, runs.base).exp() for name in runs.slabs])


def _slabs_beside(runs: ModelRuns, noise: str, log_sigma: Any) -> tuple[Tensor, bool]:
    """Scales of all slabs, and whether they are in units of the noise."""
    scales, scaled = [], set()
    for name in runs.slabs:
        _check_centred(runs, name)
        there = _log_scale(name, runs.base)

        def scale(run: Run, name: str = name) -> list[Tensor]:
            return [_log_scale(name, run)]

        def wanted(run: Run, there: Tensor = there) -> list[Tensor]:
            return [there + log_sigma(run) - log_sigma(runs.base)]

        moved = noise in movers(runs, scale)
        if moved and any(differ(scale(run), wanted(run)) for run in runs.single[noise]):
            raise NotLinearError(
                f"the slab scale of {runs.links[name].weight!r} depends on the noise {noise!r}, but is "
                "not proportional to its σ"
            )
        what = f"slab scale of site {name!r}"
        demand(runs, what, scale, wanted if moved else None, noise if moved else None)
        scaled.add(moved)
        scales.append((there - (log_sigma(runs.base) if moved else 0.0)).exp())
    if len(scaled) > 1:
        raise NotLinearError("the noise scales some slabs and not others")
    return torch.cat(scales), scaled == {True}


def _log_scale(slab: str, run: Run) -> Tensor:
    scale: Tensor = run.law(slab).scale.expand(run.nodes[slab]["value"].shape).flatten().double()
    return scale.log()


def _check_centred(runs: ModelRuns, slab: str) -> None:
    everywhere = [run for runs_of in runs.single.values() for run in runs_of]
    if any(bool((run.law(slab).loc != 0).any()) for run in (runs.base, *runs.joint, *everywhere)):
        raise NotLinearError(
            f"the slab of {runs.links[slab].weight!r} has a prior mean that is not 0; refinement takes "
            "Normal slabs around 0"
        )
