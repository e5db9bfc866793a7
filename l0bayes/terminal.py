"""What the command line prints, and how: tables, files, steps, errors in a line."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "cell",
    "command_line",
    "errors_in_a_line",
    "files_that_are_whole",
    "open_console",
    "print_files",
    "print_json",
    "print_lines",
    "print_table",
    "show_run",
    "show_selection",
    "steps",
    "use_one_thread",
]

_SELECTED = ("pip", "pip_mcse", "prior", "cond_mean", "cond_hdi_low", "cond_hdi_high", "p_positive", "bfdr_q")
_ROWS_SHOWN = 20


def open_console() -> Any:
    """A console as wide as the terminal, or 120 columns where the output goes to a file."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120)


def use_one_thread() -> None:
    """The demo's matrices are too small to share out, and on a busy machine threads wait for each other:
    with two of them the same run was measured up to four times slower.
    """
    import torch

    torch.set_num_threads(1)


@contextmanager
def errors_in_a_line(words: Callable[[str], str] = str) -> Iterator[None]:
    """What is wrong with arguments or files, in a line instead of a traceback; warnings in a line each.

    Args:
        words: From a message to how it is printed.
    """

    def told(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        typer.echo(f"Warning: {words(str(message))}", err=True)

    usual = warnings.showwarning
    warnings.showwarning = told
    try:
        yield
    except (OSError, ValueError, TypeError, ModuleNotFoundError) as error:
        typer.echo(f"error: {words(str(error))}", err=True)
        raise typer.Exit(2) from None
    finally:
        warnings.showwarning = usual


@contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """Says on stderr what is being done: a line that changes in a terminal, lines elsewhere."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda words: console.print(words, highlight=False, markup=False, emoji=False, soft_wrap=True)
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Starting")
        yield lambda words: progress.update(task, description=words)


def command_line() -> str:
    """As it was typed, the program by its name."""
    import shlex

    return shlex.join(["l0bayes", *sys.argv[1:]])


def files_that_are_whole(files: list[Path], out: Path) -> str:
    """What an interrupted command has written, in words.

    Args:
        files: Files that are complete.
        out: Their folder.
    """
    left = ", ".join(file.name for file in files)
    return f"{left} in {out} {'is' if len(files) == 1 else 'are'} whole" if left else "nothing was written"


# Names come from data and files. As plain strings rich would take [cm] for markup and :b: for a picture.
def print_lines(console: Any, lines: Iterable[str]) -> None:
    """Print lines as they are, without markup.

    Args:
        console: From :func:`open_console`.
        lines: The lines.
    """
    from rich.text import Text

    for line in lines:
        console.print(Text(line))


def print_json(value: Any) -> None:
    """Print JSON and nothing else.

    Args:
        value: Its text.

    Raises:
        ValueError: If a number is not finite.
    """
    import json

    typer.echo(json.dumps(value, indent=2, allow_nan=False))


def print_files(console: Any, files: Iterable[Path]) -> None:
    """Print which files were written.

    Args:
        console: From :func:`open_console`.
        files: The files.
    """
    from rich.text import Text

    console.print(Text("Files: " + ", ".join(str(file) for file in files)), soft_wrap=True)


def print_table(console: Any, frame: pd.DataFrame, title: str) -> None:
    """Print a table, whole where the output goes to a file.

    Args:
        console: From :func:`open_console`.
        frame: The table.
        title: Its title.
    """
    from rich.table import Table
    from rich.text import Text

    view = Table(title=Text(title, style="table.title"), title_justify="left")
    view.add_column(Text(str(frame.index.name or "")))
    for column in frame.columns:
        view.add_column(Text(str(column).replace("_", " ")), justify="right")
    for label, row in zip(frame.index, frame.itertuples(index=False), strict=True):
        view.add_row(Text(str(label)), *(Text(cell(value)) for value in row))
    if not console.is_terminal:  # in a file nothing need be cut
        whole = console.measure(view, options=console.options.update(width=10_000)).maximum
        console.width = max(console.width, whole)
    console.print(view)


_SPREADS = {
    "sigma": "Noise σ",
    "r2": "Explained variance R²",
    "df": "Degrees of freedom",
    "slab_scale": "Slab scale",
}


def show_selection(found: Any) -> None:
    """Print what a selection found.

    Args:
        found: The selection.
    """
    console = open_console()
    shown = found.summary[list(_SELECTED)].head(_ROWS_SHOWN)
    title = "Posterior inclusion"
    if len(found.summary) > len(shown):
        title += f", the {len(shown)} most probable of {len(found.summary)} columns"
    print_table(console, shown, title)
    fit = found.estimator
    expected = float(fit.original_scale_.pip.sum())
    told = [f"Expected model size {expected:.2f} of {len(found.data.gates)}"]
    for name, spread in found.spreads.items():
        words = _SPREADS.get(name, name.capitalize())
        interval = f"{100.0 * found.settings.hdi:g} % interval {spread.low:.3g} to {spread.high:.3g}"
        told.append(f"{words} {spread.mean:.3g}, {interval}")
    print_lines(console, [*told, f"Trust: {found.trust_words}"])
    print_lines(console, found.sensitivity_words)
    if found.calibration is not None:
        print_lines(console, [found.calibration.words])
    print_lines(console, [f"Warning: {words}" for words in found.warnings])
    print_files(console, found.files)


def show_run(run: Any) -> None:
    """Print a training run.

    Args:
        run: The run.
    """
    console = open_console()
    print_lines(console, run.summary())
    if run.results:
        print_table(console, run.layers, "Layers")
        print_table(console, run.costs, "Cost")
        if run.baselines is not None:
            print_table(console, run.baselines, "Beside networks trained from scratch, same epochs and seeds")
    print_files(console, run.files)


def cell(value: Any) -> str:
    """A value of a table, in three digits where it is a fraction.

    Args:
        value: The value.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return "yes" if value else ""
    if float(value).is_integer() and abs(value) >= 2:
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.3g}"
