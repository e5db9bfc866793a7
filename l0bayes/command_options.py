"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Load", "Out", "Seed", "Threads"]

Out = Annotated[Path, typer.Option("--out", "-o", file_okay=False, help="Folder for results.")]
Seed = Annotated[int, typer.Option(help="Seed of every random number, 0 or above.")]
Load = Annotated[
    list[Path] | None,
    typer.Option(
        help="A Python file to run first, such as one that registers a likelihood, an engine or a gate "
        "law; may be repeated."
    ),
]
Threads = Annotated[int, typer.Option(min=1, help="Threads of torch.")]
