r"""The cost of a layer by the numbers of units that it makes and reads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from l0bayes.network.kinds.unit_axes import UnitAxes

__all__ = ["CostTerms", "cost_terms"]

_Coefficients = tuple[float, float, float, float]


@dataclass(frozen=True)
class CostTerms:
    r"""Cost of a layer of which M units are made and R read: :math:`c_0 + c_1 M + c_2 R + c_3 M R`.

    So the costs of many layers are worked out at once.

    Attributes:
        params: The four coefficients of the number of parameters.
        macs: Those of the multiply-accumulates.
        reads_all: Whether they hold only where all that comes is read, as in groups.
    """

    params: _Coefficients
    macs: _Coefficients
    reads_all: bool = False


def cost_terms(
    parameters: Iterable[tuple[str, Tensor]], axes_of: Mapping[str, UnitAxes], uses: Mapping[str, float]
) -> CostTerms:
    """The terms of a layer whose cost follows from the axes of its parameters.

    Args:
        parameters: Its parameters by name.
        axes_of: Their axes.
        uses: How often an example multiplies by each entry of a parameter, by name.
    """
    params, macs, reads_all = [0.0] * 4, [0.0] * 4, False
    for name, parameter in parameters:
        axes, shape = axes_of.get(name, UnitAxes()), parameter.shape
        out, into = axes.out, axes.into
        if out is not None and into is not None and axes.groups > 1:
            into, reads_all = None, True  # every row reads its group, whichever it is
        units = [axis % len(shape) for axis in (out, into) if axis is not None]
        each = float(math.prod(size for axis, size in enumerate(shape) if axis not in units))
        place = (out is not None) + 2 * (into is not None)
        params[place] += each
        macs[place] += each * uses.get(name, 0.0)
    return CostTerms(_four(params), _four(macs), reads_all)


def _four(values: list[float]) -> _Coefficients:
    one, made, read, both = values
    return one, made, read, both
