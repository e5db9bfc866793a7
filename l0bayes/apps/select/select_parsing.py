r"""Priors and options from the text of the command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from l0bayes.apps.select.formula_text import sides
from l0bayes.apps.select.row_columns import survival_response

__all__ = [
    "likelihood_of",
    "parse_g",
    "parse_inclusion",
    "parse_noise_prior",
    "parse_options",
    "parse_slab_scale",
    "parse_slab_scale_prior",
]


def parse_inclusion(text: str | None) -> float | tuple[float, float] | None:
    """An inclusion probability, or the two numbers of a Beta law, from text.

    Args:
        text: Such as ``"0.1"`` or ``"1,9"``.

    Raises:
        ValueError: If it is neither.
    """
    if text is None:
        return None
    try:
        parts = [float(part) for part in text.split(",")]
    except ValueError:
        parts = []
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        return parts[0], parts[1]
    raise ValueError(
        f"inclusion must be a probability such as 0.1, or a,b of a Beta law such as 1,9; got {text!r}"
    )


def parse_noise_prior(text: str | None) -> str | tuple[float, float] | None:
    """A prior of the noise from text: a word as it is, or the two numbers of an inverse gamma law.

    Args:
        text: Such as ``"jeffreys"`` or ``"2,0.5"``.

    Raises:
        ValueError: If there is a comma, but not two numbers about it.
    """
    if text is None or "," not in text:
        return text
    try:
        shape, rate = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            "noise-prior must be weak, jeffreys, or shape,rate of an inverse gamma law such as 2,0.5; got "
            f"{text!r}"
        ) from None
    return shape, rate


def parse_slab_scale(text: str | None) -> float | str | None:
    """A slab scale from text: a number, or a word as it is.

    Args:
        text: Such as ``"0.5"`` or ``"learned"``.
    """
    return parse_g(text)


def parse_slab_scale_prior(text: str | None) -> tuple[Any, ...] | None:
    """A prior of slab scales from text: its name, and numbers.

    Args:
        text: Such as ``"half-cauchy,1"``.

    Raises:
        ValueError: If something behind the name is no number.
    """
    if text is None:
        return None
    name, *numbers = text.split(",")
    try:
        return (name.strip(), *map(float, numbers))
    except ValueError:
        raise ValueError(
            "slab-scale-prior must be a name and numbers, such as half-cauchy,1 or inverse-gamma,2,1; got "
            f"{text!r}"
        ) from None


def parse_g(text: str | None) -> str | float | None:
    """The g of Zellner's prior from text: a number, or a word as it is.

    Args:
        text: Such as ``"unit"`` or ``"50"``.
    """
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def parse_options(texts: Iterable[str]) -> dict[str, float]:
    """Options of a likelihood, from texts.

    Args:
        texts: Such as ``"dispersion=0.5"``, one for each option.

    Raises:
        ValueError: If a text is none of the kind.
    """
    options = {}
    for text in texts:
        name, separator, value = text.partition("=")
        try:
            options[name.strip()] = float(value)
        except ValueError:
            separator = ""
        if not separator or not name.strip():
            raise ValueError(f"likelihood-option must read name=number, such as dispersion=0.5; got {text!r}")
    return options


def likelihood_of(named: str | None, formula: str | None) -> str | None:
    """The likelihood that was named, or the one that a formula says by ``Surv(time, event)``.

    Args:
        named: Its name, where one was given.
        formula: The formula, where there is one.
    """
    if named is not None or formula is None or "~" not in formula:
        return named
    return "cox" if survival_response(sides(formula)[0]) is not None else None
