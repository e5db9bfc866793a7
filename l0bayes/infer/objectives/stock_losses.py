r"""Losses of Pyro's own that score gates and slabs at their draws, where an analytic KL is needed.

Such a loss takes :math:`\log q(z) - \log p(z)` at a draw. For a relaxed gate the first is a density on
:math:`\{0\} \cup (0, 1) \cup \{1\}` and the second the probability of a binary gate, so that their
difference is no KL; and its gradient does not see that mass moves between the atoms and the interior. For a
slab it charges the whole :math:`\mathrm{KL}(\text{base}\,\|\,p)` where the gate is shut.
"""

from __future__ import annotations

import sys
from types import CodeType, FrameType

from pyro.infer import (
    Importance,
    RenyiELBO,
    ReweightedWakeSleep,
    Trace_ELBO,
    TraceEnum_ELBO,
    TraceGraph_ELBO,
    TraceMeanField_ELBO,
    TraceTMC_ELBO,
)
from pyro.infer.importance import vectorized_importance_weights

from l0bayes.user_warnings import warn_user

__all__ = ["StockLossWarning", "running_stock_loss", "warn_of_stock_loss"]

# No message says which loss asks for a trace, but the function that takes the trace does. Subclasses that
# inherit it are known by it too.
_LOSSES: dict[CodeType, str] = {
    Trace_ELBO._get_trace.__code__: "Trace_ELBO",
    TraceGraph_ELBO._get_trace.__code__: "TraceGraph_ELBO",
    TraceEnum_ELBO._get_trace.__code__: "TraceEnum_ELBO",
    TraceTMC_ELBO._get_trace.__code__: "TraceTMC_ELBO",
    RenyiELBO._get_trace.__code__: "RenyiELBO",
    ReweightedWakeSleep._get_trace.__code__: "ReweightedWakeSleep",
    Importance._traces.__code__: "Importance",
    vectorized_importance_weights.__code__: "vectorized_importance_weights",
}
# It takes the registered KLs, though its function calls that of Trace_ELBO.
_OF_KLS = TraceMeanField_ELBO._get_trace.__code__
_WEIGHTS = ("Importance", "vectorized_importance_weights")


class StockLossWarning(UserWarning):
    """A loss of Pyro's scores gates or slabs by densities that are not those of the guide's family."""


def running_stock_loss() -> str | None:
    """Which of Pyro's losses that score draws has called, by the frames of the caller; ``None`` if none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name, caller = _LOSSES.get(frame.f_code), frame.f_back
        if name is not None:
            return None if caller is not None and caller.f_code is _OF_KLS else name
        frame = caller
    return None


def warn_of_stock_loss(loss: str, guide: str, *, relaxed: bool, slabs: bool) -> None:
    """Say what one of Pyro's losses that score draws does to a guide for which it is not meant.

    Args:
        loss: Its name.
        guide: Name of the guide's class.
        relaxed: Whether the guide has gates that are not binary, or whose gradient takes them for not binary.
        slabs: Whether it has slabs behind gates.

    Warns:
        StockLossWarning: If either is so.
    """
    if relaxed:
        fault = (
            f"is not for the relaxed gates of {guide}: it compares the density of a relaxed gate with the "
            "probability of a binary one, so that inclusion probabilities come out wrong"
        )
    elif slabs:
        fault = (
            f"charges the slabs of {guide} in full where their gates are shut, so that too many gates shut"
        )
    else:
        return
    if loss in _WEIGHTS:
        remedy = "use l0bayes.posterior.importance_weighted(model, guide, data), which hardens the guide"
    else:
        remedy = "train with l0bayes.fit, or SVI(model, guide, optim, l0bayes.infer.MeanFieldELBO())"
    warn_user(f"{loss} {fault}; {remedy}", StockLossWarning)
