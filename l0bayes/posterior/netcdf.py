"""Posteriors in NetCDF files, whole or not there; and whether they can be written at all, found out before.

ArviZ brings no writer: xarray writes NetCDF through h5netcdf, and that one through h5py, which it does not
ask for by itself.
"""

from __future__ import annotations

import tempfile
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from l0bayes.files.whole_files import write_whole
from l0bayes.optional_packages import missing_package
from l0bayes.posterior.arviz_data import group_of, load_groups, save_groups, wrap_groups

__all__ = ["PACKAGES", "read_netcdf", "try_netcdf", "write_netcdf"]

PACKAGES = ("arviz", "xarray", "h5netcdf", "h5py")
"""What it takes to write and read the files."""


def write_netcdf(posterior: Any, path: str | Path) -> Path:
    """Write ArviZ data to a file, which is there when it is whole: a failure leaves the old one as it was.

    Args:
        posterior: From :func:`l0bayes.to_arviz` or ``inference_data_`` of an estimator.
        path: The file.

    Returns:
        The file.

    Raises:
        ModuleNotFoundError: If a package that this takes is missing; says which, and how to install it.
    """
    _need_packages()
    return write_whole(Path(path), lambda part: save_groups(posterior, part))


def read_netcdf(path: str | Path) -> Any:
    """Read ArviZ data from a file that either version of ArviZ wrote.

    Args:
        path: The file.

    Returns:
        ``arviz.InferenceData`` with ArviZ 0.x, ``xarray.DataTree`` with 1.x.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such file, or not all of it is there.
        ModuleNotFoundError: If a package that this takes is missing; says which, and how to install it.
    """
    _need_packages()
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        return load_groups(path)
    except Exception as error:  # of HDF5, h5py, h5netcdf or xarray, each with errors of its own
        raise ValueError(f"{path} is no netCDF file of ArviZ, or not all of it is there: {error}") from error


def try_netcdf(folder: Path) -> None:
    """Write a tiny posterior into a folder, read it back, and take it away again.

    Args:
        folder: The folder, which must be there.

    Raises:
        ModuleNotFoundError: If a package that this takes is missing; says which, and how to install it.
        OSError: If the folder cannot be written to, or the packages do not work with one another.
    """
    _need_packages()
    import xarray as xr

    draws = np.array([[0.0, 0.5, 1.0]], np.float32)
    tiny = xr.Dataset({"beta.gate": (("chain", "draw"), draws)}, {"draw": ["a", "b", "c"]}, {"seed": 1})
    with tempfile.TemporaryDirectory(prefix=".tried-", dir=folder) as inside:
        try:
            file = write_netcdf(wrap_groups({"posterior": tiny}, {"seed": 1}), Path(inside) / "posterior.nc")
            same = group_of(read_netcdf(file), "posterior").identical(tiny)
        except OSError:
            raise
        except Exception as error:
            raise OSError(_at_odds(f"cannot be written: {type(error).__name__}: {error}")) from error
    if not same:
        raise OSError(_at_odds("does not come back as it was written"))


def _need_packages() -> None:
    for name in PACKAGES:
        try:
            import_module(name)
        except ImportError as error:
            raise missing_package("posterior.nc (NetCDF)", name, error) from None


def _at_odds(what: str) -> str:
    found = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"a posterior as NetCDF {what} ({found}); try: pip install --upgrade {' '.join(PACKAGES)}"
