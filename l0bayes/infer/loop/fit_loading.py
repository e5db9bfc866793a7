r"""Fits that were kept, read again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from l0bayes.infer.loop.fit_files import read_fit
from l0bayes.infer.loop.fit_result import Fit
from l0bayes.infer.objectives.objective import Objective

__all__ = ["load_fit"]


def load_fit(
    folder: str | os.PathLike[str],
    model: Any,
    guide: Any,
    data: Any = None,
    kwargs: Mapping[str, Any] | None = None,
) -> Fit:
    """Read a fit that :meth:`Fit.save` kept, in another process or on another machine too.

    Model and guide are made as they were for the fit, by the same code; they take the values of the best run.
    Nothing in the folder is unpickled or run.

    Args:
        folder: The folder.
        model: The model.
        guide: The guide, with parameters of the same names and shapes.
        data: The data, for readers of the fit that are given none.
        kwargs: The model's keyword arguments.

    Returns:
        The fit. Its ``config`` holds the settings as plain values; ``settings`` is ``None``.

    Raises:
        FileNotFoundError: If there is no such folder, or no fit in it.
        SavedFitError: If the file is not whole, or of another model or guide.

    Example::

        fit.save("runs/first")
        again = l0bayes.load_fit("runs/first", model, AutoHardConcrete(model, (x, y)), (x, y))
    """
    runs, about = read_fit(folder, model, guide)
    return Fit(
        runs,
        Objective(**about["objective"]),
        about["config"],
        data,
        about["num_gates"],
        about["seconds"],
        about["mode"],
        kwargs=dict(kwargs or {}),
    )
