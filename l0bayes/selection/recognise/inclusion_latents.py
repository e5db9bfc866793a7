r"""The prior of the gates of a Pyro model: fixed, or through latents of prior Beta."""

from __future__ import annotations

from dataclasses import dataclass

import pyro.distributions as dist
import torch
from torch import Tensor

from l0bayes.selection.problem.inclusion_prior import BetaBlocks, InclusionPrior
from l0bayes.selection.recognise.fixed_laws import demand, movers
from l0bayes.selection.recognise.model_runs import ModelRuns, NotLinearError, Run
from l0bayes.sites import inner_law

__all__ = ["InclusionLatent", "inclusion_prior"]

_TAKES = (
    "refinement takes fixed ones, and latents of prior Beta, each the inclusion probability of some gates "
    "as it is"
)


@dataclass(frozen=True)
class InclusionLatent:
    """A latent that is the inclusion probability of gates.

    Attributes:
        block: The block of gates of every entry, -1 for an entry without gates, in the latent's shape.
        a: First parameter of its Beta prior, of the same shape.
        b: Second one.
    """

    block: Tensor
    a: Tensor
    b: Tensor


def inclusion_prior(runs: ModelRuns) -> tuple[InclusionPrior, dict[str, InclusionLatent]]:
    """Read the prior of the gates.

    Args:
        runs: Runs of the model.

    Returns:
        The prior, and its latents by name.

    Raises:
        NotLinearError: If it depends on gates, weights or latents in another way than through latents of
            prior Beta, each of which is the inclusion probability of some gates.
    """

    def log_odds(run: Run) -> list[Tensor]:
        return [
            run.law(name).inclusion_logits.expand(runs.base.values[name].shape).flatten().double()
            for name in runs.gates
        ]

    moving = movers(runs, log_odds)
    if not moving:
        demand(runs, "inclusion probability", log_odds)
        return InclusionPrior(log_odds=torch.cat(log_odds(runs.base))), {}
    weights = [name for name in moving if name in (*runs.gates, *runs.slabs)]
    if weights:
        raise NotLinearError(f"the inclusion probability depends on {runs.named(weights[:1])}; {_TAKES}")
    laws = {name: inner_law(runs.base.law(name)) for name in moving}
    everywhere = [runs.base, *runs.joint, *(run for name in moving for run in runs.single[name])]
    gates = torch.stack([torch.cat(log_odds(run)) for run in everywhere])
    known = all(isinstance(law, dist.Beta) for law in laws.values())
    if known:
        latents = torch.stack(
            [
                torch.cat([torch.logit(run.values[name].double()).flatten() for name in moving])
                for run in everywhere
            ]
        )
        same = ((gates[:, :, None] - latents[:, None, :]).abs() <= 1e-5).all(0)
        fixed = ((gates - gates[:1]).abs() <= 1e-5).all(0)
        known = bool((same.any(1) | fixed).all())
    if not known:
        raise NotLinearError(f"the inclusion probability depends on the latents {moving}; {_TAKES}")
    for name in moving:

        def concentrations(run: Run, name: str = name) -> list[Tensor]:
            here, shape = inner_law(run.law(name)), runs.base.values[name].shape
            return [one.expand(shape).double().log() for one in (here.concentration1, here.concentration0)]

        demand(runs, f"prior of the inclusion {name!r}", concentrations)
    return _blocks(runs, moving, laws, same, fixed, gates[0])


def _blocks(
    runs: ModelRuns, moving: list[str], laws: dict[str, dist.Beta], same: Tensor, fixed: Tensor, odds: Tensor
) -> tuple[InclusionPrior, dict[str, InclusionLatent]]:
    """Gates with one latent in a block each; one that is fixed in a block of its own, of the same mean."""
    shapes = {name: runs.base.values[name].shape for name in moving}
    a, b = (
        torch.cat(
            [getattr(laws[n], f"concentration{one}").expand(shapes[n]).double().flatten() for n in moving]
        )
        for one in (1, 0)
    )
    of_latent = same.double().argmax(1)
    used = sorted(set(of_latent[~fixed].tolist()))
    place = torch.full((len(a),), -1)
    place[used] = torch.arange(len(used))
    index, extra = place[of_latent], torch.nonzero(fixed).flatten()
    index[extra] = len(used) + torch.arange(len(extra))
    blocks, start = {}, 0
    for name in moving:
        size = shapes[name].numel()
        part = slice(start, start + size)
        blocks[name] = InclusionLatent(*(one[part].reshape(shapes[name]) for one in (place, a, b)))
        start += size
    if len(used) == 1 and not len(extra):
        return InclusionPrior(beta=(float(a[used[0]]), float(b[used[0]]))), blocks
    both = [torch.cat([one[used], torch.sigmoid(sign * odds[extra])]) for one, sign in ((a, 1.0), (b, -1.0))]
    return InclusionPrior(blocks=BetaBlocks(index, *both)), blocks
