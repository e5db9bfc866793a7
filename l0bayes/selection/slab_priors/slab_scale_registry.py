r"""Priors of a learned slab scale by name."""

from __future__ import annotations

from typing import Any

from l0bayes import validate
from l0bayes.selection.slab_priors.half_cauchy_scale import HalfCauchyScale
from l0bayes.selection.slab_priors.inverse_gamma_scale import InverseGammaScale
from l0bayes.selection.slab_priors.slab_scale_law import SlabScaleLaw

__all__ = ["register_slab_scale_law", "slab_scale_law", "slab_scale_laws"]

_LAWS: dict[str, type[SlabScaleLaw]] = {}


def register_slab_scale_law(kind: type[SlabScaleLaw]) -> None:
    """Make a prior of slab scales known by its name.

    Args:
        kind: The class, whose arguments are numbers.

    Raises:
        TypeError: If it is no class of that kind.
        ValueError: If its name is taken.
    """
    if not (isinstance(kind, type) and issubclass(kind, SlabScaleLaw)):
        raise TypeError(f"kind must be a class of SlabScaleLaw, got {kind!r}")
    if _LAWS.get(kind.name, kind) is not kind:
        raise ValueError(f"name {kind.name!r} of {kind.__name__} is taken by {_LAWS[kind.name].__name__}")
    _LAWS[kind.name] = kind


def slab_scale_laws() -> list[str]:
    """Names of the priors."""
    return list(_LAWS)


def slab_scale_law(given: Any) -> SlabScaleLaw:
    """A prior from an argument.

    Args:
        given: A law; its name; or a tuple of its name and numbers, ``("half-cauchy", 0.5)``. ``None`` is
            ``("half-cauchy", 1)``.

    Raises:
        ValueError: If there is no such law, or numbers are not those it takes.
    """
    if isinstance(given, SlabScaleLaw):
        return given
    name, *numbers = ("half-cauchy",) if given is None else (given,) if isinstance(given, str) else given
    validate.one_of(slab_scale_laws(), slab_scale_prior=name)
    try:
        return _LAWS[name](*(float(number) for number in numbers))
    except TypeError as error:
        raise ValueError(
            f"slab_scale_prior must hold the numbers of {name!r} behind its name, such as "
            f"('half-cauchy', 1) or ('inverse-gamma', 2, 1); got {given!r}"
        ) from error


for _kind in (HalfCauchyScale, InverseGammaScale):
    register_slab_scale_law(_kind)
