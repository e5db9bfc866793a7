"""Names that ArviZ, xarray and NetCDF take, for sites of any name."""

from __future__ import annotations

from collections.abc import Collection, Iterable

__all__ = ["RESERVED", "arviz_names", "free_name"]

RESERVED = ("chain", "draw")
"""The dimensions of draws, which no variable may be called."""


def arviz_names(sites: Iterable[str]) -> dict[str, str]:
    """The variable of every site.

    A slash, which divides groups in a tree or a file, becomes a dot; what would be taken for a dimension, or
    for another site, gets an underscore at its end.

    Args:
        sites: Names of the sites.

    Returns:
        Name of the variable by name of the site, no two of them equal.
    """
    sites = list(sites)
    kept = [site for site in sites if "/" not in site and site not in RESERVED]
    found = dict(zip(kept, kept, strict=True))
    for site in sites:
        if site not in found:
            found[site] = free_name(site.replace("/", "."), {*found.values(), *RESERVED})
    return found


def free_name(name: str, taken: Collection[str], ending: str = "_") -> str:
    """A name that is not taken.

    Args:
        name: The name wanted.
        taken: Names that are not to be had.
        ending: What is put behind the name as often as it takes.
    """
    while name in taken:
        name += ending
    return name
