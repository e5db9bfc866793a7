"""The command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from l0bayes.command_options import Load, Out, Seed, Threads
from l0bayes.demo_command import add_demo
from l0bayes.gate_families import DEFAULT_GATE_LAW
from l0bayes.gate_families.help_texts import estimator_help, gate_law_help
from l0bayes.predict_command import add_predict
from l0bayes.select_command import add_select
from l0bayes.terminal import (
    errors_in_a_line,
    open_console,
    print_lines,
    print_table,
    show_run,
)

__all__ = ["app", "main"]

app = typer.Typer(
    help="Bayesian sparse models: spike-and-slab gates, hard concrete guides, the L0 objective as an ELBO.",
    no_args_is_help=True,
    add_completion=False,
)


add_demo(app)


@app.command()
def table(
    file: Annotated[Path, typer.Argument(help="A posterior.nc written by l0bayes.")],
    name: Annotated[str | None, typer.Option(help="Weight or gate to show; default all.")] = None,
) -> None:
    """Print the gate table of a saved posterior."""
    from l0bayes.posterior import gate_table
    from l0bayes.posterior.netcdf import read_netcdf

    with errors_in_a_line():
        if file.is_dir():
            raise IsADirectoryError(f"{str(file)!r} is a folder; its posterior.nc is meant")
        if not file.is_file():
            raise FileNotFoundError(f"there is no file {str(file)!r}")
        rows = gate_table(read_netcdf(file), name)
    print_table(open_console(), rows, str(file))


@app.command()
def train(
    net: Annotated[str, typer.Argument(help="lenet-300-100, lenet-5-caffe, vit-small or wrn-d-k.")] = "",
    data: Annotated[str, typer.Option(help="mnist, cifar10 or digits.")] = "mnist",
    data_folder: Annotated[str | None, typer.Option(help="Where the files of the data set are.")] = None,
    target: Annotated[
        str | None, typer.Option(help="Size to reach: macs:0.1, params:0.05, units:0.3, latency:0.3@100.")
    ] = None,
    dropout: Annotated[float, typer.Option(help="Dropout of hidden units, for the LeNets.")] = 0.0,
    penalty: Annotated[float | None, typer.Option(help="Nats that an open gate costs.")] = None,
    inclusion: Annotated[float | None, typer.Option(help="Prior inclusion probability of a gate.")] = None,
    gates: Annotated[
        str | None, typer.Option(help="input, output, weight, or JSON from globs to these.")
    ] = None,
    slab: Annotated[
        str, typer.Option(help="delta: weights are points; normal: they have a posterior.")
    ] = "delta",
    weight_decay: Annotated[float, typer.Option(help="L2 penalty of points, in nats.")] = 0.0,
    epochs: Annotated[int, typer.Option(help="Passes over the training data.")] = 30,
    batch_size: Annotated[int, typer.Option(help="Examples a step.")] = 100,
    lr: Annotated[float, typer.Option(help="Learning rate of weights.")] = 1e-3,
    gate_lr: Annotated[float, typer.Option(help="Learning rate of gates.")] = 1e-2,
    gate_law: Annotated[str, typer.Option(help=gate_law_help())] = DEFAULT_GATE_LAW,
    temperature: Annotated[
        float | None, typer.Option(help="Temperature of the gates; the law's own if not given.")
    ] = None,
    estimator: Annotated[str | None, typer.Option(help=estimator_help())] = None,
    shrink: Annotated[
        bool, typer.Option("--shrink", help="Decide the gates early, and train the small network on.")
    ] = False,
    round_to: Annotated[
        int | None, typer.Option(help="With --shrink: numbers of units are multiples of this, such as 8.")
    ] = None,
    load: Load = None,
    train_size: Annotated[int | None, typer.Option(help="Number of training examples to use.")] = None,
    seed: Seed = 0,
    threads: Threads = 1,
    out: Out = Path("run"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in the folder.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what is in the folder.")] = False,
    test: Annotated[bool, typer.Option(help="Read the test set at the end.")] = True,
    baseline: Annotated[
        bool,
        typer.Option(
            "--baseline", help="Also train the dense net and the deployed architecture from scratch."
        ),
    ] = False,
) -> None:
    """Train a sparse network to a size, and leave tables, pictures and weights in a folder."""
    import torch

    from l0bayes.apps.train import RunConfig, train_network
    from l0bayes.apps.user_files import load_user_file

    torch.set_num_threads(threads)
    with errors_in_a_line():
        for file in load or []:
            load_user_file(file)
        if resume:
            config = RunConfig.from_json(out / "config.json")
        elif not net:
            raise ValueError("net is missing: name an architecture, such as lenet-300-100")
        else:
            config = RunConfig(
                net=net,
                data=data,
                data_folder=data_folder,
                gates=_placement(gates),
                target=target,
                dropout=dropout,
                penalty=penalty,
                inclusion=inclusion,
                slab=slab,  # type: ignore[arg-type]
                weight_decay=weight_decay,
                epochs=epochs,
                batch_size=batch_size,
                lr=lr,
                gate_lr=gate_lr,
                gate_law=gate_law,
                temperature=temperature,
                estimator=estimator,
                shrink=shrink,
                round_to=round_to,
                train_size=train_size,
                seed=seed,
            )
        run = train_network(config, out, resume=resume, force=force, test=test, baseline=baseline)
    show_run(run)


add_select(app)
add_predict(app)


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(help="A folder that l0bayes train wrote, or a saved network.")],
    load: Load = None,
) -> None:
    """Print a run again, or what was measured of a saved network; --load what it was trained with."""
    from l0bayes.apps.train import certificate_lines, load_run, size_lines
    from l0bayes.apps.user_files import load_user_file
    from l0bayes.network import read_certificate

    with errors_in_a_line():
        for file in load or []:
            load_user_file(file)
        if (folder / "architecture.json").is_file():
            found = read_certificate(folder)
            print_lines(open_console(), [str(folder), *size_lines(found), *certificate_lines(found)])
        else:
            show_run(load_run(folder))


def _placement(text: str | None) -> Any:
    import json

    if text is None or not text.lstrip().startswith("{"):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"gates is no JSON: {error}") from None


def main() -> None:
    """Entry point of the ``l0bayes`` command."""
    app()
