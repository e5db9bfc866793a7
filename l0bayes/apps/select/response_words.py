r"""Warnings about a response for which no likelihood was named."""

from __future__ import annotations

import torch

from l0bayes.apps.select.formulas import FormulaData
from l0bayes.apps.select.select_settings import SelectSettings
from l0bayes.likelihoods.likelihood_registry import names, registered

__all__ = ["doubts_about_response"]


def doubts_about_response(data: FormulaData, settings: SelectSettings) -> list[str]:
    """A warning where a response may be counts or classes, and no likelihood was named.

    Whole numbers that are not negative may be counts, and any two values may be classes.

    Args:
        data: What the formula made of the table.
        settings: What was asked for.
    """
    if settings.likelihood is not None or not settings.law.conjugate:
        return []
    y = data.y.to_numpy(float) + 0.0  # -0 is 0
    # Two rows have two values whatever they are.
    two = len(y) > 2 and len(set(y.tolist())) == 2
    if not two and ((y % 1 != 0).any() or (y < 0).any()):
        return []
    seen = torch.tensor(y == y.max() if two else y, dtype=torch.float64)
    fitting = [
        name
        for name in names("selection")
        if not (registered(name).has_noise or registered(name).response_shape)
        and registered(name).has_classes == two
        and not bool(registered(name)().impossible(seen).any())
    ]
    if not fitting:
        return []
    held = (
        f"two values only, {y.min():g} and {y.max():g}"
        if two
        else f"whole numbers only, {y.min():g} to {y.max():g}"
    )
    meant, on_the_left = "classes" if two else "counts", ""
    if two and (y % 1 != 0).any():  # classes are words, truth values or whole numbers
        on_the_left = f" and I({data.response} > {y.min():g}) for the response"
    return [
        f"response {data.response!r} holds {held}, and no likelihood was named: a linear regression was "
        f"fitted. If these are {meant}, write --likelihood {' or '.join(fitting)}{on_the_left}; --likelihood "
        "gaussian says they are not"
    ]
