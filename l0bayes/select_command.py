"""The command ``l0bayes select``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from l0bayes.command_options import Load, Out, Seed, Threads
from l0bayes.terminal import (
    command_line,
    errors_in_a_line,
    files_that_are_whole,
    print_json,
    show_selection,
    steps,
)

__all__ = ["add_select"]


def add_select(app: typer.Typer) -> None:
    """Add the command.

    Args:
        app: The commands.
    """
    app.command("select")(_select)


def _select(
    data: Annotated[
        Path,
        typer.Argument(
            help="A .csv, .tsv, .parquet or .feather file; with --response also .npy, .npz or .arrow."
        ),
    ],
    formula: Annotated[
        str | None,
        typer.Argument(
            help='Such as "y ~ . - id + C(region)" or "Surv(time, event) ~ ."; none with --response.'
        ),
    ] = None,
    response: Annotated[
        str | None,
        typer.Option(
            help="Read the table by column, however large: a file with the response (.npy, or text with one "
            "number a line), or a column of a Parquet or Arrow file. All other columns are variables."
        ),
    ] = None,
    likelihood: Annotated[
        str | None,
        typer.Option(
            help="gaussian, student_t, bernoulli, binomial, poisson, negative_binomial, cox, or a name that "
            "--load registers; gaussian if not given, cox for Surv(time, event)."
        ),
    ] = None,
    likelihood_option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NUMBER", help="An option of the likelihood; may be repeated."),
    ] = None,
    offset: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="What is added to the linear predictor of each row."),
    ] = None,
    exposure: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Of counts: what the mean of each row is in proportion to."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Weights: a row of weight w counts as w rows like it."),
    ] = None,
    trials: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Numbers of trials, of --likelihood binomial."),
    ] = None,
    load: Load = None,
    out: Out = Path("report"),
    inclusion: Annotated[
        str | None,
        typer.Option(help="Prior inclusion probability, or a,b of a Beta law; Beta(1, 1) if not given."),
    ] = None,
    expected_active: Annotated[
        float | None, typer.Option(help="Number of variables expected to matter, in place of --inclusion.")
    ] = None,
    slab_scale: Annotated[
        str | None,
        typer.Option(
            help="Prior sd of an effect that is not 0, in standardised units: a number, or learned; 1 if not "
            "given."
        ),
    ] = None,
    slab_scale_prior: Annotated[
        str | None,
        typer.Option(
            help="Of --slab-scale learned: half-cauchy,b or inverse-gamma,a,b (of its square); half-cauchy,1 "
            "if not given."
        ),
    ] = None,
    noise_prior: Annotated[
        str | None,
        typer.Option(
            help="Prior of the noise variance: weak, jeffreys, or shape,rate of an inverse gamma law, in "
            "standardised units; weak if not given."
        ),
    ] = None,
    slab: Annotated[
        str | None,
        typer.Option(
            help="Prior of the effects: normal, g, hyper-g, hyper-g/n, jzs, or a name that --load registers; "
            "normal if not given."
        ),
    ] = None,
    g: Annotated[
        str | None,
        typer.Option(help="Of --slab g: unit, bric, eb-local, eb-global, or a number; unit if not given."),
    ] = None,
    rscale: Annotated[
        float | None, typer.Option(help="Scale of --slab jzs; 0.3536, the medium one, if not given.")
    ] = None,
    always: Annotated[
        list[str] | None,
        typer.Option(metavar="TERM", help="A term that is in every model; may be repeated."),
    ] = None,
    heredity: Annotated[
        str | None,
        typer.Option(help="strong or weak: a product or power needs all of its parents, or one."),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="auto, exact, gibbs, wide, svi, or a name that --load registers.")
    ] = "auto",
    max_gates: Annotated[
        int | None,
        typer.Option(help="Most variables of --engine exact, whose time doubles with each."),
    ] = None,
    hdi: Annotated[float, typer.Option(help="Share of the posterior that intervals hold.")] = 0.94,
    seed: Seed = 0,
    threads: Threads = 1,
    drop_missing: Annotated[
        bool, typer.Option("--drop-missing", help="Leave out rows in which a value is missing.")
    ] = False,
    centre: Annotated[
        bool,
        typer.Option("--centre/--no-centre", help="Whether products such as a:b are of centred columns."),
    ] = True,
    na: Annotated[
        str | None,
        typer.Option(
            help="Words that mean missing, such as NA,None; '' for none. By default the usual words, in "
            "columns of numbers only. Empty cells always do."
        ),
    ] = None,
    sensitivity: Annotated[
        bool,
        typer.Option("--sensitivity", help="Also say what changes under other priors: a table and a map."),
    ] = False,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="First draw data sets from the prior for these columns, fit each, and say whether the "
            "probabilities come true: a table and a picture. The response is not looked at.",
        ),
    ] = False,
    data_sets: Annotated[
        int | None, typer.Option(help="Number of data sets of --calibrate; 200 if not given.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is in the folder.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON, and nothing else.")
    ] = False,
) -> None:
    """Which variables of a table matter? Tables, pictures, the posterior and a report in a folder."""
    try:
        import torch

        from l0bayes.apps import select as selecting
        from l0bayes.apps.user_files import load_user_file

        torch.set_num_threads(threads)
        with errors_in_a_line(selecting.in_options), steps() as on_step:
            for file in load or ():
                load_user_file(file)
            settings = selecting.SelectSettings(
                likelihood=selecting.likelihood_of(likelihood, formula),
                likelihood_options=selecting.parse_options(likelihood_option or ()),
                inclusion=selecting.parse_inclusion(inclusion),
                expected_active=expected_active,
                slab_scale=selecting.parse_slab_scale(slab_scale),
                slab_scale_prior=selecting.parse_slab_scale_prior(slab_scale_prior),
                noise_prior=selecting.parse_noise_prior(noise_prior),
                slab=slab,
                g=selecting.parse_g(g),
                rscale=rscale,
                always=tuple(always or ()),
                heredity=heredity,
                engine=engine,
                max_gates=max_gates,
                seed=seed,
                hdi=hdi,
                rows=selecting.RowColumns(offset, exposure, weights, trials),
            )
            if response is not None:
                if formula is not None:
                    raise ValueError("give a formula or --response, not both: --response takes all columns")
                flags = {
                    "--sensitivity": sensitivity,
                    "--calibrate": calibrate,
                    "--drop-missing": drop_missing,
                    "--no-centre": not centre,
                    "--na": na is not None,
                }
                for flag, given in flags.items():
                    if given:
                        raise ValueError(f"{flag} goes with a formula, and --response reads without one")
                whole = selecting.select_by_column(
                    data, response, out, settings, force=force, on_step=on_step
                )
                print_json(whole)
                return
            if formula is None:
                raise ValueError(
                    "give a formula, or --response for a table that is read by column, such as X.npy"
                )
            found = selecting.select(
                data,
                formula,
                out,
                settings,
                force=force,
                drop_missing=drop_missing,
                na=selecting.words_of(na),
                centred=centre,
                sensitivity=sensitivity,
                calibrate=selecting.data_sets_of(calibrate, data_sets),
                command=command_line(),
                on_step=on_step,
            )
    except KeyboardInterrupt as stop:
        typer.echo(f"stopped: {files_that_are_whole(getattr(stop, 'files', []), out)}", err=True)
        raise typer.Exit(130) from None
    if as_json:
        print_json(found.to_json())
    else:
        show_selection(found)
