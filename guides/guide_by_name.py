r"""The guide of a gate law by its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from l0bayes.gate_families import DEFAULT_GATE_LAW, gate_family
from l0bayes.guides.gate_guide import AutoGateGuide

__all__ = ["gate_guide"]


def gate_guide(
    model: Callable[..., Any],
    args: Sequence[Any] = (),
    kwargs: dict[str, Any] | None = None,
    *,
    gate_law: str = DEFAULT_GATE_LAW,
    **options: Any,
) -> AutoGateGuide:
    """The guide of a gate law, chosen by name.

    Args:
        model: A Pyro model.
        args: Positional arguments to run the model with once, to learn its sites.
        kwargs: Keyword arguments of that run.
        gate_law: Law of the gates, by the name of its family, one of
            :data:`~l0bayes.gate_families.GATE_FAMILIES`; the default is the hard concrete.
        **options: Options of its guide, such as ``init_active`` and ``slab``; see the guide's own page.

    Returns:
        The guide.

    Raises:
        ValueError: If the gate law is unknown.
        TypeError: If its guide does not take an option.

    Example::

        guide = gate_guide(model, (x, y), gate_law="concrete", temperature=0.1)
    """
    family = gate_family(gate_law)
    guide = family.guide_class
    known = _options(guide.__init__) | _options(AutoGateGuide.__init__) - {"gate_start", "gate_gradient"}
    known -= {"temperature", "init_temperature"} - {family.temperature_option}
    if unknown := sorted(set(options) - known):
        raise TypeError(
            f"gate law {gate_law!r} takes the options {', '.join(sorted(known))}; got {', '.join(unknown)}"
        )
    made: AutoGateGuide = guide(model, args, kwargs, **options)
    return made


def _options(constructor: Callable[..., None]) -> set[str]:
    parameters = inspect.signature(constructor).parameters.values()
    return {one.name for one in parameters if one.kind is one.KEYWORD_ONLY}
