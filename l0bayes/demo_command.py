"""The commands ``l0bayes demo``, ``diabetes``, ``digits`` and ``clinics``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import typer

from l0bayes import validate
from l0bayes.command_options import Out, Seed
from l0bayes.terminal import (
    errors_in_a_line,
    open_console,
    print_lines,
    print_table,
    use_one_thread,
)

__all__ = ["add_demo"]

_TERMS_SHOWN = 10
_OUT = Path("demo-output")


def add_demo(app: typer.Typer) -> None:
    """Add the commands.

    Args:
        app: The commands.
    """
    for command in (demo, diabetes, digits, clinics):
        app.command()(command)


def demo(out: Out = _OUT, seed: Seed = 0) -> None:
    """All three examples: a table, a network, a model of one's own. About a minute."""
    from l0bayes.apps.demo import next_steps

    started = time.perf_counter()
    diabetes(out / "diabetes", seed)
    digits(out / "digits", seed)
    clinics(out / "clinics", seed)
    taken = time.perf_counter() - started
    lines = [f"Done in {taken:.0f} s. Everything is in {out}/", "", *next_steps(out)]
    print_lines(_console(), lines)


def diabetes(out: Out = _OUT / "diabetes", seed: Seed = 0) -> None:
    """A table: 64 linear, square and interaction terms; a fit that fails, and how it is put right."""
    from l0bayes.apps import demo as acts

    console = _begin("1 of 3. A table: which of 64 terms explain the progression of diabetes?", seed)
    with errors_in_a_line():
        result = acts.run_diabetes(out, seed=seed)
    title = f"PIP, the {_TERMS_SHOWN} most probable terms by the chains"
    shown = result.table.drop(columns="chains_error").rename(columns={"chains": "long_chains"})
    _show(console, result, out, shown.head(_TERMS_SHOWN), title)


def digits(out: Out = _OUT / "digits", seed: Seed = 0) -> None:
    """A network: 64-300-100-10 with gates on every pixel and unit, beside networks trained from scratch."""
    from l0bayes.apps import demo as acts

    console = _begin("2 of 3. A network: how small can it be and still read digits?", seed)
    with errors_in_a_line():
        result = acts.run_digits(out, seed=seed)
    _show(
        console,
        result,
        out,
        result.table,
        "Test error, sizes, seconds of training, time of a run of 1 and of 100 images",
    )


def clinics(out: Out = _OUT / "clinics", seed: Seed = 0) -> None:
    """A model of one's own in Pyro: which effects are there, and which differ between clinics?"""
    from l0bayes.apps import demo as acts

    console = _begin("3 of 3. A Pyro model of one's own: which effects differ between clinics?", seed)
    with errors_in_a_line():
        result = acts.run_clinics(out, seed=seed)
    _show(console, result, out, result.table, "PIP of both gates of every column")


def _console() -> Any:
    """As wide as the terminal, but at most the hundred columns that the demo is written for."""
    from l0bayes.apps.demo.demo_words import WIDTH

    console = open_console()
    console.width = min(console.width, WIDTH)
    return console


def _begin(title: str, seed: int) -> Any:
    with errors_in_a_line():
        validate.not_negative(seed=seed)
    use_one_thread()
    console = _console()
    console.rule(title, align="left")
    return console


def _show(console: Any, result: Any, out: Path, table: Any, title: str) -> None:
    from l0bayes.apps.demo.demo_words import labelled

    print_lines(console, [*result.question, ""])
    print_table(console, table.round(3), title)
    names = [file.relative_to(out).as_posix() for file in result.files]
    print_lines(console, [*result.answer, labelled("Files", f"{out.as_posix()}: {', '.join(names)}"), ""])
