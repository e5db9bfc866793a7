r"""The columns of a predictor, and the check that it is linear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.selection.recognise.model_runs import ModelRuns, NotLinearError, Run
from l0bayes.selection.recognise.response import Response

__all__ = ["LinearPredictor", "find_predictor"]

_CHUNK = 256
_ROUNDINGS = 16.0


@dataclass(frozen=True)
class LinearPredictor:
    """A predictor that passed the checks of linearity.

    Attributes:
        offset: Its value where all weights are 0, float64, shape ``(n,)``.
        design: Its derivatives, float64, shape ``(n, q)``.
        columns: Columns of ``design`` of each latent, in the latent's shape.
    """

    offset: Tensor
    design: Tensor
    columns: dict[str, Tensor]


def find_predictor(runs: ModelRuns, response: Response, normal: list[str]) -> LinearPredictor:
    r"""Differentiate a predictor in slabs and Normal latents, and check that it is linear in them.

    .. math:: \eta = o + J\,(z \odot \theta,\; \alpha)

    At each of the joint points of ``runs`` two things are compared with the linear formula: the value of each
    row, as a difference from o, on the scale of its terms; and a random combination of the derivative's
    rows, column by column, on the scale of the column, so that neither a large offset nor another large
    column hides a difference. Differences that are negligible beside the noise pass. Each of the other
    latents, changed alone, must leave the predictor as it is, to the last digits.

    Args:
        runs: Runs of the model.
        response: Its observed site.
        normal: Latents beside the slabs that the predictor may be linear in.

    Raises:
        NotLinearError: If it is not.
    """
    return _Differentiation(runs, response, normal).read()


class _Differentiation:
    def __init__(self, runs: ModelRuns, response: Response, normal: list[str]) -> None:
        self.runs, self.response, self.normal = runs, response, normal
        self.names = [*runs.slabs, *normal]
        self.shapes = [runs.base.values[name].shape for name in self.names]
        self.sizes = [shape.numel() for shape in self.shapes]

    def read(self) -> LinearPredictor:
        self._check_others()
        base = self.runs.base.values
        zero = torch.zeros_like(self._vector(base))
        function = self._function(base)
        offset = function(zero)
        precision = self.response.precision
        if bool((precision.recoverable(offset).abs() >= precision.limit).any()):
            raise NotLinearError(
                f"the law of site {self.response.name!r} is at an end of its range where all weights are 0"
                + self._hint()
            )
        steps = torch.cat([self._step(name) for name in self.names])
        design, exact = _jacobian(function, zero, len(offset), steps)
        self.offset, self.design = offset.double(), design.double()
        self.size, self.steps = self.design.abs(), steps.double()
        self.relative = 3.0 * precision.relative**0.5
        # Differences this small beside the noise, or on the scale of logits and log rates, do no harm.
        has_noise = self.response.kind.has_noise
        noise = self.response.scale(self.runs.base) if has_noise else torch.ones_like(self.offset)
        self.nothing = self.relative * noise
        # Rounding errors of differences, in units of one step.
        self.lost = None if exact else _ROUNDINGS * precision.relative * self.offset.abs().max() / steps
        for run in self.runs.joint:
            if not (self._value_fits(run) and self._derivative_fits(run)):
                weights = [self.runs.links[name].weight for name in self.runs.slabs]
                raise NotLinearError(
                    f"the predictor of site {self.response.name!r} is not linear in the gated weights "
                    f"{weights} and the Normal latents {self.normal}, or gates enter it other than by "
                    "multiplying slabs" + self._hint()
                )
        columns = zip(self.names, torch.arange(len(zero)).split(self.sizes), self.shapes, strict=True)
        return LinearPredictor(
            self.offset, self.design, {name: part.reshape(shape) for name, part, shape in columns}
        )

    def _function(self, values: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
        """The predictor in one vector of all weights, with gates and other latents as given."""

        def predictor(vector: Tensor) -> Tensor:
            parts = zip(self.names, vector.split(self.sizes), self.shapes, strict=True)
            moved = values | {name: part.reshape(shape).to(values[name]) for name, part, shape in parts}
            return self.response.predictor(Run(moved, self.runs.trace(moved)))

        return predictor

    def _vector(self, values: dict[str, Tensor]) -> Tensor:
        return torch.cat([values[name].flatten() for name in self.names])

    def _check_others(self) -> None:
        """Neither slab nor Normal: nothing that moves the predictor."""
        there = self.response.predictor(self.runs.base)
        digits = 4.0 * self.response.precision.relative * there.double().abs()
        for name in self.runs.others:
            for run in [] if name in self.normal else self.runs.single[name]:
                if not self._same(self.response.predictor(run), there, digits):
                    raise NotLinearError(
                        f"the predictor of site {self.response.name!r} depends on the latent {name!r}, whose "
                        f"prior is {type(self.runs.base.law(name)).__name__} and not Normal"
                    )

    def _same(self, found: Tensor, wanted: Tensor, tolerance: Tensor) -> bool:
        precision = self.response.precision
        rounding = torch.minimum(precision.rounding_error(found), precision.rounding_error(wanted))
        off = (precision.recoverable(found) - precision.recoverable(wanted)).abs()
        return bool((off <= tolerance + rounding).all())

    def _value_fits(self, run: Run) -> bool:
        weights = (self._open(run) * self._vector(run.values)).double()
        wanted = self.offset + self.design @ weights
        size = self.size @ weights.abs()
        rounding = _ROUNDINGS * self.response.precision.relative * (self.offset.abs() + size).max()
        tolerance = self.relative * size + rounding + self.nothing
        if self.lost is not None:
            tolerance = tolerance + self.lost @ weights.abs()
        return self._same(self.response.predictor(run), wanted, tolerance)

    def _derivative_fits(self, run: Run) -> bool:
        if self.lost is not None:
            return True
        zero = torch.zeros_like(self._vector(run.values))
        back_at_zero = torch.func.vjp(self._function(self.runs.base.values), zero)[1]
        found, back = torch.func.vjp(self._function(run.values), self._vector(run.values))[:2]
        if not bool(torch.isfinite(found).all()):  # a rate that overflowed has no slope
            return True
        signs = torch.randint(0, 2, self.offset.shape, device=found.device).double() * 2.0 - 1.0
        errors = self.response.precision.rounding_error(found)
        signs = torch.where(errors < 0.1 * self.relative, signs, 0.0)
        # Both by the same path: columns of nothing but rounding errors, as where terms cancel, round alike.
        there, here = (pull(signs.to(found))[0].double() for pull in (back_at_zero, back))
        rows = signs.square()
        tolerance = self.relative * (rows @ self.design.square()).sqrt()
        tolerance = tolerance + (rows @ self.nothing.square()).sqrt() / self.steps
        return bool(((here - there * self._open(run).double()).abs() <= tolerance).all())

    def _open(self, run: Run) -> Tensor:
        """What multiplies each weight: its gates' product, or 1."""
        slabs = [self.runs.opened(name, run.values).flatten() for name in self.runs.slabs]
        return torch.cat([*slabs, *(torch.ones_like(run.values[name]).flatten() for name in self.normal)])

    def _step(self, name: str) -> Tensor:
        scale = self.runs.base.law(name).scale.expand(self.runs.base.values[name].shape).flatten()
        return torch.where(torch.isfinite(scale), scale, torch.ones_like(scale))

    def _hint(self) -> str:
        advice = self.response.precision.advice
        return f"; {advice}" if advice else ""


def _jacobian(
    function: Callable[[Tensor], Tensor], at: Tensor, rows: int, steps: Tensor
) -> tuple[Tensor, bool]:
    """Derivative of a function from vectors to vectors, shape ``(rows, len(at))``, and whether it is exact.

    By columns, which are fewer, through the transpose of the transpose: torch's forward mode imports what it
    deprecates. A model that cannot be batched is gone through column by column; one that cannot be
    differentiated, by differences over ``steps``.
    """
    try:
        back = torch.func.vjp(function, at)[1]
        wide = len(at) > rows
        pull = back if wide else torch.func.vjp(lambda one: back(one)[0], at.new_zeros(rows))[1]
        units = torch.eye(rows if wide else len(at), dtype=at.dtype, device=at.device)
        side = 0 if wide else 1
        try:
            batched = torch.vmap(lambda unit: pull(unit)[0], out_dims=side, chunk_size=_CHUNK)
            found: Tensor = batched(units)
            return found.detach(), True
        except RuntimeError:
            return torch.stack([pull(unit)[0] for unit in units], side).detach(), True
    except (RuntimeError, NotImplementedError):
        base = function(at)
        moved = [(function(at + unit) - base) for unit in torch.diag(steps).to(at)]
        return (torch.stack(moved, 1) / steps).detach(), False
