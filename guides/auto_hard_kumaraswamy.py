r"""The hard Kumaraswamy guide."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from l0bayes.distributions import GateLaw, HardConcrete, HardKumaraswamy
from l0bayes.distributions.hard_kumaraswamy import shapes_for
from l0bayes.guides.gate_guide import AutoGateGuide
from l0bayes.guides.starts import check_temperature, logit_of_start

__all__ = ["AutoHardKumaraswamy"]


class AutoHardKumaraswamy(AutoGateGuide):
    r"""Guide with hard Kumaraswamy gates; see :class:`~l0bayes.distributions.HardKumaraswamy`.

    Both shapes of a gate are learned, so that the guide finds its own sharpness and there is no
    temperature to schedule. At the start the gates have the atoms of the hard concrete of temperature
    ``init_temperature``.

    Args:
        model: A Pyro model.
        args: Positional arguments to run the model with once, to learn its sites.
        kwargs: Keyword arguments of that run.
        stretch: ``(gamma, zeta)`` with ``gamma < 0`` and ``zeta > 1``.
        init_active: :math:`P(z \ne 0)` at the start, strictly between 0 and 1.
        init_temperature: Temperature of the hard concrete with the same atoms as the start, positive; low
            values start with nearly binary gates.
        **options: ``slab``, ``tied``, ``init_scale``, ``init_loc_fn`` and ``create_plates`` of
            :class:`~l0bayes.guides.AutoGateGuide`.

    Raises:
        ValueError: If the stretch does not surround [0, 1], or another argument is outside its range.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        stretch: tuple[float, float] = (-0.1, 1.1),
        init_active: float = 0.5,
        init_temperature: float = 2.0 / 3.0,
        **options: Any,
    ) -> None:
        logit = logit_of_start(init_active)
        alike = HardConcrete(0.0, check_temperature(init_temperature, "init_temperature"), stretch)
        saturation = float(alike.saturation_logits - alike.activity_logits) + logit
        log_a, log_b = shapes_for(init_active, 1.0 / (1.0 + math.exp(-saturation)), alike.stretch)
        super().__init__(model, args, kwargs, gate_start={"log_a": log_a, "log_b": log_b}, **options)
        self.stretch = alike.stretch

    def relaxed_law(self, **parameters: Tensor) -> GateLaw:
        return HardKumaraswamy(parameters["log_a"], parameters["log_b"], self.stretch)
