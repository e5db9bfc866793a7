r"""All gate families by name, so that one argument chooses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from l0bayes.guides.auto_bernoulli_gates import AutoBernoulliGates
from l0bayes.guides.auto_concrete import AutoConcrete
from l0bayes.guides.auto_concrete_dropout import AutoConcreteDropout
from l0bayes.guides.auto_hard_concrete import AutoHardConcrete
from l0bayes.guides.auto_hard_kumaraswamy import AutoHardKumaraswamy
from l0bayes.guides.auto_rectified_normal import AutoRectifiedNormal
from l0bayes.guides.gate_guide import AutoGateGuide

__all__ = ["FAMILIES", "gate_guide"]

FAMILIES: dict[str, type[AutoGateGuide]] = {
    "hard_concrete": AutoHardConcrete,
    "concrete": AutoConcrete,
    "hard_kumaraswamy": AutoHardKumaraswamy,
    "rectified_normal": AutoRectifiedNormal,
    "bernoulli": AutoBernoulliGates,
    "concrete_dropout": AutoConcreteDropout,
}
"""Guide class of every family."""


def gate_guide(
    model: Callable[..., Any],
    args: Sequence[Any] = (),
    kwargs: dict[str, Any] | None = None,
    *,
    family: str = "hard_concrete",
    **options: Any,
) -> AutoGateGuide:
    """The guide of a family, chosen by name.

    ====================  ============================================  ==================================
    family                guide                                         options of its own
    ====================  ============================================  ==================================
    ``hard_concrete``     :class:`~l0bayes.guides.AutoHardConcrete`     ``temperature``, ``stretch``
    ``concrete``          :class:`~l0bayes.guides.AutoConcrete`         ``temperature``
    ``hard_kumaraswamy``  :class:`~l0bayes.guides.AutoHardKumaraswamy`  ``init_temperature``, ``stretch``
    ``rectified_normal``  :class:`~l0bayes.guides.AutoRectifiedNormal`  ``temperature``
    ``bernoulli``         :class:`~l0bayes.guides.AutoBernoulliGates`   ``estimator``, ``num_evaluations``
    ``concrete_dropout``  :class:`~l0bayes.guides.AutoConcreteDropout`  ``temperature``
    ====================  ============================================  ==================================

    Args:
        model: A Pyro model.
        args: Positional arguments to run the model with once, to learn its sites.
        kwargs: Keyword arguments of that run.
        family: Name of the family.
        **options: Options of its guide, such as ``init_active`` and ``slab``.

    Returns:
        The guide.

    Raises:
        ValueError: If the family is unknown.
        TypeError: If the family does not take an option.

    Example::

        guide = gate_guide(model, (x, y), family="rectified_normal", slab="normal")
    """
    if family not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}; got {family!r}")
    guide = FAMILIES[family]
    known = _options(guide.__init__) | _options(AutoGateGuide.__init__) - {"gate_start", "gate_gradient"}
    if unknown := sorted(set(options) - known):
        raise TypeError(
            f"family {family!r} takes the options {', '.join(sorted(known))}; got {', '.join(unknown)}"
        )
    return guide(model, args, kwargs, **options)


def _options(constructor: Callable[..., None]) -> set[str]:
    parameters = inspect.signature(constructor).parameters.values()
    return {one.name for one in parameters if one.kind is one.KEYWORD_ONLY}
