r"""The hard concrete guide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from l0bayes.distributions.stretch import checked_stretch
from l0bayes.guides.family_guide import FamilyGuide

__all__ = ["AutoHardConcrete"]


class AutoHardConcrete(FamilyGuide):
    r"""Guide with hard concrete gates; see :class:`~l0bayes.distributions.HardConcrete`.

    The temperature is a buffer: ``guide.temperature.fill_(0.3)`` acts at once, also on a compiled
    objective. Low temperatures make gates nearly binary; inclusion probabilities read from a fit at
    0.1 are less inflated for noise gates than at 2/3.

    Args:
        model: A Pyro model.
        args: Positional arguments to run the model with once, to learn its sites.
        kwargs: Keyword arguments of that run.
        temperature: β of the hard concrete, positive, 2/3 by default.
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

    gate_law = "hard_concrete"

    def __init__(
        self,
        model: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        temperature: float | None = None,
        stretch: tuple[float, float] = (-0.1, 1.1),
        init_active: float = 0.5,
        **options: Any,
    ) -> None:
        super().__init__(
            model,
            args,
            kwargs,
            temperature=temperature,
            init_active=init_active,
            settings={"stretch": checked_stretch(stretch)},
            **options,
        )
