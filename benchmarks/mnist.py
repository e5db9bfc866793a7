"""Sparse networks on MNIST: error against deployed size, for the rows of the paper's tables.

    python -m benchmarks.mnist --net lenet-5-caffe --seeds 3

Recipes were chosen on the 5,000 validation images; the test set is read once, at the end of each run. With
``--keep FOLDER --no-test`` runs stay in a folder with the test set unread, and the same command without
``--no-test`` reads it later, without training them again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.environment import describe
from l0bayes.apps.train import RunConfig, load_run, score_test, train_network

__all__ = ["RECIPES", "run_row", "summarise"]

RECIPES: dict[str, RunConfig] = {
    "lenet-300-100": RunConfig(
        net="lenet-300-100",
        target="macs:0.0995",
        target_ramp=0.6,
        epochs=60,
        weight_decay=0.5,
        per_example_gates=True,
        shifts=1,
    ),
    "lenet-300-100-unshifted": RunConfig(
        net="lenet-300-100",
        target="macs:0.0995",
        target_ramp=0.7,
        epochs=40,
        weight_decay=11.0,
        dropout=0.2,
        per_example_gates=True,
    ),
    "lenet-5-caffe": RunConfig(
        net="lenet-5-caffe",
        target="macs:0.0525",
        target_ramp=0.5,
        epochs=26,
        batch_size=128,
        weight_decay=1.1,
        dropout=0.1,
        per_example_gates=True,
        sleep=True,
        shifts=1,
    ),
    "lenet-300-100-weights": RunConfig(
        net="lenet-300-100", gates="weight", target="params:0.0172", target_ramp=0.65, epochs=50, shifts=1
    ),
    "lenet-300-100-normal": RunConfig(
        net="lenet-300-100",
        slab="normal",
        target="macs:0.25",
        target_ramp=0.5,
        kl_weight=0.1,
        epochs=25,
        per_example_gates=True,
    ),
}
"""One recipe a row; ``--net`` takes their names."""


def run_row(
    name: str,
    seeds: int,
    quick: bool = False,
    jobs: int = 1,
    test: bool = True,
    keep: Path | None = None,
    baseline: bool = False,
) -> dict[str, Any]:
    """Train a row's recipe with several seeds.

    Args:
        name: A key of :data:`RECIPES`.
        seeds: Number of seeds, from 0 up.
        quick: Two epochs, to see that it runs.
        jobs: Seeds trained at a time, each with one thread.
        test: Whether to read the test set.
        keep: Folder in which runs are kept, and found again.
        baseline: Whether to train the rivals from scratch, too: the dense network, the deployed architecture,
            and the dense one thinned alike.

    Returns:
        The recipe, what each seed gave, and their summary.
    """
    recipe = replace(RECIPES[name], epochs=2) if quick else RECIPES[name]
    folders = [None if keep is None else keep / f"{name}-{seed}" for seed in range(seeds)]
    configs = [(replace(recipe, seed=seed), test, folders[seed], baseline) for seed in range(seeds)]
    with get_context("spawn").Pool(jobs) as pool:
        runs = pool.map(_train, configs, chunksize=1)
        dense = pool.map(_train_dense, configs, chunksize=1) if recipe.slab == "normal" else None
    return {
        "command": f"python -m benchmarks.mnist --net {name} --seeds {seeds}{' --quick' if quick else ''}"
        + (" --baseline" if baseline else ""),
        "net": name,
        "recipe": {key: value for key, value in asdict(recipe).items() if key != "seed"},
        "seeds": list(range(seeds)),
        "runs": runs,
        "summary": summarise(runs),
        **({} if dense is None else {"dense": dense}),
        **describe(),
    }


Job = tuple[RunConfig, bool, Path | None, bool]


def _train(job: Job) -> dict[str, Any]:
    import torch

    config, test, keep, baseline = job
    torch.set_num_threads(1)
    if keep is None:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            return train_network(config, out, progress=False, test=test, baseline=baseline).results
    if not (keep / "scores.json").is_file():
        begun = (keep / "checkpoint.safetensors").is_file()
        again = {"resume": begun, "force": not begun}
        return train_network(config, keep, progress=False, test=test, baseline=baseline, **again).results
    run = load_run(keep)
    if run.config != config:
        raise ValueError(f"{keep} holds a run of another recipe")
    return score_test(keep).results if test and "test" not in run.results["scores"] else run.results


def _train_dense(job: Job) -> dict[str, Any]:
    """The same architecture without gates and with points for weights, as it is usually trained.

    Adam at the recipe's rate and batch size, which falls as the recipe's does. The epoch is chosen by the
    validation NLL, which favours the dense network: at the end of training its own is far higher.
    """
    import torch

    from l0bayes.apps.train.architectures import build_network
    from l0bayes.apps.train.training_job import run_data, training_batches
    from l0bayes.infer import Linear
    from l0bayes.infer.randomness import private_randomness
    from l0bayes.posterior import prediction_scores

    config, test, *_ = job
    torch.set_num_threads(1)
    data = run_data(config)
    with private_randomness(config.seed):
        net = build_network(
            config.net, tuple(data.train_x.shape[1:]), 10, config.dropout, config.input_dropout
        )
    batches = training_batches(config, data)
    optimizer = torch.optim.Adam(net.parameters(), lr=config.lr, fused=True)
    schedule = Linear(1.0, 0.01, begin=config.decay_from)
    sets = {"validation": (data.valid_x, data.valid_y)}
    if test:
        sets["test"] = (data.test_x, data.test_y)

    def scores(part: str) -> dict[str, Any]:
        with torch.no_grad():
            return asdict(prediction_scores(net(sets[part][0]).softmax(-1), sets[part][1]))

    best: dict[str, Any] = {}
    for epoch in range(config.epochs):
        for group in optimizer.param_groups:
            group["lr"] = config.lr * schedule(epoch / config.epochs)
        for x, y in batches:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
        now = scores("validation")
        if not best or now["nll"] < best["validation"]["nll"]:
            state = {name: value.clone() for name, value in net.state_dict().items()}
            best = {"validation": now, "epoch": epoch + 1, "state": state}
    last = {part: {"dense": scores(part)} for part in sets}
    net.load_state_dict(best.pop("state"))
    chosen = {part: {"dense": scores(part)} for part in sets}
    return {"scores": chosen, "epoch": best["epoch"], "scores_last_epoch": last}


def summarise(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and spread over seeds.

    Args:
        runs: Results of :func:`l0bayes.apps.train.train_network`, one a seed.
    """
    columns = {
        "macs_factor": [run["dense_macs"] / run["deployed_macs"] for run in runs],
        "params_factor": [run["dense_params"] / run["deployed_params"] for run in runs],
        "expected_macs_share": [run["costs"]["expected_macs"] / run["dense_macs"] for run in runs],
        "deployed_macs_share": [run["deployed_macs"] / run["dense_macs"] for run in runs],
        "seconds": [run["seconds"] for run in runs],
    }
    for part in runs[0]["scores"]:
        for kind in runs[0]["scores"][part]:
            for key in ("nll", "ece", "brier"):
                columns[f"{part}_{kind}_{key}"] = [run["scores"][part][kind][key] for run in runs]
            columns[f"{part}_{kind}_error"] = [1.0 - run["scores"][part][kind]["accuracy"] for run in runs]
    return {
        name: {"mean": mean(values), "sd": stdev(values) if len(values) > 1 else 0.0, "all": values}
        for name, values in columns.items()
    }


def main() -> None:
    """Run one row and print it as JSON."""
    parser = argparse.ArgumentParser(description="A row of the MNIST tables.")
    parser.add_argument("--net", choices=sorted(RECIPES), default="lenet-300-100")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="seeds trained at a time, each with one thread")
    parser.add_argument("--quick", action="store_true", help="two epochs, to see that it runs")
    parser.add_argument("--no-test", action="store_true", help="leave the test set unread")
    parser.add_argument("--baseline", action="store_true", help="train the rivals from scratch, too")
    parser.add_argument("--keep", type=Path, help="folder in which runs are kept, and found again")
    parser.add_argument("--out", type=Path, help="also write the JSON here, indented")
    options = parser.parse_args()
    result = run_row(
        options.net,
        options.seeds,
        options.quick,
        options.jobs,
        not options.no_test,
        options.keep,
        options.baseline,
    )
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
