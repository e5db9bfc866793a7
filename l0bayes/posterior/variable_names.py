r"""Dimensions and coordinates of the variables in ArviZ data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pyro import poutine

from l0bayes.infer.model_abilities import ModelAbilities
from l0bayes.sites import slab_links

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["VariableNames"]


class VariableNames:
    """Dimension names and coordinates of every variable.

    Args:
        model: The model, which may have some (``dims`` and ``coords``).
        coords: Coordinate values by dimension name.
        dims: Dimension names by site.
        trace: One run of the model.

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
        unknown = sorted(name for name in dims or {} if name not in trace.nodes)
        if unknown:
            raise ValueError(f"dims names {unknown}, which are no sites of the model")
        for name, slab in slab_links(trace.nodes).items():
            shape = tuple(trace.nodes[name]["value"].shape)
            shared = self.dims.get(slab.weight, _numbered(slab.weight, shape))
            self.dims.setdefault(slab.weight, shared)
            self.dims.setdefault(name, shared)
            for link in slab.gates:
                if tuple(trace.nodes[link.site]["value"].shape) == shape:
                    self.dims.setdefault(link.site, shared)
        known = {
            dim for name, site in trace.nodes.items() if "value" in site for dim in self._dims(name, site)
        }
        unknown = sorted(set(coords or ()) - known)
        if unknown:
            raise ValueError(f"coords names {unknown}, which no variable has; there are {sorted(known)}")

    def _dims(self, name: str, site: Any) -> tuple[str, ...]:
        if site["type"] != "sample" or poutine.util.site_is_subsample(site):
            return ()
        return self.dims.get(name, _numbered(name, site["value"].shape))

    def of(self, name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
        """Dimension names of a variable.

        Args:
            name: Its name.
            shape: Its shape, without chains and draws.

        Raises:
            ValueError: If its dimensions are known and do not fit the shape.
        """
        names = self.dims.get(name, _numbered(name, shape))
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
            values: Arrays by name.
            leading: Names of their first dimensions, such as ``("chain", "draw")``.
            likelihood: Whether the arrays are log likelihoods, one number for all entries of an observation.
        """
        import xarray as xr

        variables: dict[str, Any] = {}
        used: set[str] = set()
        for name, value in values.items():
            array = np.asarray(value)
            shape = array.shape[len(leading) :]
            # An observation with event dimensions has one log likelihood for all of them.
            own = self.dims.get(name)
            if likelihood and own is not None and len(own) > len(shape):
                dims = own[: len(shape)]
            else:
                dims = self.of(name, shape)
            variables[name] = ((*leading, *dims), array)
            used.update((*leading, *dims))
        coords = {dim: list(values) for dim, values in self.coords.items() if dim in used}
        sizes = {d: n for dims, array in variables.values() for d, n in zip(dims, array.shape, strict=True)}
        return xr.Dataset(variables, {**{d: np.arange(sizes[d]) for d in used}, **coords})


def _numbered(name: str, shape: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"{name}_dim_{i}" for i in range(len(shape)))
