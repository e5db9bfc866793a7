r"""A table: a variational fit that fails, how that is noticed, and how it is put right."""

from __future__ import annotations

import json
from importlib.resources import files as package_files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from l0bayes import datasets
from l0bayes.apps.demo.demo_words import PACKAGES, wrapped
from l0bayes.apps.demo.refined_act import RefinedAct, fit_and_refine
from l0bayes.infer import Fit, hardened_elbo
from l0bayes.models import SparseRegression
from l0bayes.optional_packages import need

if TYPE_CHECKING:
    import pandas as pd

    from l0bayes.selection.refine import Refinement

__all__ = ["long_chains", "run_diabetes"]


def long_chains() -> dict[str, Any]:
    """Inclusion probabilities of the 64 terms by long chains, with seed and command, as they were kept.

    Returns:
        ``pip`` and ``standard_error`` by the name of a term; ``command``, ``chains``, ``sweeps``,
        ``seed``.
    """
    text = package_files("l0bayes.apps.demo").joinpath("long_chains.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def run_diabetes(
    out: Path,
    *,
    steps: int = 1500,
    restarts: int = 3,
    seed: int = 0,
    progress: bool = True,
    options: Any = None,
) -> RefinedAct:
    """Which of 64 linear, square and interaction terms explain the progression of diabetes?

    Args:
        out: Folder for ``posterior.nc`` (the refined posterior) and pictures; made where missing.
        steps: Optimiser steps a restart.
        restarts: Independent fits.
        seed: Seed.
        progress: Whether to show a progress bar.
        options: Options of the engine that puts it right.

    Returns:
        The fit, its verdict, what was put right, and lines to print. The table has one row a term, the most
        probable by the chains first: ``fit``, ``fit_low``, ``fit_high``, ``refined``, ``chains``,
        ``chains_error``.

    Raises:
        ModuleNotFoundError: If a package that writes one of its files is missing, before anything is fitted.
        OSError: If the folder cannot be written to, likewise.
    """
    need("The example", *PACKAGES)
    from l0bayes.plots import plot_compared_pips, plot_effects, plot_training
    from l0bayes.plots.style import save_picture
    from l0bayes.posterior import gate_table

    data = datasets.diabetes()
    arguments = (data.x, data.y)
    found = fit_and_refine(
        out,
        SparseRegression(data.names, expected_active=5, slab_scale=0.5),
        arguments,
        steps=steps,
        restarts=restarts,
        seed=seed,
        progress=progress,
        options=options,
    )
    table = _compare(found.fit, found.refined, data.names)
    panels = {"Variational fit": table["fit"], "After l0bayes.refine": table["refined"]}
    ranges = {"Variational fit": table[["fit_low", "fit_high"]]}
    axes = plot_compared_pips(panels, table["chains"], ranges=ranges, reference_name="long chains")
    pictures = [
        save_picture(axes[0], out / "pips.png"),
        save_picture(plot_effects(gate_table(found.idata, "beta"), max_rows=15), out / "forest.png"),
        save_picture(plot_training(found.fit)[0], out / "training.png"),
    ]
    strict = hardened_elbo(found.fit.model, found.fit.guide, arguments, seed=seed)
    asked = (
        f"442 patients; ten measurements, their squares and products: {len(data.names)} terms, which "
        f"correlate by up to {_largest_correlation(data.x):.2f}. Every term has a gate. PIP is the "
        "posterior inclusion probability: that the gate is open, and so the term in the model."
    )
    fitted = f"Variational, {steps:,} steps from each of {restarts} starts. Its ELBO: {strict}."
    put_right = "l0bayes.refine(fit) integrates the coefficients out and samples the gates alone."
    chains = long_chains()
    off, near = ((table[name] - table["chains"]).abs() for name in ("fit", "refined"))
    answer = [
        wrapped(
            "fit: by the best start; fit low, fit high: the least and the most that any start found. "
            f"Long chains: {chains['command']}, {chains['chains']} chains of {chains['sweeps']:,} sweeps, "
            f"standard errors up to {table['chains_error'].max():.3f}."
        ),
        f"The fit is off by up to {off.max():.2f} ({off.idxmax()}), the refined posterior by up to "
        f"{near.max():.3f} ({near.idxmax()}).",
    ]
    return found.told(table, (asked, fitted, put_right), answer, pictures)


def _compare(result: Fit, refined: Refinement, names: list[str]) -> pd.DataFrame:
    import pandas as pd

    runs = torch.stack([run.guide.gates()["beta.gate"].prob_active.detach() for run in result.restarts])
    chains = long_chains()
    columns = {
        "fit": result.guide.gates()["beta.gate"].prob_active.detach().tolist(),
        "fit_low": runs.amin(0).tolist(),
        "fit_high": runs.amax(0).tolist(),
        "refined": refined.pip("beta").tolist(),
        "chains": [chains["pip"][name] for name in names],
        "chains_error": [chains["standard_error"][name] for name in names],
    }
    return pd.DataFrame(columns, index=pd.Index(names, name="term")).sort_values("chains", ascending=False)


def _largest_correlation(x: Tensor) -> float:
    return float(torch.corrcoef(x.T).fill_diagonal_(0.0).abs().max())
