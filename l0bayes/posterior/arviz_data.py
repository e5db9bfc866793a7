"""What differs between ArviZ 0.x and 1.x: the only place that asks which of them is installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["arviz_major", "group_of", "load_groups", "save_groups", "wrap_groups"]

_ENGINE = "h5netcdf"


def arviz_major() -> int:
    """The first number of ArviZ's version: 0 has ``InferenceData``, 1 has ``xarray.DataTree``."""
    import arviz as az

    # By the version: both names exist in 1.x, where the old one is a shim.
    return int(az.__version__.split(".")[0])


def wrap_groups(groups: Mapping[str, xr.Dataset], attributes: Mapping[str, Any]) -> Any:
    """Datasets as the object that the installed ArviZ works with.

    Args:
        groups: Datasets by the name of their group.
        attributes: Attributes of the whole.

    Returns:
        ``arviz.InferenceData`` with ArviZ 0.x, ``xarray.DataTree`` with 1.x.
    """
    if arviz_major() < 1:
        import arviz as az

        inference_data: Any = az.InferenceData
        return inference_data(attrs=dict(attributes), **groups)
    import xarray as xr

    tree = xr.DataTree.from_dict({f"/{name}": dataset for name, dataset in groups.items()})
    tree.attrs.update(attributes)
    return tree


def group_of(posterior: Any, name: str) -> xr.Dataset:
    """A group as a dataset, also of a tree that was read with xarray beside ArviZ 0.x.

    Args:
        posterior: ``InferenceData`` or ``DataTree``.
        name: Name of the group.

    Raises:
        KeyError: If there is no such group.
    """
    import xarray as xr

    found: Any = posterior[name]
    return found if isinstance(found, xr.Dataset) else found.to_dataset()


def save_groups(posterior: Any, file: Path) -> None:
    """Write ArviZ data to a file, numbers compressed. A failure leaves the file in pieces.

    Args:
        posterior: ``InferenceData`` or ``DataTree``, as the installed ArviZ has it.
        file: NetCDF file.
    """
    if arviz_major() < 1:
        posterior.to_netcdf(str(file), engine=_ENGINE)
        return
    encoding = {
        group.path: {
            str(name): {"zlib": True}
            for name, values in group.variables.items()
            if values.dtype.kind in "biufc"
        }
        for group in posterior.subtree
    }
    posterior.to_netcdf(str(file), engine=_ENGINE, encoding=encoding)


def load_groups(file: Path) -> Any:
    """Read ArviZ data from a file, all of it, and close the file.

    Args:
        file: NetCDF file.

    Returns:
        ``arviz.InferenceData`` with ArviZ 0.x, ``xarray.DataTree`` with 1.x.
    """
    import arviz as az

    read: Any = az.from_netcdf(str(file), engine=_ENGINE)
    read.load()
    read.close()
    return read
