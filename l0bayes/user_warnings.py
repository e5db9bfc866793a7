"""Warnings that point at the user's own line, however deep in the library they are issued."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

__all__ = ["warn_user"]

# Packages whose frames stand between a user's call and a warning: decorators such as torch.no_grad add some.
_PASSED_OVER = frozenset({"l0bayes", "torch", "pyro", "sklearn", "joblib", "contextlib", "functools"})


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Issue a warning at the nearest line outside of this library and of what it runs on.

    A fixed ``stacklevel`` would be wrong as soon as a function is called by another way. Where all lines are
    of the library, as on the command line, it is the outermost.

    Args:
        message: What is said.
        category: Class of the warning.
    """
    frame: FrameType = sys._getframe(1)
    while _passed_over(frame) and frame.f_back is not None:
        frame = frame.f_back
    module = frame.f_globals.get("__name__") or "<unknown>"
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(message, category, frame.f_code.co_filename, frame.f_lineno, module, registry)


def _passed_over(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__") or ""
    return str(name).partition(".")[0] in _PASSED_OVER
