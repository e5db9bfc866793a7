"""The command ``l0bayes predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from l0bayes import validate
from l0bayes.command_options import Load, Threads
from l0bayes.terminal import errors_in_a_line

__all__ = ["add_predict"]


def add_predict(app: typer.Typer) -> None:
    """Add the command.

    Args:
        app: The commands.
    """
    app.command("predict")(_predict)


def _predict(
    folder: Annotated[Path, typer.Argument(help="The folder that l0bayes select wrote.")],
    data: Annotated[Path, typer.Argument(help="A .csv, .tsv, .parquet or .feather file of new rows.")],
    interval: Annotated[
        float, typer.Option(help="Probability that the interval of a response holds; 0 for no interval.")
    ] = 0.9,
    estimator: Annotated[
        str,
        typer.Option(
            help="average: all models by how probable they are; median: the median probability model; best: "
            "the most probable one."
        ),
    ] = "average",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", dir_okay=False, help="CSV file; standard output if not given."),
    ] = None,
    fill: Annotated[
        str,
        typer.Option(help="Missing columns and cells: refuse them, or mean for the mean of the fit."),
    ] = "refuse",
    unseen: Annotated[
        str,
        typer.Option(help="Levels that no row of the fit had: refuse them, or mean for that of the levels."),
    ] = "refuse",
    na: Annotated[
        str | None, typer.Option(help="Words that mean missing; those of the fit if not given.")
    ] = None,
    load: Load = None,
    threads: Threads = 1,
    force: Annotated[bool, typer.Option("--force", help="Replace the file that --out names.")] = False,
) -> None:
    """Predict the response of new rows from a selection: a CSV with means and intervals, row by row."""
    import warnings

    import torch

    from l0bayes.apps.select import in_options, words_of
    from l0bayes.apps.select.prediction import predict_table
    from l0bayes.apps.user_files import load_user_file
    from l0bayes.files.whole_files import write_whole
    from l0bayes.saved_selections import load_selection

    torch.set_num_threads(threads)
    with errors_in_a_line(in_options), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        validate.inside("[0, 1)", interval=interval)
        for file in load or ():
            load_user_file(file)
        if out is not None and out.exists() and not force:
            raise FileExistsError(f"{str(out)!r} exists; --force replaces it")
        saved = load_selection(folder)
        found = predict_table(
            saved,
            data,
            interval=interval or None,
            estimator=estimator,
            fill=fill,
            unseen=unseen,
            na=words_of(na),
        )
        if out is None:
            typer.echo(found.to_csv(index=False), nl=False)
        else:
            write_whole(out, lambda part: found.to_csv(part, index=False))
    for words in dict.fromkeys(str(one.message) for one in caught if issubclass(one.category, UserWarning)):
        typer.echo(f"warning: {in_options(words)}", err=True)
