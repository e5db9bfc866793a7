r"""The plain concrete guide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from l0bayes.distributions import BinaryConcrete, GateLaw
from l0bayes.guides.gate_guide import AutoGateGuide
from l0bayes.guides.starts import check_temperature, logit_of_start

__all__ = ["AutoConcrete"]


class AutoConcrete(AutoGateGuide):
    r"""Guide with binary concrete gates; see :class:`~l0bayes.distributions.BinaryConcrete`.

    The gates are never exactly 0: nothing is skipped in training, and **deployment needs a threshold**,
    which is ½ here, ``guide.gates()[site].activity_threshold``. The activity of a gate is
    :math:`P(z > \tfrac12) = \sigma(\log\alpha)`, and the objective is a surrogate that says so; see
    :func:`~l0bayes.infer.describe_objective`.

    Args:
        model: A Pyro model.
        args: Positional arguments to run the model with once, to learn its sites.
        kwargs: Keyword arguments of that run.
        temperature: β of the concrete, positive; a buffer that may be changed in place.
        init_active: :math:`P(z > \tfrac12)` at the start, strictly between 0 and 1.
        **options: ``slab``, ``tied``, ``init_scale``, ``init_loc_fn`` and ``create_plates`` of
            :class:`~l0bayes.guides.AutoGateGuide`.

    Raises:
        ValueError: If the temperature is not positive or another argument is outside its range.
    """

    temperature: Tensor

    def __init__(
        self,
        model: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        temperature: float = 2.0 / 3.0,
        init_active: float = 0.5,
        **options: Any,
    ) -> None:
        temperature = check_temperature(temperature)
        start = {"log_alpha": logit_of_start(init_active)}
        super().__init__(model, args, kwargs, gate_start=start, **options)
        self.register_buffer("temperature", torch.tensor(temperature))

    def relaxed_law(self, **parameters: Tensor) -> GateLaw:
        return BinaryConcrete(parameters["log_alpha"], self.temperature)
