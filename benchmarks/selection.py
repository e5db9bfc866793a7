"""Variable selection against the truth: how far inclusion probabilities are off, and what they cost.

    python -m benchmarks.selection [--part small|wide|glm|calibration|huge|all] [--seeds 3]

* **small**: up to 20 columns, designs from independent to near-duplicate, known and unknown noise, fixed and
  Beta inclusion. ``engine="auto"`` and ``"gibbs"`` against a reference by enumeration that is written here,
  with dense matrices of every model and a fine grid over the noise.
* **wide**: 500 and 1000 genotype-like columns against long reference chains of two samplers, and the time of
  ``millipede`` (pip install --no-deps millipede-regression) on the same model, in the same run.
* **glm**: logistic and Poisson regressions against importance sampling of every model's evidence, and a
  logistic regression of 200 columns against a long chain.
* **calibration**: 150 data sets drawn from a prior with correlated columns: what a 10 % Bayesian FDR rule and
  the PIPs promise, and what comes true.
* **huge**: 100,000 columns by minibatch SVI: memory and time per epoch.

Results go to ``benchmarks/results/selection-PART.json`` and are printed last.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.environment import describe
from l0bayes.estimators import SpikeSlabClassifier, SpikeSlabPoissonRegressor, SpikeSlabRegressor

Array = NDArray[np.float64]
DESIGNS = ("independent", "blocks", "duplicates", "suppressor", "p > n", "null")


# ---- data ------------------------------------------------------------------------------------------


def small_data(design: str, seed: int, columns: int = 10) -> tuple[Array, Array]:
    """A design with up to four effects and noise of standard deviation 1."""
    rng = np.random.default_rng([seed, DESIGNS.index(design)])
    rows = 10 if design == "p > n" else 100
    x = rng.normal(size=(rows, columns))
    if design == "blocks":
        shared = rng.normal(size=(rows, -(-columns // 4))).repeat(4, axis=1)[:, :columns]
        x = math.sqrt(0.9) * shared + math.sqrt(0.1) * x
    elif design == "duplicates":
        x[:, 1] = x[:, 0] + 0.05 * x[:, 1]
        x[:, 3] = x[:, 2] + 0.02 * x[:, 3]
    elif design == "suppressor":
        x[:, 1] = -x[:, 0] + 0.3 * x[:, 1]
    beta = np.zeros(columns)
    if design != "null":
        beta[[0, 2, 5, 7]] = [0.8, -0.5, 0.3, 0.2]
    if design == "suppressor":
        beta[1] = 0.7
    return x, x @ beta + rng.normal(size=rows)


def genotypes(rows: int, columns: int, seed: int) -> tuple[Array, Array]:
    """Counts of two alleles in linkage blocks of twenty, and eight effects."""
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(rows, 2, columns))
    for j in range(columns):
        if j % 20:
            latent[:, :, j] = 0.9 * latent[:, :, j - 1] + math.sqrt(0.19) * latent[:, :, j]
    x = (latent > 0.4).sum(1).astype(float)
    x = (x - x.mean(0)) / x.std(0)
    beta = np.zeros(columns)
    beta[rng.choice(columns, 8, replace=False)] = 0.5 * rng.normal(size=8)
    y = x @ beta + rng.normal(size=rows)
    return x, y - y.mean()


# ---- references ------------------------------------------------------------------------------------


def enumerate_densely(
    x: Array,
    y: Array,
    slab: float,
    noise: float | None,
    log_prior: Callable[[Array], Array],
    scaled: bool = False,
) -> dict[str, Any]:
    """Evidence, PIPs and means by a Cholesky factorisation of every model at every noise."""
    columns = x.shape[1]
    models = ((np.arange(2**columns)[:, None] >> np.arange(columns)) & 1).astype(bool)
    if noise is None:
        t = np.linspace(-6.0, 8.0, 121)
        variances, weights = np.exp(t), -t - np.exp(-t) + math.log(t[1] - t[0])  # IG(1, 1) of exp t
    else:
        variances, weights = np.array([noise**2]), np.zeros(1)
    gram, cross, square = x.T @ x, x.T @ y, y @ y
    prior = log_prior(models.sum(1).astype(float))
    identity = torch.eye(columns, dtype=torch.float64)
    mask = torch.tensor(models, dtype=torch.float64)
    both = mask[:, :, None] * mask[:, None, :]
    table, means = [], []
    for variance, weight in zip(variances, weights, strict=True):
        precision = 1.0 / (slab**2 * (variance if scaled else 1.0))
        a = torch.tensor(gram / variance) + precision * identity
        factor = torch.linalg.cholesky(both * a + torch.diag_embed(1.0 - mask))
        b = mask * torch.tensor(cross / variance)
        mean = torch.cholesky_solve(b[..., None], factor)[..., 0]
        log_det = 2.0 * factor.diagonal(dim1=1, dim2=2).log().sum(1)
        size = mask.sum(1)
        log = 0.5 * (b * mean).sum(1) - 0.5 * log_det + 0.5 * size * math.log(precision)
        base = -0.5 * len(y) * math.log(2 * math.pi * variance) - 0.5 * square / variance + weight
        table.append(log + base + torch.tensor(prior))
        means.append(mean)
    logs = torch.stack(table)
    total = torch.logsumexp(logs.flatten(), 0)
    share = (logs - total).exp()
    mean = sum((w[:, None] * m).sum(0) for w, m in zip(share, means, strict=True))
    return {"log_evidence": float(total), "pip": (share.sum(0) @ mask).numpy(), "mean": mean.numpy()}


def importance_evidences(
    kind: str, x: Array, y: Array, slab: float, draws: int, seed: int
) -> tuple[Array, Array]:
    """Log evidence of every model of a GLM without intercept, by a Student-t proposal at its mode; models."""
    rng = np.random.default_rng(seed)
    columns = x.shape[1]
    models = ((np.arange(2**columns)[:, None] >> np.arange(columns)) & 1).astype(bool)
    result = np.empty(len(models))
    constant = 0.0 if kind == "logistic" else -sum(math.lgamma(v + 1.0) for v in y)

    def log_likelihood(eta: Array) -> Array:
        if kind == "logistic":
            return (y * eta - np.logaddexp(0.0, eta)).sum(-1)
        return (y * eta - np.exp(eta)).sum(-1) + constant

    degrees = 5.0
    for index, model in enumerate(models):
        part = x[:, model]
        k = part.shape[1]
        if not k:
            result[index] = log_likelihood(np.zeros((1, len(y))))[0]
            continue
        mode = np.zeros(k)
        for _ in range(50):
            eta = part @ mode
            rate = 1.0 / (1.0 + np.exp(-eta)) if kind == "logistic" else np.exp(np.clip(eta, -30, 30))
            weight = rate * (1.0 - rate) if kind == "logistic" else rate
            hessian = part.T @ (part * weight[:, None]) + np.eye(k) / slab**2
            step = np.linalg.solve(hessian, part.T @ (y - rate) - mode / slab**2)
            mode = mode + step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-12))
            if np.abs(step).max() < 1e-10:
                break
        root = np.linalg.cholesky(np.linalg.inv(hessian))
        normal = rng.normal(size=(draws, k))
        chi = rng.chisquare(degrees, size=draws) / degrees
        standard = normal / np.sqrt(chi)[:, None]
        theta = mode + standard @ root.T
        log_q = (
            math.lgamma((degrees + k) / 2) - math.lgamma(degrees / 2) - 0.5 * k * math.log(degrees * math.pi)
            - np.log(np.diag(root)).sum() - 0.5 * (degrees + k) * np.log1p((standard**2).sum(1) / degrees)
        )  # fmt: skip
        log_p = log_likelihood(theta @ part.T) - 0.5 * (theta**2).sum(1) / slab**2
        log_p -= 0.5 * k * math.log(2 * math.pi * slab**2)
        ratio = log_p - log_q
        result[index] = ratio.max() + math.log(np.exp(ratio - ratio.max()).mean())
    return result, models


# ---- parts -----------------------------------------------------------------------------------------


def small(seeds: int) -> dict[str, Any]:
    """Largest errors of PIPs, means and evidence, by design and engine."""
    rows = []
    for design in DESIGNS:
        for seed in range(seeds):
            x, y = small_data(design, seed)
            for noise in (1.0, None):
                for inclusion in (0.25, (1.0, 3.0)):
                    if isinstance(inclusion, tuple):
                        a, b = inclusion
                        sizes = np.arange(x.shape[1] + 1)
                        lgamma = np.vectorize(math.lgamma)
                        by_size = (
                            lgamma(a + sizes)
                            + lgamma(b + x.shape[1] - sizes)
                            - math.lgamma(a + b + x.shape[1])
                        )
                        by_size = by_size - (math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b))
                        prior = lambda k, by_size=by_size: by_size[k.astype(int)]  # noqa: E731
                    else:
                        prior = lambda k, pi=inclusion: k * math.log(pi) + (10 - k) * math.log(1 - pi)  # noqa: E731
                    truth = enumerate_densely(x, y, 1.0, noise, prior)
                    for engine in ("auto", "gibbs"):
                        begun = time.perf_counter()
                        model = SpikeSlabRegressor(
                            inclusion=inclusion, slab_scale=1.0, noise_scale=noise, fit_intercept=False,
                            standardize=False, engine=engine, random_state=seed,
                        ).fit(x, y)  # fmt: skip
                        seconds = time.perf_counter() - begun
                        rows.append(
                            {
                                "design": design, "seed": seed, "noise": noise, "inclusion": inclusion,
                                "engine": engine, "used": model.engine_, "seconds": seconds,
                                "pip_error": float(np.abs(model.pip_ - truth["pip"]).max()),
                                "mean_error": float(np.abs(model.coef_ - truth["mean"]).max()),
                                "evidence_error": abs(model.log_evidence_ - truth["log_evidence"]),
                            }
                        )  # fmt: skip
    return {"runs": rows, "worst": _worst(rows, ("pip_error", "mean_error", "evidence_error", "seconds"))}


def twenty(seeds: int) -> dict[str, Any]:
    """Twenty columns, where ``auto`` samples: against the enumeration of all 2**20 models."""
    rows = []
    for design in ("independent", "blocks", "duplicates"):
        for seed in range(seeds):
            x, y = small_data(design, seed, columns=20)
            settings: dict[str, Any] = {
                "inclusion": 0.2, "slab_scale": 1.0, "noise_scale": 1.0, "fit_intercept": False,
                "standardize": False, "random_state": seed,
            }  # fmt: skip
            truth = SpikeSlabRegressor(**settings, engine="exact").fit(x, y)
            for engine in ("auto", "gibbs"):
                begun = time.perf_counter()
                model = SpikeSlabRegressor(**settings, engine=engine).fit(x, y)
                rows.append(
                    {
                        "design": design, "seed": seed, "engine": engine, "used": model.engine_,
                        "seconds": time.perf_counter() - begun,
                        "pip_error": float(np.abs(model.pip_ - truth.pip_).max()),
                        "mean_error": float(np.abs(model.coef_ - truth.coef_).max()),
                    }
                )  # fmt: skip
    return {"runs": rows, "worst": _worst(rows, ("pip_error", "mean_error", "seconds"))}


def wide(seeds: int) -> dict[str, Any]:
    """Time and error on wide data, beside ``millipede`` on the same model."""
    from l0bayes.selection import GibbsOptions, InclusionPrior, InverseGamma, LinearProblem, sample_models

    rows: list[dict[str, Any]] = []
    for n, p in ((100, 500), (500, 1000)):
        for seed in range(seeds):
            x, y = genotypes(n, p, seed)
            given = LinearProblem(
                torch.tensor(x), torch.tensor(y), InclusionPrior(torch.full((p,), math.log(5 / (p - 5.0)))),
                torch.ones(p), InverseGamma(), slab_scaled_by_noise=True,
            )  # fmt: skip
            long = GibbsOptions(chains=64, steps=3000, burn_in=300, target_mcse=0.0)
            truth = sample_models(given, options=long, seed=1000 + seed)
            reference = truth.pip.numpy()
            for scaled in (True, False):
                if not scaled:
                    given = given.replace(slab_scaled_by_noise=False)
                    reference = sample_models(given, options=long, seed=1000 + seed).pip.numpy()
                begun = time.perf_counter()
                model = SpikeSlabRegressor(
                    inclusion=5 / p, slab_scale=1.0, slab_scaled_by_noise=scaled, fit_intercept=False,
                    standardize=False, random_state=seed,
                ).fit(x, y)  # fmt: skip
                rows.append(
                    {
                        "n": n, "p": p, "seed": seed, "what": f"auto, slab {'scaled' if scaled else 'fixed'}",
                        "seconds": time.perf_counter() - begun,
                        "pip_error": float(np.abs(model.pip_ - reference).max()),
                        "mcse": float(model.posterior_.pip_mcse.max()),
                    }
                )  # fmt: skip
            rows += _millipede(x, y, truth.pip.numpy(), n, p, seed)
    return {"runs": rows, "ratios": _ratios(rows)}


def _millipede(x: Array, y: Array, reference: Array, n: int, p: int, seed: int) -> list[dict[str, Any]]:
    try:
        from millipede import NormalLikelihoodVariableSelector
    except ImportError:
        return []
    frame = pd.DataFrame(x, columns=[f"x{j}" for j in range(p)]).assign(y=y)
    rows = []
    for steps in (500, 1000, 2000, 4000, 8000):
        begun = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            other = NormalLikelihoodVariableSelector(
                frame, "y", S=5.0, tau=1.0, nu0=2.0, lambda0=1.0, include_intercept=False, precompute_XX=True
            )
            other.run(T=steps, T_burnin=steps // 5, verbosity=None, seed=seed)
        error = float(np.abs(other.pip.to_numpy() - reference).max())
        seconds = time.perf_counter() - begun
        rows.append(
            {
                "n": n, "p": p, "seed": seed, "what": f"millipede, {steps} steps", "seconds": seconds,
                "pip_error": error,
            }
        )  # fmt: skip
    return rows


def _ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Seconds that millipede takes to our error, over our seconds; a bound where it got not there."""
    result = []
    for key in sorted({(row["n"], row["p"], row["seed"]) for row in rows}):
        own = [row for row in rows if (row["n"], row["p"], row["seed"]) == key]
        ours = next(row for row in own if row["what"] == "auto, slab scaled")
        theirs = [row for row in own if row["what"].startswith("millipede")]
        reached = [row["seconds"] for row in theirs if row["pip_error"] <= ours["pip_error"]]
        if theirs:
            time_taken = min(reached) if reached else max(row["seconds"] for row in theirs)
            entry = {"n": key[0], "p": key[1], "seed": key[2], "ratio": time_taken / ours["seconds"]}
            result.append(entry | {"reached": bool(reached)})
    return result


def glm(seeds: int) -> dict[str, Any]:
    """Logistic and Poisson regressions, small against importance sampling and wide against a long chain."""
    rows = []
    for kind, columns, n in (
        ("logistic", 8, 150),
        ("logistic", 10, 300),
        ("poisson", 8, 100),
        ("poisson", 10, 200),
    ):
        for seed in range(seeds):
            rng = np.random.default_rng([seed, columns, n])
            x = rng.normal(size=(n, columns))
            x[:, 1] = 0.8 * x[:, 0] + 0.6 * x[:, 1]
            beta = np.zeros(columns)
            beta[[0, 2, 4]] = [0.8, -0.5, 0.3]
            eta = x @ beta
            logistic = kind == "logistic"
            y = (
                (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
                if logistic
                else rng.poisson(np.exp(eta)).astype(float)
            )
            logs, models = importance_evidences(kind, x, y, 1.0, 4000, seed)
            logs = logs + models.sum(1) * math.log(0.25 / 0.75)
            weight = np.exp(logs - logs.max())
            truth = weight / weight.sum() @ models
            begun = time.perf_counter()
            family = SpikeSlabClassifier if logistic else SpikeSlabPoissonRegressor
            model = family(
                inclusion=0.25, slab_scale=1.0, fit_intercept=False, standardize=False, random_state=seed
            ).fit(x, y)
            rows.append(
                {
                    "kind": kind, "p": columns, "n": n, "seed": seed, "engine": model.engine_,
                    "seconds": time.perf_counter() - begun,
                    "pip_error": float(np.abs(model.pip_ - truth).max()),
                }
            )  # fmt: skip
    return {"runs": rows, "worst": _worst(rows, ("pip_error", "seconds"))}


def calibration(count: int) -> dict[str, Any]:
    """What the probabilities promise, and what comes true, over data sets drawn from the prior."""
    selected = false = 0
    proportions, pips, truth = [], [], []
    for seed in range(count):
        rng = np.random.default_rng([seed, 77])
        n, p = 60, 24
        shared = rng.normal(size=(n, 6)).repeat(4, axis=1)
        x = math.sqrt(0.8) * shared + math.sqrt(0.2) * rng.normal(size=(n, p))
        gates = rng.random(p) < 0.15
        y = x @ (gates * rng.normal(size=p)) + rng.normal(size=n)
        model = SpikeSlabRegressor(
            inclusion=0.15, slab_scale=1.0, noise_scale=1.0, fit_intercept=False, standardize=False,
            random_state=seed,
        ).fit(x, y)  # fmt: skip
        q = model.summary()["bfdr_q"]
        chosen = [int(name[1:]) for name in q.index[q <= 0.1]]
        wrong = int((~gates[chosen]).sum())
        selected, false = selected + len(chosen), false + wrong
        proportions.append(wrong / max(1, len(chosen)))
        pips.append(model.pip_)
        truth.append(gates)
    every, real = np.concatenate(pips), np.concatenate(truth)
    bins = np.minimum((every * 10).astype(int), 9)
    gaps = [
        (bins == b).mean() * abs(every[bins == b].mean() - real[bins == b].mean())
        for b in range(10)
        if (bins == b).any()
    ]
    return {
        "data_sets": count,
        "realised_fdr": float(np.mean(proportions)),
        "false_share_of_all_selected": false / max(1, selected),
        "selected": selected,
        "ece": float(sum(gaps)),
    }


def huge(columns: int = 100_000) -> dict[str, Any]:
    """Minibatch SVI on many columns: memory linear in p, time per epoch."""
    import l0bayes
    from l0bayes.guides import AutoHardConcrete
    from l0bayes.infer import Minibatches
    from l0bayes.models import SparseRegression

    runs = []
    for p in (columns // 4, columns // 2, columns):
        torch.manual_seed(0)
        n, batch = 1000, 100
        x = torch.randn(n, p)
        y = x[:, :5] @ torch.tensor([2.0, -2.0, 1.5, 1.0, -1.0]) + torch.randn(n)
        model = SparseRegression(p, expected_active=10.0, noise_scale=1.0, num_data=n)
        guide = AutoHardConcrete(model, (x[:batch], y[:batch]), temperature=0.1)
        parameters = sum(v.numel() * v.element_size() for v in guide.state_dict().values())
        epochs = 5
        begun = time.perf_counter()
        l0bayes.fit(
            model, guide, Minibatches(x, y, batch_size=batch), epochs=epochs, compile="graph", progress=False
        )
        seconds = time.perf_counter() - begun
        runs.append(
            {
                "p": p, "n": n, "batch": batch, "seconds_per_epoch": seconds / epochs,
                "guide_bytes": parameters, "data_bytes": x.numel() * x.element_size(),
                "peak_resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            }
        )  # fmt: skip
    return {"runs": runs}


def _worst(rows: list[dict[str, Any]], names: tuple[str, ...]) -> dict[str, dict[str, float]]:
    keys = sorted({row.get("engine", "") for row in rows})
    return {
        key: {
            name: max(row[name] for row in rows if row.get("engine", "") == key and not math.isnan(row[name]))
            for name in names
            if any(row.get("engine", "") == key and not math.isnan(row[name]) for row in rows)
        }
        for key in keys
    }


def main() -> None:
    """Run the parts, write each, and print everything as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.selection")
    parts = ("small", "twenty", "wide", "glm", "calibration", "huge")
    parser.add_argument("--part", choices=[*parts, "all"], default="all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data-sets", type=int, default=150)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    run: dict[str, Callable[[], dict[str, Any]]] = {
        "small": lambda: small(options.seeds),
        "twenty": lambda: twenty(options.seeds),
        "wide": lambda: wide(options.seeds),
        "glm": lambda: glm(options.seeds),
        "calibration": lambda: calibration(options.data_sets),
        "huge": huge,
    }
    results = {}
    for part in parts if options.part == "all" else (options.part,):
        begun = time.perf_counter()
        found = run[part]()
        found |= {
            "command": f"python -m benchmarks.selection --part {part} --seeds {options.seeds}",
            "seconds": time.perf_counter() - begun,
            **describe(),
        }
        (options.out / f"selection-{part}.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        results[part] = found
    print(json.dumps(results))


if __name__ == "__main__":
    main()
