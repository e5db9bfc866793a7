r"""Latents beside the gates whose prior has a mean and a scale that are latents too: partial pooling.

.. math:: \alpha = c + A h + \tau k \odot \varepsilon, \qquad \varepsilon \sim N(0, I),\; h \sim N(m, s^2)

In place of α the regression has ε and h, which are independent: the columns of h are those of α times A.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.selection.recognise.fixed_laws import demand, differ, movers
from l0bayes.selection.recognise.latent_scales import LatentScale, read_latent_scale
from l0bayes.selection.recognise.linear_predictor import LinearPredictor
from l0bayes.selection.recognise.model_runs import ModelRuns, NotLinearError, Run

__all__ = ["PooledMean", "UngatedLatents", "ungated_latents"]


@dataclass(frozen=True)
class PooledMean:
    """How the prior mean of a latent follows from others.

    Attributes:
        slopes: A, a row for each entry and a column for each of the other's, by name of the other latent.
    """

    slopes: dict[str, Tensor]


@dataclass(frozen=True)
class UngatedLatents:
    """The ungated latents of a regression as independent Normal columns.

    Attributes:
        names: Their names, in order.
        design: Their columns, shape ``(n, k)``.
        mean: Prior mean of each column, which belongs to the offset, shape ``(k,)``.
        scale: Prior standard deviation of each, shape ``(k,)``.
        means: Latents whose mean follows from others.
        tau: The latent that scales some of them, if one does.
    """

    names: list[str]
    design: Tensor
    mean: Tensor
    scale: Tensor
    means: dict[str, PooledMean]
    tau: LatentScale | None


def ungated_latents(runs: ModelRuns, predictor: LinearPredictor, normal: list[str]) -> UngatedLatents:
    """Read the prior of the Normal latents that enter the predictor, directly or by the mean of others.

    Args:
        runs: Runs of the model.
        predictor: The predictor.
        normal: Normal latents beside the slabs.

    Raises:
        NotLinearError: If a prior depends on latents in another way.
    """
    direct = [name for name in normal if bool((predictor.design[:, predictor.columns[name]] != 0).any())]
    means: dict[str, PooledMean] = {}
    names, scaled_by = list(direct), {}
    for name in names:  # which grows
        hyper = movers(runs, lambda run, name=name: [_loc(run, name)])  # type: ignore[misc]
        if wrong := [other for other in hyper if other not in normal]:
            raise NotLinearError(
                f"the prior of the ungated latent {name!r} depends on {runs.named(wrong[:1])}, which has no "
                "refinement"
            )
        if hyper:
            means[name] = _slopes(runs, name, hyper)
            names += [other for other in hyper if other not in names]
        scaled_by[name] = _scaled_by(runs, name)
    taus = sorted({tau for tau in scaled_by.values() if tau is not None})
    if len(taus) > 1:
        raise NotLinearError(f"latents are scaled by {taus}; refinement takes one scale that is a latent")
    columns = {name: predictor.design[:, predictor.columns[name].flatten()] for name in names}
    for name in names:  # those that follow from others come before them
        for other, slope in means[name].slopes.items() if name in means else ():
            columns[other] = columns[other] + columns[name] @ slope.to(columns[name])
    base = runs.base
    sizes = [base.values[name].numel() for name in names]
    starts = {name: means[name] for name in means}
    locs = [_loc(base, name).flatten() - _moved(base, starts.get(name), name) for name in names]
    scales = [_scale(base, name).flatten() for name in names]
    tau = None
    if taus:
        which = [
            torch.full((size,), scaled_by[name] is not None) for name, size in zip(names, sizes, strict=True)
        ]
        tau = read_latent_scale(runs, taus[0], torch.cat(which))
    empty = predictor.design.new_empty(len(predictor.design), 0)
    return UngatedLatents(
        names,
        torch.cat([empty, *(columns[name] for name in names)], 1),
        torch.cat([empty.new_empty(0), *locs]),
        torch.cat([empty.new_empty(0), *scales]),
        means,
        tau,
    )


def _loc(run: Run, name: str) -> Tensor:
    shape = run.nodes[name]["value"].shape
    found: Tensor = run.law(name).loc.expand(shape).double()
    return found


def _scale(run: Run, name: str) -> Tensor:
    shape = run.nodes[name]["value"].shape
    found: Tensor = run.law(name).scale.expand(shape).double()
    return found


def _moved(run: Run, mean: PooledMean | None, name: str) -> Tensor:
    """A h at a run, flat."""
    total = torch.zeros(run.values[name].numel(), dtype=torch.float64)
    for other, slope in mean.slopes.items() if mean is not None else ():
        total = total + slope @ run.values[other].double().flatten()
    return total


def _slopes(runs: ModelRuns, name: str, hyper: list[str]) -> PooledMean:
    there = _loc(runs.base, name).flatten()
    slopes = {}
    for other in hyper:
        value = runs.base.values[other]
        steps = torch.eye(value.numel(), dtype=value.dtype).reshape(-1, *value.shape)
        rows = [_loc(runs.at(**{other: value + step}), name).flatten() - there for step in steps]
        slopes[other] = torch.stack(rows, -1)
    found = PooledMean(slopes)
    start = there - _moved(runs.base, found, name)
    size = float(_scale(runs.base, name).min())
    everywhere = [*runs.joint, *(run for other in hyper for run in runs.single[other])]
    for run in everywhere:
        expected = start + _moved(run, found, name)
        room = 1.0 + expected.abs() / size
        if differ([_loc(run, name).flatten() / size / room], [expected / size / room]):
            raise NotLinearError(
                f"the prior mean of the ungated latent {name!r} is not linear in the latents {hyper}"
            )
    return found


def _scaled_by(runs: ModelRuns, name: str) -> str | None:
    def log_scale(run: Run) -> list[Tensor]:
        return [_scale(run, name).log()]

    what, moving = f"prior of the ungated latent {name!r}", movers(runs, log_scale)
    if not moving:
        demand(runs, what, log_scale)
        return None
    tau = moving[0]
    known = len(moving) == 1 and tau in runs.others and runs.base.values[tau].numel() == 1

    def wanted(run: Run) -> list[Tensor]:
        ratio = run.values[tau].double().log().sum() - runs.base.values[tau].double().log().sum()
        return [log_scale(runs.base)[0] + ratio]

    if not known or any(differ(log_scale(run), wanted(run)) for run in runs.single[tau]):
        raise NotLinearError(
            f"the {what} depends on {runs.named(moving[:1])}; refinement takes a scale that is fixed, or "
            "proportional to one latent of one entry"
        )
    demand(runs, what, log_scale, wanted, tau)
    return tau
