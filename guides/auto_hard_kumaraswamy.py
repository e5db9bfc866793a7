r"""The hard Kumaraswamy guide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from l0bayes.distributions.stretch import checked_stretch
from l0bayes.guides.family_guide import FamilyGuide

__all__ = ["AutoHardKumaraswamy"]


class AutoHardKumaraswamy(FamilyGuide):
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
        init_temperature: Temperature of the hard concrete with the same atoms as the start, positive, 2/3 by
            default; low values start with nearly binary gates.
        **options: ``slab``, ``tied``, ``init_scale``, ``init_loc_fn`` and ``create_plates`` of
            :class:`~l0bayes.guides.AutoGateGuide`.

    Raises:
        ValueError: If the stretch does not surround [0, 1], or another argument is outside its range.
    """

    gate_law = "hard_kumaraswamy"

    def __init__(
        self,
        model: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        stretch: tuple[float, float] = (-0.1, 1.1),
        init_active: float = 0.5,
        init_temperature: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            model,
            args,
            kwargs,
            init_temperature=init_temperature,
            init_active=init_active,
            settings={"stretch": checked_stretch(stretch)},
            **options,
        )
