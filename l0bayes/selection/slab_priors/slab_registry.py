r"""Slab priors by name: those of the package, and those that users register."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from l0bayes import validate
from l0bayes.selection.slab_priors.fixed_g import FixedG
from l0bayes.selection.slab_priors.global_empirical_g import GlobalEmpiricalG
from l0bayes.selection.slab_priors.hyper_g import HyperG
from l0bayes.selection.slab_priors.hyper_g_n import HyperGN
from l0bayes.selection.slab_priors.jzs import JZS
from l0bayes.selection.slab_priors.local_empirical_g import LocalEmpiricalG
from l0bayes.selection.slab_priors.slab_prior import SlabPrior

__all__ = ["G_NAMES", "NORMAL", "register_slab_prior", "slab_names", "slab_prior"]

NORMAL = "normal"
"""Independent Normal slabs, whose variances are given, not learned from the design."""
G_NAMES = ("unit", "bric", "eb-local", "eb-global")
"""Words that the argument ``g`` takes beside numbers."""
_G = "g"
_LEARNED: dict[str, Callable[[], SlabPrior]] = {"eb-local": LocalEmpiricalG, "eb-global": GlobalEmpiricalG}
_KINDS: dict[str, type[SlabPrior]] = {kind.name: kind for kind in (HyperG, HyperGN, JZS)}


def register_slab_prior(kind: type[SlabPrior]) -> type[SlabPrior]:
    """Make a slab prior known by its name, to the estimators and ``l0bayes select``. Also a decorator.

    Args:
        kind: A class of :class:`~l0bayes.selection.slab_priors.slab_prior.SlabPrior` that needs no arguments.

    Returns:
        The class.

    Raises:
        TypeError: If it is no such class, or methods are missing.
        ValueError: If its name is none, or taken by another class.
    """
    if not (inspect.isclass(kind) and issubclass(kind, SlabPrior)):
        raise TypeError(f"kind must be a class of SlabPrior, got {kind!r}")
    name = getattr(kind, "name", None)
    if not isinstance(name, str) or not name:
        raise ValueError(f"name of {kind.__name__} must be a word, got {name!r}")
    taken = _KINDS.get(name)
    same = taken is not None and (taken.__module__, taken.__qualname__) == (
        kind.__module__,
        kind.__qualname__,
    )
    if name in (NORMAL, _G) or (taken is not None and not same):
        raise ValueError(f"name {name!r} of {kind.__name__} is taken")
    kind()
    _KINDS[name] = kind
    return kind


def slab_names() -> list[str]:
    """Accepted names."""
    return [NORMAL, _G, *_KINDS]


def slab_prior(name: Any, g: Any = "unit", rscale: Any = None) -> SlabPrior | None:
    """The slab prior of the arguments of an estimator; ``None`` for independent Normal slabs.

    Args:
        name: Its name.
        g: Of ``"g"``: a number or one of :data:`G_NAMES`.
        rscale: Scale of ``"jzs"``; ``None`` for the medium one.

    Raises:
        ValueError: If there is no such prior, a number is out of range, or an argument is of another prior.
    """
    validate.one_of(slab_names(), slab=name)
    if rscale is not None and name != JZS.name:
        raise ValueError(f"rscale is the scale of slab='jzs'; got {rscale!r} with slab={name!r}")
    if name == _G:
        if isinstance(g, str):
            validate.one_of(G_NAMES, " or a number", g=g)
            return _LEARNED[g]() if g in _LEARNED else FixedG(g)
        return FixedG(g)
    if g != "unit":
        raise ValueError(f"g is of slab='g'; got {g!r} with slab={name!r}")
    if name == NORMAL:
        return None
    if name == JZS.name and rscale is not None:
        return JZS(rscale)
    return _KINDS[name]()
