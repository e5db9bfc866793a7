r"""The hard concrete guide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from l0bayes.distributions import GateLaw, HardConcrete
from l0bayes.guides.gate_guide import AutoGateGuide
from l0bayes.guides.starts import check_temperature, logit_of_start

__all__ = ["AutoHardConcrete"]


class AutoHardConcrete(AutoGateGuide):
    r"""Guide with hard concrete gates; see :class:`~l0bayes.distributions.HardConcrete`.

    The temperature is a buffer: ``guide.temperature.fill_(0.3)`` acts at once, also on a compiled
    objective. Low temperatures make gates nearly binary; inclusion probabilities read from a fit at
    0.1 are less inflated for noise gates than at 2/3.

    Args:
        model: A Pyro model.
        args: Positional arguments to run the model with once, to learn its sites.
        kwargs: Keyword arguments of that run.
        temperature: β of the hard concrete, positive.
        stretch: ``(gamma, zeta)`` with ``gamma < 0`` and ``zeta > 1``.
        init_active: :math:`P(z \ne 0)` at the start, strictly between 0 and 1.
        **options: ``slab``, ``tied``, ``init_scale``, ``init_loc_fn`` and ``create_plates`` of
            :class:`~l0bayes.guides.AutoGateGuide`.

    Raises:
        ValueError: If the temperature is not positive, the stretch does not surround [0, 1], or another
            argument is outside its range.

    Example::

        guide = AutoHardConcrete(model, (x, y), slab="normal")
        fit = l0bayes.fit(model, guide, (x, y), steps=3000)
    """

    temperature: Tensor

    def __init__(
        self,
        model: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        temperature: float = 2.0 / 3.0,
        stretch: tuple[float, float] = (-0.1, 1.1),
        init_active: float = 0.5,
        **options: Any,
    ) -> None:
        temperature = check_temperature(temperature)
        start = logit_of_start(init_active)
        at_zero = HardConcrete(0.0, temperature, stretch)  # refuses a wrong stretch before any work
        start -= float(at_zero.activity_logits)
        super().__init__(model, args, kwargs, gate_start={"log_alpha": start}, **options)
        self.stretch = at_zero.stretch
        self.register_buffer("temperature", torch.tensor(temperature))

    def relaxed_law(self, **parameters: Tensor) -> GateLaw:
        return HardConcrete(parameters["log_alpha"], self.temperature, self.stretch)
