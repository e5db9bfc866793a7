r"""A network: dense, narrow from scratch, and ours, in one table; and the small one read by torch alone."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from l0bayes import datasets
from l0bayes.apps.demo.demo_words import PACKAGES, labelled, wrapped
from l0bayes.apps.demo.plain_networks import compare_networks, dense_network, train_plain
from l0bayes.apps.demo.torch_alone import run_by_torch_alone
from l0bayes.apps.writers import try_writers
from l0bayes.distributions import L0Penalty, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Fit, Minibatches, fit
from l0bayes.infer.randomness import private_randomness
from l0bayes.models import SparseNetwork
from l0bayes.network import UndecidedGatesWarning, count_macs, fresh_network, save_deployed, thin_network
from l0bayes.optional_packages import need

if TYPE_CHECKING:
    import pandas as pd

    from l0bayes.datasets import Split

__all__ = ["DENSE", "NARROW", "OURS", "SCRATCH", "DigitsResult", "run_digits"]

DENSE, NARROW, OURS, SCRATCH = "dense", "narrow, from scratch", "ours", "ours, from scratch"
_BATCH, _LR, _TARGET = 77, 3e-3, "macs:0.1"


@dataclass(frozen=True)
class DigitsResult:
    """What the act on a network made.

    Attributes:
        fit: The fit of the first repeat.
        table: One row a network: test error, sizes, training time, time of a run.
        difference: Largest difference of an output between the small network and its saved program, run by
            torch alone.
        question: Lines to print before the table.
        answer: Lines to print after it.
        files: Files written.
    """

    fit: Fit
    table: pd.DataFrame
    difference: float
    question: list[str]
    answer: list[str]
    files: list[Path]


@dataclass(frozen=True)
class _Repeat:
    fit: Fit
    networks: dict[str, nn.Module]
    seconds: dict[str, float]


def run_digits(
    out: Path, *, epochs: int = 90, repeats: int = 3, seed: int = 0, progress: bool = True
) -> DigitsResult:
    """How small can a 64-300-100-10 network be that still reads digits?

    Four networks a repeat, each from scratch and as long: the dense one; a narrow one that costs as much as
    ours, every layer cut alike without looking; ours, by ``fit(..., target="macs:0.1", shrink=True)`` with a
    gate on every pixel and unit; and the pixels and sizes that ours chose, trained anew.

    Args:
        out: Folder for pictures and the small network, in ``deployed/``; made where missing.
        epochs: Passes over the training images, for each network.
        repeats: How often everything is repeated, with other seeds; the table shows means.
        seed: Seed of the first repeat, and of the split of the data.
        progress: Whether to show a progress bar.

    Returns:
        The fit, the table, and lines to print.

    Raises:
        ModuleNotFoundError: If a package that writes one of its files is missing, before anything is fitted.
        OSError: If the folder cannot be written to, likewise.
    """
    need("The example", *PACKAGES)
    from l0bayes.plots import plot_gate_map, plot_training
    from l0bayes.plots.style import save_picture

    try_writers(out, posterior=False)
    out.mkdir(parents=True, exist_ok=True)
    data = datasets.digits(seed)
    found = [_one_repeat(data, epochs, seed + number, progress) for number in range(repeats)]
    first = found[0]
    table = compare_networks([one.networks for one in found], [one.seconds for one in found], data)
    with warnings.catch_warnings():
        # The cut decides every gate; runs that are too short for one say so when they are saved.
        warnings.simplefilter("ignore", UndecidedGatesWarning)
        saved = save_deployed(first.networks[OURS], out / "deployed")
    difference = run_by_torch_alone(out / "deployed", first.networks[OURS], data.test_x)
    open_pixels = first.fit.guide.gates()["0.gate"].prob_active
    title = "Pixels that the small network reads"
    files = [
        save_picture(plot_gate_map(open_pixels, (8, 8), title=title), out / "input_gates.png"),
        save_picture(plot_training(first.fit)[0], out / "training.png"),
        *saved.files,
    ]
    decided = f"{first.fit.decision}. Pixels read: {int((open_pixels > 0.5).sum())} of 64."
    question = [
        wrapped(
            f"{len(data.train_x):,} images of 8 by 8 pixels to learn from, {len(data.test_x)} to test. Every "
            "pixel and every unit has a gate; the target is a tenth of the dense network's multiplications "
            "(MACs)."
        ),
        "",
        labelled(
            "Fit", f'l0bayes.fit(model, guide, batches, target="{_TARGET}", shrink=True, epochs={epochs})'
        ),
        labelled("Decided", decided),
    ]
    answer = [
        wrapped(
            f"Errors are means over {repeats} seeds; one image is {100.0 / len(data.test_x):.1f} points. All "
            "took as many steps. The last row is trained anew with the sizes and pixels that the gates found."
        ),
        labelled(
            "Saved",
            f"{out / 'deployed'}: weights, a program and a certificate, no pickle. Another Python, with "
            "torch and without l0bayes, ran the program on all test images: outputs differ by "
            f"at most {difference:.1g}.",
        ),
    ]
    return DigitsResult(first.fit, table, difference, question, answer, files)


def _one_repeat(data: Split, epochs: int, seed: int, progress: bool) -> _Repeat:
    batches = Minibatches(data.train_x, data.train_y, batch_size=_BATCH, seed=seed)
    with private_randomness(seed):
        dense = dense_network()
    untrained = fresh_network(dense, seed)
    model = SparseNetwork(
        fresh_network(dense, seed),
        gates="input",
        inclusion=L0Penalty(0.0),  # the target alone sets the price of a gate
        slab=L2Penalty(0.0),
        num_data=len(data.train_x),
    )
    guide = AutoHardConcrete(model, next(iter(batches)), slab="delta", init_active=0.95)
    started = time.process_time()
    result = fit(
        model,
        guide,
        batches,
        epochs=epochs,
        lr=_LR,
        target=_TARGET,
        shrink=True,
        seed=seed,
        progress=progress,
    )
    seconds = {OURS: time.process_time() - started}
    ours = model.deploy(guide)
    networks: dict[str, nn.Module] = {DENSE: dense}
    narrow = thin_network(model.net, model.plan, model.cost, count_macs(ours, model.example))
    if narrow is not None:
        networks[NARROW] = fresh_network(narrow, seed, untrained)
    networks[SCRATCH] = fresh_network(ours, seed, untrained)
    for name, net in networks.items():
        seconds[name] = train_plain(net, batches, epochs, _LR)
    networks[OURS] = ours
    return _Repeat(
        result, {name: networks[name] for name in (DENSE, NARROW, OURS, SCRATCH) if name in networks}, seconds
    )
