"""One damaged file, and what its loader makes of it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fuzzing.loaders import Loader
from benchmarks.fuzzing.mutations import mutated

__all__ = ["HANDLED", "Outcome", "Trials"]

HANDLED = (ValueError, OSError, NotImplementedError)
"""What a loader may raise: a file that is none, or not whole, and what is not supported."""

_SECONDS = 30


@dataclass
class Outcome:
    """What came of many damaged files.

    Attributes:
        loaded: Those that were loaded: the damage changed a number, or nothing that matters.
        refused: Those that were refused by an error that says why.
        wrong: The others, as loader, number of the trial and the end of the traceback.
    """

    loaded: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)


class Trials:
    """Damages the files of one loader, again and again.

    Args:
        name: Name of the loader.
        loader: The loader.
        folder: An empty folder to work in.
    """

    def __init__(self, name: str, loader: Loader, folder: Path) -> None:
        self.name, self.loader = name, loader
        self.whole, self.work = folder / "whole", folder / "work"
        self.whole.mkdir(parents=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loader.write(self.whole)
            shutil.copytree(self.whole, self.work)
            loader.load(self.work)  # what is whole loads: an error here is none of the damage
        found = sorted({path for pattern in loader.files for path in self.whole.glob(pattern)})
        self.files = [path.relative_to(self.whole) for path in found]
        assert self.files, f"{name} wrote none of {loader.files}"

    def run(self, numbers: range) -> Outcome:
        """The outcome of some trials; a trial is a function of the loader's name and its number.

        Args:
            numbers: Their numbers.
        """
        outcome = Outcome()
        for number in numbers:
            draw = random.Random(f"{self.name} {number}")
            shutil.rmtree(self.work, ignore_errors=True)
            shutil.copytree(self.whole, self.work)
            chosen = self.work / draw.choice(self.files)
            chosen.write_bytes(mutated(chosen.read_bytes(), draw))
            self._try(number, outcome)
        return outcome

    def _try(self, number: int, outcome: Outcome) -> None:
        try:
            with _in_time(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.loader.load(self.work)
        except HANDLED as error:
            if len(str(error)) < 10:
                outcome.wrong.append(f"{self.name} {number}: {type(error).__name__} says only {error}")
            else:
                outcome.refused += 1
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(last.filename).name}:{last.lineno}"
            said = f"{type(error).__name__}: {str(error)[:150]}"
            outcome.wrong.append(f"{self.name} {number}: {said} at {place}")
        else:
            outcome.loaded += 1


class _TookTooLong(BaseException):
    pass


@contextmanager
def _in_time() -> Iterator[None]:
    """An error after half a minute, where the system has alarms."""
    if os.name != "posix":
        yield
        return

    def ring(signum: int, frame: Any) -> None:
        raise _TookTooLong(f"more than {_SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
