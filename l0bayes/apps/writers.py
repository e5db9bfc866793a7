"""Whether files can be written, found out before the work whose results they are to hold."""

from __future__ import annotations

from pathlib import Path

from l0bayes.files.whole_files import folder_for

__all__ = ["try_writers"]


def try_writers(out: Path, *, posterior: bool = True, pictures: bool = True) -> None:
    """Really write a tiny file of each kind into a folder, and read it back.

    Args:
        out: The folder; where it is missing it is made, and goes again.
        posterior: Whether ``posterior.nc`` will be written.
        pictures: Whether PNG pictures will be.

    Raises:
        ModuleNotFoundError: If a package that writes is missing; says which, and how to install it.
        OSError: If the folder cannot be written to, or a writer does not work.
    """
    with folder_for(out):
        if posterior:
            from l0bayes.posterior.netcdf import try_netcdf

            try_netcdf(out)
        if pictures:
            from l0bayes.plots.style import try_pictures

            try_pictures(out)
