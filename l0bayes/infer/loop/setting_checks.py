"""Checks of single settings, and their text."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from l0bayes import validate
from l0bayes.infer.schedules import Schedule
from l0bayes.infer.targets.target import Target

__all__ = ["check_places", "check_schedule", "check_search", "check_shrink", "target_text"]


def check_schedule(name: str, schedule: Schedule, check: Callable[..., None]) -> None:
    """Check a schedule at its beginning, middle and end.

    Args:
        name: Name of the setting.
        schedule: The schedule.
        check: Checks a value that it is given by the name of the setting.

    Raises:
        ValueError: If it fails somewhere.
    """
    for at in (0.0, 0.5, 1.0):
        try:
            check(**{name: schedule(at)})
        except ValueError as error:
            raise ValueError(f"{error} at progress {at}") from None


def check_shrink(shrink: bool, sleep: bool, restarts: int) -> None:
    """Check what does not go with taking units out for good.

    Args:
        shrink: The setting.
        sleep: The setting.
        restarts: The setting.

    Raises:
        ValueError: If both are given, or several runs.
    """
    if shrink and sleep:
        raise ValueError("give shrink or sleep, not both: shrink takes units out for good")
    if shrink and restarts > 1:
        raise ValueError(f"shrink=True goes with one run; got restarts={restarts}")


def check_search(searches: bool, search_share: float | None, round_to: int | None) -> None:
    """Check the settings of a search and its cut.

    Args:
        searches: Whether there is one: ``shrink`` with a target.
        search_share: The setting.
        round_to: The setting.

    Raises:
        ValueError: If one is out of range, or given without a search.
    """
    validate.inside("(0, 1)", **validate.given(search_share=search_share))
    if search_share is not None and not searches:
        raise ValueError("search_share goes with shrink=True and a target, which a search is for")
    validate.at_least(1, **validate.given(round_to=round_to))
    if round_to is not None and not searches:
        raise ValueError(
            "round_to goes with shrink=True and a target; otherwise gates are trained to the end: give "
            "round_to to deploy"
        )


def check_places(**files: str | os.PathLike[str] | None) -> None:
    """Check that files can stand where they are to be written.

    Args:
        **files: The files, by the names of their settings; ``None`` where there is none.

    Raises:
        ValueError: If a folder does not exist, or what is named is itself one.
    """
    for name, file in files.items():
        if file is not None and Path(file).is_dir():
            raise ValueError(f"{name} must be a file; {os.fspath(file)!r} is a folder")
        folder = None if file is None else Path(file).absolute().parent
        if folder is not None and not folder.is_dir():
            raise ValueError(f"{name} must stand in a folder that exists; {folder} does not")


def target_text(target: str | Target | None) -> str | None:
    """A target in the form in which all ways of writing it are one text.

    Args:
        target: The setting.
    """
    if isinstance(target, str):
        target = Target.parse(target)
    return None if target is None else str(target)
