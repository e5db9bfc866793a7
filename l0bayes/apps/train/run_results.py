r"""What a trained network is and how well it does, written into the folder of its run."""

from __future__ import annotations

import json
import platform
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from l0bayes.apps.train.run_config import RunConfig
from l0bayes.apps.train.run_folder import DEPLOYED, GUIDE, Run
from l0bayes.network import (
    SavedNetwork,
    UndecidedGatesWarning,
    count_macs,
    count_nonzero,
    save_deployed,
    write_tensors,
)
from l0bayes.posterior import predict_probabilities, prediction_scores

if TYPE_CHECKING:
    from l0bayes.datasets import Split
    from l0bayes.infer import Fit
    from l0bayes.posterior.to_arviz import Group

__all__ = ["collect", "judge", "save_network"]

_DRAWS = 50
_POSTERIOR_ROWS = 200
# Of some rows: what is of all data is left out.
_GROUPS_OF_ROWS: tuple[Group, ...] = (
    "posterior",
    "posterior_predictive",
    "log_likelihood",
    "observed_data",
    "constant_data",
)
_POSTERIOR_DRAWS = 200
# Multiply-accumulates that one evaluation may take: a minute on a core. Large networks get fewer draws.
_WORK = 5e11


def collect(
    config: RunConfig,
    fit: Fit,
    data: Split,
    out: Path,
    *,
    test: bool = True,
    seconds: float = float("nan"),
    resumed: bool = False,
) -> Run:
    """Evaluate a fit of a network and write tables, scores, weights, posterior and pictures.

    Args:
        config: Settings of the run.
        fit: The fit.
        data: Its data.
        out: Folder of the run.
        test: Whether to read the test set.
        seconds: Wall-clock time of the run so far.
        resumed: Whether that leaves out what came before an interruption.

    Returns:
        The run.
    """
    from l0bayes.apps.train.run_pictures import draw_pictures

    model, guide = fit.model, fit.guide
    rows = (data.train_x[:500], data.train_y[:500])
    layers, costs = model.layer_table(guide, rows), model.cost_table(guide)
    small = model.deploy(guide, recalibrate=data.train_x[:5000])
    probabilities, scores = {}, {}
    for part in ("validation", "test") if test else ("validation",):
        probabilities[part], scores[part] = judge(model, guide, small, data, part, config.seed)
    result = {
        "scores": scores,
        "stopped": fit.best.stopped,
        "dense_macs": model.cost.dense["macs"],
        "dense_params": model.cost.dense["params"],
        "deployed_macs": count_macs(small, (data.train_x[:2],)),
        "deployed_params": count_nonzero(small),
        "costs": model.cost_summary(guide),
        "architecture": _architecture(layers),
        "seconds": seconds,
        "resumed": resumed,
        "mode": fit.mode,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }
    out.mkdir(parents=True, exist_ok=True)
    fit.history.to_frame().to_csv(out / "history.csv", index=False)
    layers.to_csv(out / "layers.csv")
    costs.to_csv(out / "costs.csv")
    (out / "scores.json").write_text(json.dumps(result, indent=2) + "\n")
    states = {"model": model.state_dict(), "guide": guide.state_dict()}
    write_tensors(
        {f"{part}.{name}": value for part, state in states.items() for name, value in state.items()},
        out / GUIDE,
    )
    save_network(small, out)
    _save_posterior(fit, data, out, config.seed)
    draw_pictures(fit, data, probabilities, out)
    return Run(out, config, result, fit=fit, deployed=small)


def save_network(small: Any, out: Path) -> SavedNetwork:
    """Save the deployed network in a folder of its own.

    Args:
        small: The network.
        out: Folder of the run.
    """
    with warnings.catch_warnings():
        # The summary says so.
        warnings.simplefilter("ignore", UndecidedGatesWarning)
        return save_deployed(small, out / DEPLOYED)


def judge(
    model: Any, guide: Any, small: Any, data: Split, part: str, seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Class probabilities and scores of the deployed network and of the posterior mean.

    Args:
        model: The model.
        guide: Its guide.
        small: The deployed network.
        data: The data.
        part: ``"validation"`` or ``"test"``.
        seed: Seed of the draws.
    """
    x, y = (data.test_x, data.test_y) if part == "test" else (data.valid_x, data.valid_y)
    # One pass of the network whose file is saved, statistics of its normalisation and all.
    with torch.no_grad():
        deployed = torch.cat([small(rows).softmax(-1) for rows in x.split(500)])
    draws = int(min(_DRAWS, max(1.0, _WORK / (model.cost.dense["macs"] * len(x)))))
    mean = predict_probabilities((model, guide), x, how="posterior", num_draws=draws, seed=seed)
    probabilities = {"deployed": deployed, "posterior": mean}
    return probabilities, {kind: asdict(prediction_scores(p, y)) for kind, p in probabilities.items()}


def _architecture(layers: Any) -> str:
    """Sizes as the literature writes them, ``784-300-100``: inputs of Linear layers, maps of convolutions."""
    parts = []
    for size in layers["deployed"]:
        sides = str(size).split(" ")[0].split("-")
        if len(sides) == 2:
            parts.append(sides[1] if " " in str(size) else sides[0])
    return "-".join(parts)


def _save_posterior(fit: Fit, data: Split, out: Path, seed: int) -> None:
    """Gates alone: weights by the hundred thousand are in ``guide.safetensors``."""
    from l0bayes.posterior import to_arviz
    from l0bayes.posterior.netcdf import write_netcdf

    gates = [name for name, law in fit.guide.gates().items() if law.batch_shape.numel() <= 20_000]
    work = _POSTERIOR_DRAWS * fit.model.cost.dense["macs"]
    count = int(min(_POSTERIOR_ROWS, max(10.0, _WORK / work)))
    rows = (data.valid_x[:count], data.valid_y[:count])
    options: Any = {"num_draws": _POSTERIOR_DRAWS, "seed": seed, "var_names": gates, "chunk_size": 10}
    inference = to_arviz(fit, rows, groups=_GROUPS_OF_ROWS, **options)
    write_netcdf(inference, out / "posterior.nc")
