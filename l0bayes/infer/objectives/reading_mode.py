"""How models and guides run while they are read: with trained parameters, on all data, leaving no trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

from pyro import poutine

from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.infer.flow_caches import forget_flow_caches
from l0bayes.infer.trained_parameters import TrainedParameters
from l0bayes.infer.whole_plates import whole_plates

__all__ = ["reading_mode"]

_READING: ContextVar[bool] = ContextVar("reading", default=False)


@contextmanager
def reading_mode(
    *modules: Any, parameters: TrainedParameters | None = None, whole: bool = True
) -> Iterator[None]:
    """Run models and guides to read them; inside another such run it changes nothing.

    Modules run in evaluation mode, so that no statistics are updated and nothing is dropped; each one's mode
    comes back. Values of ``pyro.param`` are the trained ones, plates that draw a part of their rows hold all,
    handlers around see nothing, and Pyro's parameter store is afterwards as it was.

    Args:
        *modules: The model and the guide, which keep the parameters that they hold themselves.
        parameters: The trained values; by default those in Pyro's store.
        whole: Whether plates hold all their rows.

    Warns:
        UntrainedParameterWarning: If a ``pyro.param`` has no trained value.
    """
    if _READING.get():
        yield
        return
    known = TrainedParameters.in_store(*modules) if parameters is None else parameters
    forget_flow_caches(*modules)
    token = _READING.set(True)
    try:
        with ExitStack() as stack:
            for module in modules:
                stack.enter_context(evaluating(module))
            stack.enter_context(poutine.block())
            stack.enter_context(known.in_use_for(*modules))
            stack.enter_context(whole_plates() if whole else nullcontext())
            yield
    finally:
        _READING.reset(token)
        forget_flow_caches(*modules)
