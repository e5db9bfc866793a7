"""Posteriors by brute force, from dense multivariate normal densities; nothing of the library is used."""

import itertools

import numpy as np
from scipy.special import logsumexp
from scipy.stats import invgamma, multivariate_normal


def log_prior(model, inclusion):
    """Of a model, a tuple of zeros and ones; ``inclusion`` a list of probabilities or a pair (a, b)."""
    from scipy.special import betaln

    if isinstance(inclusion, tuple):
        a, b = inclusion
        return betaln(a + sum(model), b + len(model) - sum(model)) - betaln(a, b)
    return sum(np.log(q if z else 1 - q) for z, q in zip(model, inclusion, strict=True))


def known_noise(x, y, inclusion, slab, sigma, intercept=None):
    """Evidence, PIPs, mean and covariance of (intercept, β) with σ known; gates one a column."""
    n, p = x.shape
    ones = np.ones((n, 1)) if intercept is not None else np.zeros((n, 0))
    scores, means, seconds, models = [], [], [], list(itertools.product((0, 1), repeat=p))
    for model in models:
        held = np.array(model, bool)
        prior = np.concatenate([[intercept] * ones.shape[1], np.where(held, slab, 0.0)]) ** 2
        u = np.column_stack([ones, x])
        covariance = (u * prior) @ u.T + sigma**2 * np.eye(n)
        scores.append(multivariate_normal.logpdf(y, np.zeros(n), covariance) + log_prior(model, inclusion))
        gain = prior[:, None] * u.T @ np.linalg.inv(covariance)
        mean = gain @ y
        means.append(mean)
        seconds.append(np.diag(prior) - gain @ u * prior + np.outer(mean, mean))
    evidence = logsumexp(scores)
    weight = np.exp(np.array(scores) - evidence)
    mean = weight @ np.array(means)
    second = np.tensordot(weight, np.array(seconds), 1)
    return {
        "evidence": evidence,
        "pip": weight @ np.array(models),
        "mean": mean,
        "covariance": second - np.outer(mean, mean),
        "models": dict(zip(models, weight, strict=True)),
    }


def unknown_noise(x, y, inclusion, slab, *, scaled=False, intercept=None, nodes=110):
    """The same with σ² ~ InverseGamma(1, 1), by a fine grid in log σ²."""
    grid = np.linspace(np.log(6e-3), np.log(300.0), nodes)
    parts, logs = [], []
    for t in grid:
        sigma = np.exp(0.5 * t)
        part = known_noise(x, y, inclusion, slab * (sigma if scaled else 1.0), sigma, intercept)
        parts.append(part)
        logs.append(part["evidence"] + invgamma.logpdf(np.exp(t), 1.0, scale=1.0) + t)
    logs = np.array(logs) + np.log(grid[1] - grid[0])
    evidence = logsumexp(logs)
    weight = np.exp(logs - evidence)
    mean = sum(w * part["mean"] for w, part in zip(weight, parts, strict=True))
    second = sum(
        w * (part["covariance"] + np.outer(part["mean"], part["mean"]))
        for w, part in zip(weight, parts, strict=True)
    )
    return {
        "evidence": evidence,
        "pip": sum(w * part["pip"] for w, part in zip(weight, parts, strict=True)),
        "mean": mean,
        "covariance": second - np.outer(mean, mean),
        "noise": float(weight @ np.exp(grid)),
        "models": {
            m: sum(w * part["models"][m] for w, part in zip(weight, parts, strict=True))
            for m in parts[0]["models"]
        },
    }
