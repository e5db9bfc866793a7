r"""Functions that a formula may call, and what to write in place of those it may not."""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np

from l0bayes.apps.select.weighted_transforms import natural_spline, weighted_transforms
from l0bayes.estimators.input_tables import Array

__all__ = ["FACTOR", "NATURAL_SPLINE", "SEVERAL_COLUMNS", "context", "function_called", "is_function"]

NATURAL_SPLINE = "ns"
"""R's natural spline, whose columns together are no constant, beside an intercept."""
FACTOR = "C"
"""The function that makes a factor of a column."""
SEVERAL_COLUMNS = (FACTOR, "bs", "cs", "cc", "cr", NATURAL_SPLINE, "poly")
"""Functions that make several columns of one, which hold the column itself."""

# Names that a function has in other packages.
_ALSO_CALLED = {"factor": FACTOR, "as.factor": FACTOR, "ordered": FACTOR}
_INSTEAD = {
    "offset": "an offset is an option and no term: leave it out of the formula and write --offset COLUMN, "
    "for counts also --exposure COLUMN, which takes the logarithm by itself; in Python fit(..., offset=...)",
    "cbind": "the response is one column: write 'successes ~ ...' with --likelihood binomial --trials "
    "COLUMN, where the trials are successes and failures together; in Python SpikeSlabBinomial",
    "ifelse": "write a comparison, which counts as 0 and 1: I(age > 50)",
    "cut": "write comparisons, I(age > 50), a spline, bs(age, df=4), or make the classes a column of the "
    "table",
    "relevel": "no result here depends on which level comes first: write C(region)",
    "as.numeric": "write the column as it is; text among numbers is refused by row",
    "as.integer": "write the column as it is; text among numbers is refused by row",
    "as.character": "write C(region) for a factor",
    "interaction": "write a:b for a product of factors",
    "c": "write a list in brackets: levels=['a', 'b']",
    "s": "smooths of this kind are not here: write bs(age, df=4), a spline whose columns share a gate",
    "te": "smooths of this kind are not here: write bs(age, df=4):bs(dose, df=4)",
    "rcs": "write ns(age, df=4), a natural spline whose columns share a gate",
    "lag": "rows are taken to be in no order: make the lagged column in the table",
    "weights": "weights are an option and no term: write --weights COLUMN; in Python fit(..., "
    "sample_weight=...)",
    "Surv": "times to an event are a response and no term: write Surv(time, event) ~ ..., with two columns",
    "strata": "baseline hazards of their own are not here: write C(site) for a factor whose levels "
    "share a gate",
    "cluster": "write C(site) for a factor whose levels share a gate",
}
_FURTHER = (
    "sqrt", "cbrt", "log1p", "expm1", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos",
    "arctan", "floor", "ceil", "sign", "minimum", "maximum", "where",
)  # fmt: skip
_PYTHON = ("abs", "round")


def context(counts: Array | None = None) -> dict[str, Any]:
    """What a formula may use beside the columns and what ``formulaic`` brings.

    Args:
        counts: How many rows each row stands for, in what functions learn from rows; ``None`` where each
            stands for itself, or nothing is learned.
    """
    found = {NATURAL_SPLINE: natural_spline(), **{name: getattr(np, name) for name in _FURTHER}}
    if counts is not None and (counts != 1.0).any():
        found |= weighted_transforms(counts)
    return found


def is_function(name: str) -> bool:
    """Whether a name, or what stands before its first dot, is a function of formulas.

    Args:
        name: Such as ``"log"``, ``"np.log"`` or ``"contr.sum"``.
    """
    return name.split(".")[0] in _known() or name in _ALSO_CALLED


def function_called(name: str) -> str:
    """The function by the name that it has here.

    Args:
        name: As in the formula.

    Raises:
        ValueError: If there is none, with what to write in its place.
    """
    if name in _INSTEAD:
        raise ValueError(f"formula calls {name}(): {_INSTEAD[name]}")
    if name in _ALSO_CALLED:
        return _ALSO_CALLED[name]
    if name.split(".")[0] in _known():
        return name
    near = difflib.get_close_matches(name, sorted(_known() - {"np", "contr"}), n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise ValueError(
        f"formula calls {name}(), which is no function here{hint}. There are "
        f"{', '.join(sorted(_known() - set(_INSTEAD) - {'np', 'contr'}, key=str.lower))}, and those of NumPy "
        "as np.log1p and the like"
    )


def _known() -> set[str]:
    from formulaic.transforms import TRANSFORMS

    return {*TRANSFORMS, NATURAL_SPLINE, *_FURTHER, *_PYTHON}
