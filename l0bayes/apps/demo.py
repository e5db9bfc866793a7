r"""The main job: real data, from model to gate posterior, in two acts."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from l0bayes import datasets
from l0bayes.apps.writers import try_writers
from l0bayes.distributions import Gate, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Fit, RestartWarning, fit, hardened_elbo
from l0bayes.models import SparseNetwork, SparseRegression
from l0bayes.network import UndecidedGatesWarning, save_deployed
from l0bayes.optional_packages import need

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DigitsResult", "RegressionResult", "run_diabetes", "run_digits"]

_NATS_PER_UNIT = 12.0
_PACKAGES = ("sklearn", "matplotlib", "PIL", "safetensors", "h5py", "h5netcdf")


@dataclass(frozen=True)
class RegressionResult:
    """What the regression act made.

    Attributes:
        fit: The fit.
        table: Its gate table.
        summary: Lines to print.
        files: Files written.
    """

    fit: Fit
    table: pd.DataFrame
    summary: list[str]
    files: list[Path]


@dataclass(frozen=True)
class DigitsResult:
    """What the network act made.

    Attributes:
        fit: The fit.
        table: Its layer table.
        accuracy: Test accuracy of the dense net, the posterior mean and the deployed net.
        summary: Lines to print.
        files: Files written.
    """

    fit: Fit
    table: pd.DataFrame
    accuracy: dict[str, float]
    summary: list[str]
    files: list[Path]


def run_diabetes(
    out: Path, *, steps: int = 3000, restarts: int = 3, seed: int = 0, progress: bool = True
) -> Any:
    """Which of 64 linear, square and interaction terms explain disease progression?

    Args:
        out: Folder for ``posterior.nc`` and pictures; made where missing.
        steps: Optimiser steps a restart.
        restarts: Independent fits.
        seed: Seed.
        progress: Whether to show a progress bar.

    Returns:
        A :class:`RegressionResult`.

    Raises:
        ModuleNotFoundError: If a package that writes one of its files is missing, before anything is fitted.
        OSError: If the folder cannot be written to, likewise.
    """
    need("The example", *_PACKAGES)
    from l0bayes.plots import plot_effects, plot_pips, plot_training
    from l0bayes.plots.style import save_picture
    from l0bayes.posterior import gate_table, to_arviz
    from l0bayes.posterior.netcdf import write_netcdf

    try_writers(out)
    out.mkdir(parents=True, exist_ok=True)
    data = datasets.diabetes()
    model = SparseRegression(data.names, expected_active=5, slab_scale=0.5)
    arguments = (data.x, data.y)
    # Cool from the start: gates that the data leave open are inflated at the paper's 2/3.
    guide = AutoHardConcrete(model, arguments, temperature=0.1)
    result = fit(model, guide, arguments, steps=steps, restarts=restarts, seed=seed, progress=progress)
    with warnings.catch_warnings():
        # The summary says so, and the table and its picture show how far restarts are apart.
        warnings.simplefilter("ignore", RestartWarning)
        idata = to_arviz(result, seed=seed)
    table = gate_table(idata)
    files = [write_netcdf(idata, out / "posterior.nc")]
    files.append(save_picture(plot_pips(table, max_rows=20), out / "pips.png"))
    files.append(save_picture(plot_effects(table, max_rows=15), out / "forest.png"))
    files.append(save_picture(plot_training(result)[0], out / "training.png"))
    strict = hardened_elbo(result.model, result.guide, arguments, seed=seed)
    summary = [
        repr(result),
        f"Strict ELBO with binary gates: {strict}",
        f"{int(table['in_median_model'].sum())} of {len(table)} terms are in the median probability model.",
        f"Terms correlate by up to {_largest_correlation(data.x):.2f}. Gates that are independent in the "
        "guide share such effects out by chance: compare restarts and seeds (docs: gotchas).",
    ]
    return RegressionResult(result, table, summary, files)


def run_digits(out: Path, *, epochs: int = 80, seed: int = 0, progress: bool = True) -> Any:
    """How small can a 64-300-100-10 network be that still reads digits?

    A dense network is trained first; the sparse one starts from it. Every input pixel and hidden unit
    has a gate with a prior that charges 12 nats for an open one.

    Args:
        out: Folder for pictures and the deployed network, in ``deployed/``; made where missing.
        epochs: Passes over the training images, for each of the two networks.
        seed: Seed.
        progress: Whether to show a progress bar.

    Returns:
        A :class:`DigitsResult`.

    Raises:
        ModuleNotFoundError: If a package that writes one of its files is missing, before anything is fitted.
        OSError: If the folder cannot be written to, likewise.
    """
    from torch.utils.data import DataLoader, TensorDataset

    need("The example", *_PACKAGES)
    from l0bayes.plots import plot_gate_map, plot_training
    from l0bayes.plots.style import save_picture
    from l0bayes.posterior import predict

    try_writers(out, posterior=False)
    out.mkdir(parents=True, exist_ok=True)
    data = datasets.digits(seed)
    torch.manual_seed(seed)
    dense = nn.Sequential(nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))
    loader = DataLoader(
        TensorDataset(data.train_x, data.train_y), batch_size=77, shuffle=True, drop_last=True
    )
    _train_dense(dense, loader, epochs)
    model = SparseNetwork(
        dense,
        gates="input",
        inclusion=Gate(log_odds=-_NATS_PER_UNIT),
        slab=L2Penalty(0.1),
        num_data=len(data.train_x),
    )
    guide = AutoHardConcrete(model, next(iter(loader)), slab="delta", init_active=0.9)
    result = fit(model, guide, loader, epochs=epochs, lr=2e-3, gate_lr=0.1, seed=seed, progress=progress)
    table = model.layer_table(guide, next(iter(loader)))
    small = model.deploy(guide)
    mean = predict(model, guide, (data.test_x,), num_draws=100, seed=seed).softmax(-1).mean(0)
    accuracy = {
        "dense network": _accuracy(dense(data.test_x), data.test_y),
        "posterior mean": _accuracy(mean, data.test_y),
        "deployed network": _accuracy(small(data.test_x), data.test_y),
    }
    gates = guide.gates()["0.gate"].prob_active
    files = [
        save_picture(
            plot_gate_map(gates, (8, 8), title="Pixels that the network reads"), out / "input_gates.png"
        ),
        save_picture(plot_training(result)[0], out / "training.png"),
    ]
    with warnings.catch_warnings():
        # The summary says so.
        warnings.simplefilter("ignore", UndecidedGatesWarning)
        saved = save_deployed(small, out / "deployed")
    summary = [repr(result)]
    found = saved.certificate
    if found["undecided_gates"]:
        summary.append(
            f"{found['undecided_gates']} of {found['gates']} gates were undecided: outputs of the network in "
            f"training differ from the deployed one's by {found['expected_gap']:.2g} on average."
        )
    return DigitsResult(result, table, accuracy, summary, files + saved.files)


def _largest_correlation(x: Tensor) -> float:
    return float(torch.corrcoef(x.T).fill_diagonal_(0.0).abs().max())


def _train_dense(net: nn.Module, loader: Any, epochs: int) -> None:
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    for _ in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()


@torch.no_grad()
def _accuracy(scores: Tensor, labels: Tensor) -> float:
    return float((scores.argmax(-1) == labels).double().mean())
