"""Constructor arguments, as they are given and as the engines take them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.models.terms import column_groups, term_names
from l0bayes.selection.engines.engine_registry import engine_names
from l0bayes.selection.engines.infer_gates import options_from
from l0bayes.selection.kernels.relaxations import selection_gate_laws
from l0bayes.selection.problem.inclusion_prior import InclusionPrior

__all__ = ["check_switches", "engine_options", "gate_groups", "inclusion_prior", "positive", "slab_scales"]

# Beyond these the square of a slab scale, which everything computes with, comes near 0 or infinity.
_SMALLEST_SCALE, _LARGEST_SCALE = 1e-100, 1e100


def engine_options(engine: Any, options: Any, *, gate_law: Any, restarts: Any) -> Any:
    """Options of the engine. A variational fit takes two of them by name.

    Args:
        engine: Name of the engine.
        options: Its options, or ``None``.
        gate_law: Gate law of a variational fit, or ``None``.
        restarts: Number of its restarts, or ``None``.

    Raises:
        ValueError: If there is no such engine or gate law, the number of restarts is none, or the engine does
            not use them.
        TypeError: If the options are of another engine.
    """
    validate.one_of(engine_names(), engine=engine)
    validate.one_of(selection_gate_laws(), **validate.given(gate_law=gate_law))
    if restarts is not None and (
        not isinstance(restarts, Integral) or isinstance(restarts, bool) or restarts < 1
    ):
        raise ValueError(f"restarts must be a whole number of at least 1, got {restarts!r}")
    return options_from(engine, options, gate_law=gate_law, restarts=restarts)


def check_switches(**switches: Any) -> None:
    """Refuse what is neither true nor false: a word such as ``"no"`` would count as true.

    Args:
        **switches: Values by the name of their argument.

    Raises:
        ValueError: By argument.
    """
    for name, value in switches.items():
        if not isinstance(value, bool | np.bool_):
            raise ValueError(f"{name} must be True or False, got {value!r}")


def positive(name: str, value: Any, *, infinite: bool = False) -> float:
    """A positive number.

    Args:
        name: Name of the argument.
        value: What was given.
        infinite: Whether infinity is one.

    Raises:
        ValueError: If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not float(value) > 0.0:
        raise ValueError(f"{name} must be a positive number, got {value!r}")
    if math.isinf(float(value)) and not infinite:
        raise ValueError(f"{name} must be finite, got {value!r}")
    return float(value)


def slab_scales(value: Any, count: int) -> Tensor:
    """Slab scale of every column, shape ``(count,)``.

    Args:
        value: A positive number, or one a column; or ``"learned"``, for ones.
        count: Number of columns.

    Raises:
        ValueError: If it is neither, or too small or large to compute with.
    """
    if isinstance(value, str) and value == "learned":  # what it is multiplied by is
        scales = np.ones(count)
    elif isinstance(value, Real):
        scales = np.full(count, positive("slab_scale", value))
    else:
        scales = _numbers("slab_scale", value)
    if scales.shape != (count,):
        raise ValueError(
            f"slab_scale must be a number or one for each of {count} columns, got shape {scales.shape}"
        )
    wrong = ~(np.isfinite(scales) & (scales > 0))
    if wrong.any():
        index = int(wrong.argmax())
        raise ValueError(f"slab_scale must be positive, got {scales[index]} for column {index}")
    wrong = (scales < _SMALLEST_SCALE) | (scales > _LARGEST_SCALE)
    if wrong.any():
        raise ValueError(
            f"slab_scale must lie between {_SMALLEST_SCALE:g} and {_LARGEST_SCALE:g}, got "
            f"{scales[int(wrong.argmax())]:g}"
        )
    return torch.from_numpy(scales)


def gate_groups(groups: Any, names: list[str]) -> tuple[Tensor, list[str]]:
    """Gate of every column, and the gates' names.

    Args:
        groups: ``None``, one label a column, or a mapping of a group's name to its columns.
        names: Names of the columns.

    Returns:
        Gates numbered in the order of their first columns, shape ``(p,)``, and a name for each.

    Raises:
        ValueError: If there is not one label a column, or the mapping does not fit.
    """
    if groups is None:
        return torch.arange(len(names)), list(names)
    if isinstance(groups, Mapping):
        try:
            return column_groups(names, groups), term_names(names, groups)
        except (ValueError, TypeError) as error:
            raise ValueError(f"groups do not fit the columns: {error}") from error
    if isinstance(groups, str):
        raise ValueError(f"groups must be one label a column or a mapping, got {groups!r}")
    labels = [_label(one) for one in np.asarray(groups, dtype=object).reshape(-1)]
    shape = np.shape(groups)
    if shape != (len(names),):
        raise ValueError(f"groups must hold one label for each of {len(names)} columns, got shape {shape}")
    missing = [i for i, one in enumerate(labels) if one is None or one != one]
    if missing:
        raise ValueError(
            f"groups must label every column, got {labels[missing[0]]!r} for {names[missing[0]]!r}"
        )
    index: dict[Any, int] = {}
    numbers = [index.setdefault(label, len(index)) for label in labels]
    alone = {label: names[i] for i, label in enumerate(labels) if labels.count(label) == 1}
    # A label that is only a number says less than the name of the one column that has it.
    return torch.tensor(numbers), [
        alone[label] if label in alone and not isinstance(label, str) else str(label) for label in index
    ]


def _label(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def inclusion_prior(inclusion: Any, groups: Tensor) -> InclusionPrior:
    """The prior of the gates.

    Args:
        inclusion: A probability, one a gate, or the pair (a, b) of a Beta law.
        groups: Gate of every column.

    Raises:
        ValueError: If a probability is not strictly between 0 and 1, there are too few or too many, or a
            or b is not positive.
    """
    count = int(groups.max()) + 1
    if isinstance(inclusion, tuple):
        if len(inclusion) != 2:
            raise ValueError(
                f"inclusion as a tuple is the pair (a, b) of a Beta law, got {len(inclusion)} numbers; give "
                "probabilities by gate as an array"
            )
        a, b = (positive("inclusion = (a, b)", value) for value in inclusion)
        return InclusionPrior(beta=(a, b))
    values = _numbers("inclusion", inclusion)
    if values.ndim == 0:
        values = np.full(count, float(values))
    if values.shape == (len(groups),) != (count,):
        values = _by_gate(values, groups)
    if values.shape != (count,):
        what = "columns" if count == len(groups) else f"groups (or {len(groups)} columns)"
        raise ValueError(
            f"inclusion must be a number, an array with one for each of {count} {what}, or a tuple (a, b); "
            f"got shape {values.shape}"
        )
    wrong = ~((values > 0.0) & (values < 1.0))
    if wrong.any():
        first = float(values[int(wrong.argmax())])
        raise ValueError(f"inclusion must lie strictly between 0 and 1, got {first:g}{_instead(first)}")
    return InclusionPrior(log_odds=torch.logit(torch.from_numpy(values)))


def _instead(inclusion: float) -> str:
    """What to do in place of an inclusion of 0 or 1."""
    if inclusion == 0.0:
        return "; drop a column that is never to be in"
    return (
        "; for a column that is always to be in give one near it, such as 0.999999, or name it in always_in"
        if inclusion == 1.0
        else ""
    )


def _by_gate(values: Any, groups: Tensor) -> Any:
    result = np.empty(int(groups.max()) + 1)
    result[groups.numpy()] = values
    if (result[groups.numpy()] != values).any():
        raise ValueError("inclusion must be the same for all columns of a group, which share a gate")
    return result


def _numbers(name: str, value: Any) -> Any:
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers, got {value!r}") from error
