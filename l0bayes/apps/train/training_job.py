r"""Train a sparse network and leave everything in a folder."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyro.distributions as dist
from torch import nn

from l0bayes.apps.train.architectures import build_network, check_choice, load_data
from l0bayes.apps.train.run_baselines import add_baselines, score_baselines
from l0bayes.apps.train.run_config import RunConfig
from l0bayes.apps.train.run_folder import CHECKPOINT, GUIDE, load_run
from l0bayes.apps.train.run_results import collect, judge
from l0bayes.apps.writers import try_writers
from l0bayes.datasets import Shifts
from l0bayes.distributions import Gate, L0Penalty, L2Penalty
from l0bayes.files.generations import Generations
from l0bayes.guides import AutoGateGuide, gate_guide
from l0bayes.infer import Linear, Minibatches, Target, fit
from l0bayes.infer.randomness import private_randomness
from l0bayes.infer.shrink.phases import search_gate_rate
from l0bayes.models import SparseNetwork
from l0bayes.network import load_deployed, read_tensors
from l0bayes.optional_packages import need

if TYPE_CHECKING:
    from l0bayes.apps.train.run_folder import Run
    from l0bayes.datasets import Split

__all__ = ["assemble", "dense_network", "run_data", "score_test", "train_network", "training_batches"]


def assemble(config: RunConfig, data: Split) -> tuple[SparseNetwork, AutoGateGuide]:
    """Model and guide of a run, before training.

    Args:
        config: Its settings.
        data: Its data.
    """
    net = dense_network(config, data)
    prior: Any = L0Penalty(0.0)
    if config.penalty is not None:
        prior = L0Penalty(config.penalty)
    elif config.inclusion is not None:
        prior = Gate(config.inclusion)
    slab: Any = L2Penalty(config.weight_decay)
    if config.slab == "normal":
        slab = "learned" if config.slab_scale == "learned" else dist.Normal(0.0, float(config.slab_scale))
    model = SparseNetwork(
        net,
        gates=config.gates,
        inclusion=prior,
        slab=slab,
        num_data=len(data.train_x),
        example=data.train_x[:2],
    )
    guide = gate_guide(
        model,
        (data.train_x[:2], data.train_y[:2]),
        gate_law=config.gate_law,
        slab=config.slab,
        init_active=config.init_active,
        init_scale=config.init_scale,
        **config.gate_law_options,
    )
    return model, guide


def dense_network(config: RunConfig, data: Split) -> nn.Module:
    """The network of a run, before training.

    Args:
        config: Its settings.
        data: Its data.
    """
    classes, images = int(data.train_y.max()) + 1, tuple(data.train_x.shape[1:])
    with private_randomness(config.seed):
        return build_network(config.net, images, classes, config.dropout, config.input_dropout)


def train_network(
    config: RunConfig,
    out: str | Path,
    *,
    resume: bool = False,
    force: bool = False,
    test: bool = True,
    progress: bool = True,
    baseline: bool = False,
    compile: Any = "auto",  # noqa: A002 - the word torch uses
) -> Run:
    """Train, evaluate and save; everything is in the folder, also what an interruption leaves.

    The folder holds ``config.json``, ``history.csv``, ``layers.csv``, ``costs.csv``, ``scores.json``,
    ``history.jsonl`` (written while it trains), ``checkpoint.safetensors`` (to go on from),
    ``guide.safetensors`` (guide and model), ``deployed/`` (the small network, for
    :func:`l0bayes.load_deployed`), ``posterior.nc`` (gates, for ArviZ) and pictures. Read
    it with :func:`~l0bayes.apps.train.load_run`.

    Args:
        config: Settings.
        out: Folder.
        resume: Go on from the folder's checkpoint; the settings must be those that it was begun with.
        force: Replace what is in the folder.
        test: Whether to read the test set at the end; leave it unread while settings are chosen.
        progress: Whether to show a progress bar.
        baseline: Whether to train, from scratch on the same epochs and seeds, the dense network, one of the
            deployed architecture, and the dense one narrowed alike to the same multiply-accumulates. Their
            errors, sizes and times are ``Run.baselines``, and in ``scores.json``.
        compile: As in :func:`l0bayes.fit`.

    Returns:
        The run.

    Raises:
        FileExistsError: If the folder is not empty and neither ``resume`` nor ``force`` is given.
        FileNotFoundError: If there is nothing to resume, or the data are missing.
        ModuleNotFoundError: If a package that writes one of the files is missing.
        OSError: If the folder cannot be written to.
        ValueError: If settings do not fit one another, the target cannot be reached, or ``resume`` has
            other settings.
    """
    out = Path(out)
    _check_folder(out, config, resume, force)
    check_choice(config.net, config.data, config.data_folder, config.dropout, config.input_dropout)
    need("A training run", "matplotlib", "PIL", "safetensors", "h5py", "h5netcdf")
    try_writers(out)
    started, data = time.perf_counter(), run_data(config)
    begun = time.process_time()
    model, guide = assemble(config, data)
    model.check_data(data.train_x, data.train_y)
    if force and out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(config.to_json())
    target = None if config.target is None else replace(Target.parse(config.target), ramp=config.target_ramp)
    batches = training_batches(config, data)
    gate_lr = config.gate_lr
    if config.shrink:
        gate_lr = max(gate_lr, search_gate_rate(config.epochs * len(batches)))
    result = fit(
        model,
        guide,
        batches,
        epochs=config.epochs,
        lr=config.lr,
        gate_lr=gate_lr,
        lr_schedule=Linear(1.0, 0.01, begin=config.decay_from),
        kl_weight=config.kl_weight,
        target=target,
        per_example_gates=config.per_example_gates,
        sleep=config.sleep,
        shrink=config.shrink,
        round_to=config.round_to,
        seed=config.seed,
        checkpoint=out / CHECKPOINT,
        history_file=out / "history.jsonl",
        resume=resume,
        progress=progress,
        compile=compile,
    )
    spent = time.process_time() - begun
    model.eval()
    seconds = time.perf_counter() - started
    run = collect(config, result, data, out, test=test, seconds=seconds, resumed=resume)
    if baseline:
        dense = dense_network(config, data)
        add_baselines(run, model, dense, data, batches, seconds=None if resume else spent, test=test)
    return run


def score_test(folder: str | Path) -> Run:
    """Read the test set for a run that left it unread, and write what it says into the run's scores.

    Args:
        folder: Folder of a finished run.

    Returns:
        The run.

    Raises:
        FileNotFoundError: If there is no finished run, or the data are missing.
        ValueError: If the test set was read before.
    """
    run = load_run(folder)
    if not run.results:
        raise FileNotFoundError(f"the run in {str(folder)!r} was not finished")
    if "test" in run.results["scores"]:
        raise ValueError(f"the test set was read for {str(folder)!r} before")
    data = run_data(run.config)
    model, guide = assemble(run.config, data)
    dense = dense_network(run.config, data)
    run.deployed = load_deployed(run.deployed_folder(), dense)
    state = read_tensors(run.folder / GUIDE)
    for part, owner in (("model.", model), ("guide.", guide)):
        owner.load_state_dict(
            {name.removeprefix(part): value for name, value in state.items() if name.startswith(part)}
        )
    _, run.results["scores"]["test"] = judge(model, guide, run.deployed, data, "test", run.config.seed)
    score_baselines(run, model, dense, data)
    (run.folder / "scores.json").write_text(json.dumps(run.results, indent=2) + "\n")
    return run


def run_data(config: RunConfig) -> Split:
    """The data of a run, as much of them as it trains on.

    Args:
        config: Its settings.
    """
    data = load_data(config.data, config.data_folder)
    rows = slice(config.train_size)  # all where there is no size
    return replace(data, train_x=data.train_x[rows], train_y=data.train_y[rows])


def training_batches(config: RunConfig, data: Split) -> Minibatches:
    """The minibatches of a run.

    Args:
        config: Its settings.
        data: Its data.
    """
    return Minibatches(
        data.train_x,
        data.train_y,
        batch_size=config.batch_size,
        seed=config.seed,
        transform=Shifts(config.shifts) if config.shifts else None,
    )


def _check_folder(out: Path, config: RunConfig, resume: bool, force: bool) -> None:
    if resume and force:
        raise ValueError("give resume or force, not both")
    if resume:
        if not Generations(out / CHECKPOINT).exist:
            raise FileNotFoundError(f"there is no checkpoint to resume in {str(out)!r}")
        begun = RunConfig.from_json(out / "config.json")
        if begun != config:
            raise ValueError(
                f"{str(out)!r} was begun with other settings; resume with those of its config.json"
            )
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not force:
        raise FileExistsError(
            f"out {str(out)!r} exists and is not empty; give resume to go on, or force to replace it"
        )
