r"""Whether the class of a layer kind says all that it has to, before anything is asked of it."""

from __future__ import annotations

import difflib
from typing import Any

from torch import nn

__all__ = ["PLACEMENTS_OF_KINDS", "check_declared"]

PLACEMENTS_OF_KINDS = ("input", "output", "weight", "heads")
"""Where gates of a layer may be. Any module may have one around it, ``"block"``, which takes no kind."""


def check_declared(cls: type[Any]) -> None:
    """Refuse a kind that no module could be of, or that has no such gates.

    Args:
        cls: The class of the kind.

    Raises:
        TypeError: If ``types`` is no tuple of module classes, ``name`` no text, or ``placements`` no set.
        ValueError: If ``types`` is empty or holds ``nn.Module`` itself, or a placement is unknown.
    """
    types = getattr(cls, "types", None)
    if isinstance(types, type):
        raise TypeError(
            f"types of {cls.__name__} must be a tuple of module classes, such as ({types.__name__},); "
            f"got the class {types.__name__} itself"
        )
    if not isinstance(types, tuple):
        raise TypeError(
            f"types of {cls.__name__} must be a tuple of module classes, such as (nn.Bilinear,); "
            f"got {types!r}"
        )
    if not types:
        raise ValueError(
            f"types of {cls.__name__} must name at least one module class, such as (nn.Bilinear,); of () no "
            "module could be of this kind"
        )
    for one in types:
        if not (isinstance(one, type) and issubclass(one, nn.Module)):
            raise TypeError(f"types of {cls.__name__} must hold classes of nn.Module; got {one!r}")
        if one is nn.Module:
            raise ValueError(f"types of {cls.__name__} must hold classes of layers; got nn.Module itself")
    name = getattr(cls, "name", None)
    if not isinstance(name, str) or not name.strip():
        raise TypeError(f"name of {cls.__name__} must be what messages call the kind; got {name!r}")
    placements = cls.placements
    if not isinstance(placements, frozenset | set):
        raise TypeError(
            f"placements of {cls.__name__} must be a set, such as frozenset({{'output'}}); got {placements!r}"
        )
    for word in sorted(placements, key=str):
        if word == "block":
            raise ValueError(f"placements of {cls.__name__} must not have 'block', which any module can have")
        if word not in PLACEMENTS_OF_KINDS:
            near = difflib.get_close_matches(str(word), PLACEMENTS_OF_KINDS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"placements of {cls.__name__} must be among {', '.join(PLACEMENTS_OF_KINDS)}; "
                f"got {word!r}{hint}"
            )
