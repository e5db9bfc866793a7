r"""Functions of formulas that learn from rows, of which a row of weight w counts as w rows like it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from l0bayes.estimators.input_tables import Array

__all__ = ["natural_spline", "weighted_quantiles", "weighted_transforms"]


def natural_spline() -> Any:
    """R's ``ns()``: a natural cubic spline that has no constant beside an intercept."""
    from formulaic.transforms.cubic_spline import cubic_spline
    from formulaic.utils.stateful_transforms import stateful_transform

    return stateful_transform(partial(cubic_spline, cyclic=False, constraints="center"))


def weighted_quantiles(values: Array, counts: Array, shares: Array) -> Array:
    r"""Quantiles of values that stand for several rows each, as ``numpy.quantile`` has them of all rows.

    With cumulative counts :math:`C_i` of the sorted values and the step :math:`s = \min(1, \min_i w_i)`, the
    quantile at q is read at :math:`q (C_n - s)` off the line that is :math:`x_i` from :math:`C_{i-1}` to
    :math:`C_i - s`, and straight between. Whole counts have the step 1, with the places of the order
    statistics of repeated rows; of weights that are shares of one row the smallest is the step, so that equal
    ones give the quantiles of the rows themselves.

    Args:
        values: The values, shape ``(n,)``.
        counts: How many rows each stands for, above 0, shape ``(n,)``.
        shares: The shares q, from 0 to 1.
    """
    order = np.argsort(values, kind="stable")
    sorted_values, after = values[order], np.cumsum(counts[order])
    step = min(1.0, float(counts.min()))
    places = np.stack([after - counts[order], after - step], 1).ravel()
    levels = np.repeat(sorted_values, 2)
    wanted = shares * (after[-1] - step)
    right = np.clip(np.searchsorted(places, wanted, side="left"), 1, len(places) - 1)
    low, high = levels[right - 1], levels[right]
    width = places[right] - places[right - 1]
    part = np.clip((wanted - places[right - 1]) / np.where(width > 0.0, width, 1.0), 0.0, 1.0)
    # As NumPy rounds it.
    found: Array = np.where(part >= 0.5, high - (high - low) * (1.0 - part), low + (high - low) * part)
    return found


def weighted_transforms(counts: Array) -> dict[str, Any]:
    """The functions that learn from rows, by their names; what is learned is kept as ``formulaic`` does.

    Args:
        counts: How many rows each row of the table stands for, shape ``(n,)``. Rows of 0 have no part: where
            they lie outside a spline, they are put at its end.
    """
    from formulaic.transforms import TRANSFORMS
    from formulaic.utils.stateful_transforms import stateful_transform

    plain = {**TRANSFORMS, "ns": natural_spline()}
    learners: dict[str, Callable[..., None]] = {
        "bs": _learn_bs,
        "poly": _learn_poly,
        "scale": partial(_learn_scale, ddof=1.0),
        "center": partial(_learn_scale, scale=False),
        "standardize": _learn_standardize,
        **dict.fromkeys(("cs", "cr", "cc", "ns"), _learn_cubic),
    }

    def weighted(name: str, learn: Callable[..., None]) -> Any:
        function = plain[name]

        def transform(data: Any, *given: Any, _state: Any = None, **named: Any) -> Any:
            state: dict[str, Any] = {} if _state is None else _state
            if not state:
                values = np.asarray(data, dtype=np.float64)
                used = counts > 0.0
                learn(function, values[used], counts[used], state, given, named)
                if "lower_bound" in state and not used.all():
                    inside = np.clip(values, state["lower_bound"], state["upper_bound"])
                    data = np.where(used, values, inside)
            return function(data, *given, _state=state, **named)

        return stateful_transform(transform)

    return {name: weighted(name, learn) for name, learn in learners.items()}


def _learn_bs(
    function: Any, x: Array, counts: Array, state: dict[str, Any], given: Any, named: dict[str, Any]
) -> None:
    """Ends, and knots at quantiles where their number was asked for."""

    def arguments(
        df: Any = None, knots: Any = None, degree: int = 3, include_intercept: bool = False,
        lower_bound: Any = None, upper_bound: Any = None, extrapolation: Any = "raise",
    ) -> tuple[Any, int, str]:  # fmt: skip
        return df, degree, str(getattr(extrapolation, "value", extrapolation))

    df, degree, extrapolation = arguments(*given, **named)
    function(x, *given, _state=state, **named)
    if not df:
        return
    low, high = float(state["lower_bound"]), float(state["upper_bound"])
    inside = (x >= low) & (x <= high) | (extrapolation in ("raise", "extend"))
    inner = len(state["knots"]) - 2 * (degree + 1)
    shares = np.linspace(0.0, 1.0, inner + 2)[1:-1]
    middle = weighted_quantiles(x[inside], counts[inside], shares).tolist()
    state["knots"] = [*[low] * (degree + 1), *middle, *[high] * (degree + 1)]


def _learn_cubic(
    function: Any, x: Array, counts: Array, state: dict[str, Any], given: Any, named: dict[str, Any]
) -> None:
    """Ends and knots, which are of distinct values, and the mean of the columns, where it is taken off."""
    x = x[:, 0] if x.ndim == 2 and x.shape[1] == 1 else x
    function(x, *given, _state=state, **named)
    asked = named.get("constraints", given[4] if len(given) > 4 else None)
    centred = (
        asked == "center" if isinstance(asked, str) else asked is None and state["constraints"] is not None
    )
    if centred:
        low, high = state["lower_bound"], state["upper_bound"]
        way = str(getattr(named.get("extrapolation"), "value", named.get("extrapolation")))
        free = function(
            np.clip(x, low, high) if way == "clip" else x,
            *given,
            _state={**state, "constraints": None},
            **{**named, "extrapolation": "extend"},
        )
        columns = [free[key] for key in sorted(free)]
        state["constraints"] = np.average(np.stack(columns, 1), axis=0, weights=counts)[None]


def _learn_poly(
    function: Any, x: Array, counts: Array, state: dict[str, Any], given: Any, named: dict[str, Any]
) -> None:
    r"""Polynomials that are orthogonal over the rows, by the three-term recurrence

    .. math:: P_{k+1} = (x - \alpha_k) P_k - \beta_k P_{k-1}, \quad
        \alpha_k = \frac{\sum_i w_i x_i P_k^2}{\sum_i w_i P_k^2}, \quad
        \beta_k = \frac{\sum_i w_i P_k^2}{\sum_i w_i P_{k-1}^2}.
    """

    def arguments(degree: int = 1, raw: bool = False) -> tuple[int, bool]:
        return degree, raw

    degree, raw = arguments(*given, **named)
    if raw:
        return
    alpha: dict[int, float] = {}
    norms: dict[int, float] = {}
    before, now = np.zeros_like(x), np.ones_like(x)
    for order in range(degree + 1):
        norms[order] = float(np.sum(counts * now**2))
        if order == degree:
            break
        alpha[order] = float(np.sum(counts * x * now**2)) / norms[order]
        beta = norms[order] / norms[order - 1] if order else 0.0
        before, now = now, (x - alpha[order]) * now - beta * before
    state["alpha"], state["norms2"] = alpha, norms


def _learn_scale(
    function: Any,
    x: Array,
    counts: Array,
    state: dict[str, Any],
    given: Any,
    named: dict[str, Any],
    *,
    scale: bool = True,
    ddof: float = 1.0,
) -> None:
    """Mean and standard deviation."""

    def arguments(center: Any = True, scale: Any = scale, ddof: float = ddof) -> tuple[Any, Any, float]:
        return center, scale, ddof

    center, scaled, degrees = arguments(*given, **named)
    _learn_moments(x, counts, state, center, scaled, degrees)


def _learn_standardize(
    function: Any, x: Array, counts: Array, state: dict[str, Any], given: Any, named: dict[str, Any]
) -> None:
    def arguments(center: Any = True, rescale: Any = True, ddof: float = 0.0) -> tuple[Any, Any, float]:
        return center, rescale, ddof

    _learn_moments(x, counts, state, *arguments(*given, **named))


def _learn_moments(
    x: Array, counts: Array, state: dict[str, Any], center: Any, scale: Any, ddof: float
) -> None:
    def taken(asked: Any, learned: Callable[[], Any]) -> Any:
        if isinstance(asked, bool):
            return learned() if asked else None
        return np.array(asked)

    state["ddof"] = ddof
    state["center"] = taken(center, lambda: np.average(x, axis=0, weights=counts))
    left = x if state["center"] is None else x - state["center"]
    # Of weights that are shares of one row, the smallest is the row that a degree of freedom costs.
    rows = float(counts.sum()) - ddof * min(1.0, float(counts.min()))
    state["scale"] = taken(scale, lambda: np.sqrt(np.tensordot(counts, left**2, 1) / rows))
