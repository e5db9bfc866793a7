r"""Names, dimensions and coordinates of the variables in ArviZ data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from l0bayes.infer.model_abilities import ModelAbilities
from l0bayes.posterior.arviz_names import RESERVED, arviz_names, free_name
from l0bayes.sites import site_kind, slab_links

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["VariableNames"]


class VariableNames:
    """Name, dimension names and coordinates of every variable.

    A dimension that a plate made has the plate's name; any other has the variable's and a number.

    Args:
        model: The model, which may have some (``dims`` and ``coords``).
        coords: Coordinate values by dimension name.
        dims: Dimension names by site.
        trace: One run of the model.

    Attributes:
        variables: Name of the variable by site.
        dims: Dimension names by site, or by variable where there is no site.
        coords: Coordinate values by dimension name.
        rows: Which rows of an observed site count, by site, where not all do.

    Raises:
        ValueError: If ``dims`` names no site, or ``coords`` no dimension.
    """

    def __init__(
        self,
        model: Any,
        coords: Mapping[str, Sequence[Any]] | None,
        dims: Mapping[str, Sequence[str]] | None,
        trace: Any,
    ) -> None:
        able = ModelAbilities(model)
        self.coords = {**able.coords, **(coords or {})}
        self.dims = {name: tuple(names) for name, names in {**able.dims, **(dims or {})}.items()}
        self.rows: dict[str, NDArray[np.bool_]] = {}
        kinds = ("latent", "observed", "fixed", "deterministic")
        sites = {name: site for name, site in trace.nodes.items() if site_kind(site) in kinds}
        unknown = sorted(name for name in dims or {} if name not in trace.nodes)
        if unknown:
            raise ValueError(f"dims names {unknown}, which are no sites of the model; it has {[*sites]}")
        self.variables = arviz_names(sites)
        self._event_dims = {name: len(site["fn"].event_shape) for name, site in sites.items()}
        own = self._own_dims(sites)
        for name, slab in slab_links(trace.nodes).items():
            shape = tuple(sites[name]["value"].shape)
            shared = self.dims.get(slab.weight, own.get(slab.weight, own[name]))
            self.dims.setdefault(slab.weight, shared)
            self.dims.setdefault(name, shared)
            for link in slab.gates:
                if tuple(sites[link.site]["value"].shape) == shape:
                    self.dims.setdefault(link.site, shared)
        self.dims = own | self.dims
        known = {dim for name in sites for dim in self.dims[name]}
        unknown = sorted(set(coords or ()) - known)
        if unknown:
            raise ValueError(f"coords names {unknown}, which no variable has; there are {sorted(known)}")

    def _own_dims(self, sites: dict[str, Any]) -> dict[str, tuple[str, ...]]:
        """Dimension names by the plates of every site."""
        taken = {*self.variables.values(), *RESERVED}
        sizes: dict[str, int] = {}
        found = {}
        for name, site in sites.items():
            shape = tuple(site["value"].shape)
            names = list(_numbered(self.variables[name], len(shape)))
            for frame in site["cond_indep_stack"]:
                if not frame.vectorized:
                    continue
                axis = len(shape) - self._event_dims[name] + frame.dim
                if axis < 0 and site_kind(site) == "deterministic":  # all of it is its event by default
                    axis = len(shape) + frame.dim
                plate = free_name(frame.name.replace("/", "."), taken, "_dim")
                if axis >= 0 and sizes.setdefault(plate, frame.size) == frame.size == shape[axis]:
                    names[axis] = plate
            found[name] = tuple(names)
        return found

    def variable(self, site: str) -> str:
        """The name of the variable of a site.

        Args:
            site: Name of the site.
        """
        return self.variables.get(site, site)

    def of(self, name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
        """Dimension names of a variable.

        Args:
            name: Its site, or its own name where it has none.
            shape: Its shape, without chains and draws.

        Raises:
            ValueError: If its dimensions are known and do not fit the shape.
        """
        names = self.dims.get(name, _numbered(self.variable(name), len(shape)))
        if len(names) != len(shape):
            raise ValueError(f"dims of {name!r} are {names}, but its shape is {shape}")
        for dim, size in zip(names, shape, strict=True):
            if dim in self.coords and len(self.coords[dim]) != size:
                raise ValueError(
                    f"coords of {dim!r} hold {len(self.coords[dim])} values, but {name!r} has {size} there"
                )
        return names

    def dataset(
        self, values: Mapping[str, Any], leading: tuple[str, ...], *, likelihood: bool = False
    ) -> xr.Dataset:
        """Arrays as a dataset.

        Args:
            values: Arrays by site, or by the variable's own name where it has none.
            leading: Names of their first dimensions, such as ``("chain", "draw")``.
            likelihood: Whether the arrays are log likelihoods, one number for all entries of an observation.
        """
        import xarray as xr

        variables: dict[str, Any] = {}
        coords: dict[str, Any] = {}
        for name, value in values.items():
            array = np.asarray(value)
            shape = array.shape[len(leading) :]
            # An observation with event dimensions has one log likelihood for all of them.
            own = self.dims.get(name)
            if likelihood and own is not None and len(own) > len(shape):
                dims = own[: len(shape)]
            else:
                dims = self.of(name, shape)
            if name in self.rows:
                array, dims, rows = self._counted(name, array, dims, len(leading))
                coords |= rows
            variables[self.variable(name)] = ((*leading, *dims), array)
        sizes = {d: n for dims, array in variables.values() for d, n in zip(dims, array.shape, strict=True)}
        known = {dim: list(self.coords[dim]) for dim in sizes if dim in self.coords}
        return xr.Dataset(variables, {**{d: np.arange(n) for d, n in sizes.items()}, **known, **coords})

    def _counted(
        self, name: str, array: NDArray[Any], dims: tuple[str, ...], leading: int
    ) -> tuple[NDArray[Any], tuple[str, ...], dict[str, Any]]:
        """The rows that count, along one dimension of their own, with their places as coordinates."""
        keep = self.rows[name]
        inside = leading + keep.ndim
        flat = array.reshape(*array.shape[:leading], -1, *array.shape[inside:])
        variable = self.variable(name)
        row = f"{variable}_observed"
        coords: dict[str, Any] = {row: np.flatnonzero(keep)}
        for dim, index in zip(dims, np.nonzero(keep), strict=False):
            labels = np.asarray(self.coords.get(dim, np.arange(keep.size)))[index]
            if keep.ndim == 1:
                coords[row] = labels
            else:
                coords[f"{variable}_{dim}"] = ((row,), labels)
        counted = flat.compress(keep.ravel(), axis=leading)
        return counted, (row, *dims[keep.ndim :]), coords


def _numbered(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name}_dim_{i}" for i in range(count))
