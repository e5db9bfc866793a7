r"""The guide with stochastic gates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor

from l0bayes.distributions import GateLaw, RectifiedNormal
from l0bayes.guides.gate_guide import AutoGateGuide
from l0bayes.guides.starts import check_temperature, logit_of_start

__all__ = ["AutoRectifiedNormal"]

# Slope of logit Phi(m) at m = 0.
_SLOPE = 4.0 / math.sqrt(2.0 * math.pi)


class AutoRectifiedNormal(AutoGateGuide):
    r"""Guide with rectified Normal gates (stochastic gates, STG).

    See :class:`~l0bayes.distributions.RectifiedNormal`. A gate has one parameter, its location, kept in
    units of :math:`\sigma\sqrt{\pi/8}`, in which the activity logit has slope 1 where the gate is
    undecided: learning rates and perturbations mean the same as in the other families.

    The standard deviation of the noise takes the part of a temperature, under that name, so that schedules
    act on it. It is not one in every respect: as it falls the gate becomes its location clipped to
    [0, 1], and not a binary gate.

    Args:
        model: A Pyro model.
        args: Positional arguments to run the model with once, to learn its sites.
        kwargs: Keyword arguments of that run.
        temperature: σ, the standard deviation of the noise, positive; ½ in the source.
        init_active: :math:`P(z \ne 0)` at the start, strictly between 0 and 1.
        **options: ``slab``, ``tied``, ``init_scale``, ``init_loc_fn`` and ``create_plates`` of
            :class:`~l0bayes.guides.AutoGateGuide`.

    Raises:
        ValueError: If the temperature is not positive or another argument is outside its range.
    """

    temperature: Tensor
    unit: Tensor

    def __init__(
        self,
        model: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        temperature: float = 0.5,
        init_active: float = 0.5,
        **options: Any,
    ) -> None:
        temperature = check_temperature(temperature)
        logit_of_start(init_active)  # refuses a wrong start
        start = {"location": _SLOPE * NormalDist().inv_cdf(init_active)}
        super().__init__(model, args, kwargs, gate_start=start, **options)
        self.register_buffer("temperature", torch.tensor(temperature))
        # Part of the state: locations mean nothing without it. It stays when the temperature changes.
        self.register_buffer("unit", torch.tensor(temperature / _SLOPE))

    def relaxed_law(self, **parameters: Tensor) -> GateLaw:
        return RectifiedNormal(parameters["location"] * self.unit, self.temperature)
