r"""A model of one's own: patients in clinics, and which effects differ between them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from l0bayes.apps.demo.demo_words import PACKAGES
from l0bayes.apps.demo.refined_act import RefinedAct, fit_and_refine
from l0bayes.infer import Fit
from l0bayes.optional_packages import need
from l0bayes.sites import gate, spike_and_slab

if TYPE_CHECKING:
    import pandas as pd

    from l0bayes.selection.refine import Refinement

__all__ = ["CLINICS", "COLUMNS", "clinics_data", "clinics_model", "run_clinics"]

CLINICS = ("A", "B", "C", "D", "E", "F", "G", "H")
COLUMNS = ("age", "dose", "sport", "pulse")
_EFFECTS = {"age": 0.3, "sport": 0.15, "dose": 0.4}
_DIFFERS = {"dose": 0.4}


def clinics_data(patients: int = 400, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Simulated patients: age, dose and sport have an effect, and the dose's differs between clinics.

    Args:
        patients: Number of patients.
        seed: Seed.

    Returns:
        Columns of shape (patients, 4), of which pulse and age correlate by 0.8; the clinic of each, 0 to 7;
        and the response.
    """
    generator = torch.Generator().manual_seed(seed)
    clinic = torch.arange(patients) % len(CLINICS)
    x = torch.randn(patients, len(COLUMNS), generator=generator)
    x[:, -1] = 0.8 * x[:, 0] + 0.6 * x[:, -1]
    level = 0.5 * torch.randn(len(CLINICS), generator=generator)
    own = torch.randn(len(CLINICS), generator=generator)
    mean = level[clinic]
    for name, effect in _EFFECTS.items():
        mean = mean + effect * x[:, COLUMNS.index(name)]
    for name, spread in _DIFFERS.items():
        mean = mean + spread * own[clinic] * x[:, COLUMNS.index(name)]
    return x, clinic, mean + torch.randn(patients, generator=generator)


def clinics_model(x: Tensor, clinic: Tensor, y: Tensor | None = None) -> None:
    r"""Columns have a common effect or none, and effects that differ between clinics or do not.

    .. math::
        y_i \sim N\Bigl(a_{c(i)} + \sum_j x_{ij}(z_j\theta_j + d_j\delta_{c(i)j}),\; \sigma^2\Bigr), \qquad
        a_c \sim N(0, \tau^2)

    The gate :math:`d_j` is one for all clinics.

    Args:
        x: Columns, of shape (n, p).
        clinic: Clinic of each row, of shape (n,).
        y: Response of shape (n,), ``None`` to draw it.
    """
    columns = x.shape[1]
    sigma = pyro.sample("variance", dist.InverseGamma(1.0, 1.0)).sqrt()
    between = pyro.sample("between", dist.HalfNormal(1.0))
    effect = spike_and_slab("effect", inclusion=0.5, slab=dist.Normal(torch.zeros(columns), 0.5).to_event(1))
    differs = gate("differs", inclusion=0.25, shape=[columns])
    with pyro.plate("clinic", len(CLINICS)):
        level = pyro.sample("level", dist.Normal(0.0, between))
        own = spike_and_slab("own", slab=dist.Normal(torch.zeros(columns), 0.3).to_event(1), gate=differs)
    mean = level[clinic] + (x * (effect + own[clinic])).sum(-1)
    with pyro.plate("patient", len(x)):
        pyro.sample("y", dist.Normal(mean, sigma), obs=y)


def run_clinics(
    out: Path, *, steps: int = 1000, restarts: int = 2, seed: int = 0, progress: bool = True
) -> RefinedAct:
    """Which columns have an effect, and which effects differ between clinics?

    Args:
        out: Folder for ``posterior.nc`` (the refined posterior) and a picture; made where missing.
        steps: Optimiser steps a restart.
        restarts: Independent fits.
        seed: Seed.
        progress: Whether to show a progress bar.

    Returns:
        The fit, its verdict, what was put right, and lines to print. The table has one row a column: the
        truth of the simulation, and the PIP of both gates before and after.

    Raises:
        ModuleNotFoundError: If a package that writes one of its files is missing, before anything is fitted.
        OSError: If the folder cannot be written to, likewise.
    """
    need("The example", *PACKAGES)
    from l0bayes.plots import plot_compared_pips
    from l0bayes.plots.style import save_picture

    arguments = clinics_data()
    found = fit_and_refine(
        out,
        clinics_model,
        arguments,
        steps=steps,
        restarts=restarts,
        seed=seed,
        progress=progress,
        coords={"column": list(COLUMNS), "clinic": list(CLINICS)},
        dims={"effect": ["column"], "differs": ["column"], "own": ["clinic", "column"]},
    )
    table = _table(found.fit, found.refined)
    panels, exact = _panels(table)
    axes = plot_compared_pips(panels, exact, reference_name="all models enumerated")
    asked = (
        f"{len(arguments[0])} simulated patients in {len(CLINICS)} clinics, four columns. Two gates a "
        "column: has it an effect, and does its effect differ between clinics? No estimator has this "
        "model; it is twelve lines of Pyro, in l0bayes/apps/demo/clinics_act.py."
    )
    fitted = f"Variational, {steps:,} steps from each of {restarts} starts."
    put_right = "l0bayes.refine(fit) finds out that the model is linear given its gates."
    answer = [
        "True effects: age 0.3, sport 0.15, dose 0.4 on average and different in every clinic.",
        *_arviz_lines(found.idata, out),
    ]
    pictures = [save_picture(axes[0], out / "pips.png")]
    return found.told(table, (asked, fitted, put_right), answer, pictures)


def _table(result: Fit, refined: Refinement) -> pd.DataFrame:
    import pandas as pd

    laws = result.guide.gates()
    columns: dict[str, list[object]] = {}
    for word, site, truth in (("effect", "effect.gate", _EFFECTS), ("differs", "differs", _DIFFERS)):
        columns |= {
            f"{word} true": ["yes" if name in truth else "" for name in COLUMNS],
            f"{word} fit": laws[site].prob_active.detach().tolist(),
            f"{word} exact": refined.pip(site).tolist(),
        }
    return pd.DataFrame(columns, index=pd.Index(COLUMNS, name="column"))


def _panels(table: pd.DataFrame) -> tuple[dict[str, pd.Series[float]], pd.Series[float]]:
    """The fit's PIPs of all eight gates, and the refined ones."""
    import pandas as pd

    words = ("effect", "differs")
    names = [
        f"{name} {'has an effect' if word == 'effect' else 'differs'}"
        for word in words
        for name in table.index
    ]
    fitted, exact = (
        pd.Series([value for word in words for value in table[f"{word} {part}"]], index=names)
        for part in ("fit", "exact")
    )
    return {"Variational fit": fitted}, exact


def _arviz_lines(idata: Any, out: Path) -> list[str]:
    import arviz as az

    found: Any = az.summary(idata, var_names=["effect", "differs", "between"], kind="stats")
    rows = [*(f"effect[{name}]" for name in COLUMNS if name in _EFFECTS), "differs[dose]", "between"]
    return [
        f"ArviZ reads {out / 'posterior.nc'}, gates and all. az.summary of it:",
        *found.filter(items=rows, axis=0).to_string().splitlines(),
    ]
