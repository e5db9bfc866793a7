r"""Observed values whose shape is not that of their law, which broadcasting would count again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

__all__ = ["check_observed_shapes", "observes_anything"]


def observes_anything(nodes: Mapping[str, Any]) -> bool:
    """Whether a model has data: a site with ``obs``, or a ``pyro.factor``.

    Args:
        nodes: Nodes of a trace of the model.
    """
    return any(_is_data(site) for site in nodes.values())


def check_observed_shapes(nodes: Mapping[str, Any]) -> None:
    r"""Refuse observed sites of which broadcasting makes more densities than there are data.

    A value of shape (60, 1) under a law of shape (60,) has :math:`60 \times 60` densities, each of a value at
    the mean of another, and nothing fails. Of the law (batch and event shape), the value, and the tensors
    that mask or scale them, one must have the shape that all of them have together: a number under a law of
    a vector, or a vector under the law of a number, is as it should be. Nor may a law repeat each value as
    often as there are values, as one with parameters of shape (60, 1) does in a plate of 60, unless all these
    dimensions belong to plates.

    Args:
        nodes: Nodes of a trace of the model, without enumeration.

    Raises:
        ValueError: By site, with the shapes.
    """
    for name, site in nodes.items():
        if not _is_data(site) or not isinstance(site["value"], Tensor):
            continue
        law, value = tuple(site["fn"].shape()), tuple(site["value"].shape)
        if not all(type(size) is int for size in (*law, *value)):  # a graph for any number of rows
            continue
        given = {"a value": value, "a law": law}
        _check_together(name, given)
        event = site["fn"].event_dim
        densities = _together(given.values())
        given = {"densities": densities[: len(densities) - event] if densities else ()}
        for what in ("mask", "scale"):  # of handlers; the mask of a law is in its shape
            if isinstance(site[what], Tensor):
                _check_together(name, {**given, f"a {what}": tuple(site[what].shape)})
        _check_repeated(name, value, law, event, site["cond_indep_stack"])


def _is_data(site: Any) -> bool:
    if site["type"] != "sample" or not site["is_observed"]:
        return False
    return not site["infer"].get("_deterministic")


def _together(shapes: Any) -> tuple[int, ...] | None:
    try:
        return tuple(torch.broadcast_shapes(*shapes))
    except RuntimeError:  # they are not of one kind, which the density itself says
        return None


def _check_together(name: str, given: Mapping[str, tuple[int, ...]]) -> None:
    both = _together(given.values())
    if both is None or prod(both) <= max(map(prod, given.values())):
        return
    (first, value), (second, law) = given.items()
    raise ValueError(
        f"site {name!r} has {first} of shape {value} and {second} of shape {law}, which broadcast to {both}: "
        f"{prod(both)} densities where {max(prod(value), prod(law))} are meant. Give both one shape"
        + _remedy(value, law, second)
    )


def _remedy(value: tuple[int, ...], law: tuple[int, ...], second: str) -> str:
    if value[-1:] == (1,) and value[:-1] == law:
        return ": the value as y.squeeze(-1)"
    if law[-1:] == (1,) and law[:-1] == value:
        return f": what makes {second} as .squeeze(-1)"
    return ""


def _check_repeated(
    name: str, value: tuple[int, ...], law: tuple[int, ...], event: int, frames: Sequence[Any]
) -> None:
    """Refuse a law that has each value as often as there are values, unless plates declare it."""
    plates = [frame for frame in frames if frame.vectorized]
    declared = {frame.dim for frame in plates}
    sizes = [{frame.size, frame.full_size} for frame in plates]
    given, value = value, (1,) * (len(law) - len(value)) + value
    batch = [dim for dim in range(-len(law), -event) if law[dim] > 1]
    repeated = [dim for dim in batch if value[dim] == 1]
    for dim in repeated:
        for rows in set(batch) - set(repeated):
            lengths = {law[dim], law[rows]}
            alike = len(lengths) == 1 or any(lengths <= both for both in sizes)
            if alike and not {dim + event, rows + event} <= declared:
                raise ValueError(
                    f"site {name!r} has a value of shape {given} and a law of shape {law}, in which every "
                    f"value stands {law[dim]} times, and not all dimensions belong to a plate. Give both one "
                    "shape; parameters of shape (n, 1) in a plate of n become (n,) by .squeeze(-1)"
                )
