r"""Whether the data look as the likelihood expects: their spread at the fitted means, and their tails."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from l0bayes.infer.randomness import private_randomness
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.selection.problem.verdict import Trust
from l0bayes.user_warnings import warn_user

__all__ = [
    "LikelihoodCheck",
    "LikelihoodWarning",
    "anscombe_glynn",
    "dispersion_check",
    "judge_likelihood",
    "noise_check",
    "tail_check",
]

# A dispersion differs from 1 by at least so many standard errors, and matters to a PIP from these ratios on.
_ERRORS = 4.0
_OVER, _UNDER = 1.3, 0.7
# Excess kurtosis that matters, that of a Student-t with ten degrees of freedom, and its standard errors.
_TAILS, _TAIL_ERRORS = 1.0, 3.0
_FEWEST = 20
_REPLICATES, _MOST_NUMBERS = 2000, 2_000_000


class LikelihoodWarning(UserWarning):
    """Data that contradict the likelihood, on which every inclusion probability is conditional."""


@dataclass(frozen=True)
class LikelihoodCheck:
    """One measure of how far the data are from what the likelihood expects.

    Attributes:
        measure: ``"dispersion"`` or ``"excess kurtosis"``.
        value: As the data have it.
        expected: As the likelihood has it.
        error: Its standard deviation, if the likelihood holds.
        contradicted: Whether the data contradict the likelihood, by so much that it matters.
        words: The finding in a sentence.
    """

    measure: str
    value: float
    expected: float
    error: float
    contradicted: bool
    words: str


@torch.no_grad()
def dispersion_check(
    likelihood: Likelihood, y: Tensor, eta: Tensor, weights: Tensor, degrees: float, *, seed: int = 0
) -> LikelihoodCheck | None:
    r"""Pearson's dispersion at the posterior mean of the predictor.

    .. math:: \hat\phi = \frac{1}{\sum_i w_i - d} \sum_i w_i \frac{(y_i - E[y_i])^2}{\operatorname{Var} y_i}

    It is 1 where the likelihood holds; its error is that of responses drawn from the likelihood.

    Args:
        likelihood: The law of the response.
        y: Responses, shape ``(n,)``.
        eta: Posterior mean of the predictor, shape ``(n,)``.
        weights: How many rows each row stands for, shape ``(n,)``.
        degrees: Expected number of coefficients d.
        seed: Seed of the draws.

    Returns:
        The check; ``None`` where a response can vary in no other way at its mean, where the likelihood has
        no variance or draws, or where there are hardly more rows than coefficients.
    """
    rest = float(weights.sum()) - degrees
    if likelihood.has_classes or likelihood.supports_draws() is not None or rest < _FEWEST / 2:
        return None
    try:
        mean, variance = likelihood.mean(eta), likelihood.variance(eta)
    except NotImplementedError:
        return None
    count = max(20, min(_REPLICATES, _MOST_NUMBERS // len(y)))
    with private_randomness(seed):
        drawn = likelihood.law(eta, likelihood.latents(eta.new_ones(()))).sample((count,))
    share = weights / weights.sum()
    error = float(((drawn - mean).square() / variance @ share).std())
    value = float(weights @ ((y - mean).square() / variance)) / rest
    return _of_dispersion(value, error, f"the {likelihood.name} likelihood says", likelihood.wider(y, mean))


def noise_check(residuals: Tensor, noise: float, weights: Tensor, degrees: float) -> LikelihoodCheck | None:
    r"""The dispersion of residuals beside a noise :math:`\sigma` that is known.

    .. math:: \hat\phi = \frac{1}{\sum_i w_i - d} \sum_i w_i r_i^2 / \sigma^2

    Args:
        residuals: Responses less the posterior mean of the predictor, shape ``(n,)``.
        noise: σ.
        weights: How many rows each row stands for, shape ``(n,)``.
        degrees: Expected number of coefficients d.
    """
    rest = float(weights.sum()) - degrees
    if rest < _FEWEST / 2:
        return None
    value = float(weights @ residuals.square()) / rest / noise**2
    return _of_dispersion(value, math.sqrt(2.0 / rest), "the noise that was given says", "an unknown noise")


def _of_dispersion(value: float, error: float, says: str, wider: str) -> LikelihoodCheck:
    far = abs(value - 1.0) > _ERRORS * error
    over = far and value > _OVER
    words = f"Responses vary {value:.3g} times as much as {says} at these means (Pearson's dispersion)"
    if over and wider:
        words += f"; try {wider}"
    return LikelihoodCheck("dispersion", value, 1.0, error, over or (far and value < _UNDER), f"{words}.")


def tail_check(
    residuals: Tensor, weights: Tensor, row_name: Callable[[int], str] = "row {} of those that count".format
) -> LikelihoodCheck | None:
    r"""Excess kurtosis of the residuals of a Normal likelihood, 0 where it holds.

    Its significance is by the transformation of Anscombe and Glynn (1983), which is close to Normal from
    twenty rows on.

    Args:
        residuals: Responses less the posterior mean of the predictor, shape ``(n,)``.
        weights: How many rows each row stands for, shape ``(n,)``.
        row_name: What a row is called, by its place.
    """
    n = float(weights.sum())
    share = weights / n
    centred = residuals - share @ residuals
    variance = float(share @ centred.square())
    if n < _FEWEST or not variance > 0.0:
        return None
    kurtosis = float(share @ (centred / math.sqrt(variance)).pow(4)) - 3.0
    error = math.sqrt(24.0 * n * (n - 2) * (n - 3) / ((n + 1) ** 2 * (n + 3) * (n + 5)))
    far = anscombe_glynn(kurtosis, n, error) > _TAIL_ERRORS and kurtosis > _TAILS
    largest = int(centred.abs().argmax())
    words = (
        f"Residuals have heavier tails than a Normal law: their excess kurtosis is {kurtosis:.3g}, and the "
        f"largest is {float(centred[largest].abs()) / math.sqrt(variance):.2g} standard deviations, in "
        f"{row_name(largest)}. Look at such rows, try the logarithm of the response, or take "
        "SpikeSlabRobustRegressor (l0bayes select: --likelihood student_t), whose noise has heavy tails."
        if far
        else f"The excess kurtosis of the residuals is {kurtosis:.3g}."
    )
    return LikelihoodCheck("excess kurtosis", kurtosis, 0.0, error, far, words)


def anscombe_glynn(excess: float, n: float, error: float) -> float:
    """How many standard errors a sample's excess kurtosis is from 0, by their transformation.

    Args:
        excess: The excess kurtosis.
        n: Number of rows.
        error: Its standard deviation in samples of a Normal law.
    """
    x = (excess + 3.0 - 3.0 * (n - 1) / (n + 1)) / error
    root = 6.0 * (n * n - 5 * n + 2) / ((n + 7) * (n + 9))
    root *= math.sqrt(6.0 * (n + 3) * (n + 5) / (n * (n - 2) * (n - 3)))
    a = 6.0 + 8.0 / root * (2.0 / root + math.sqrt(1.0 + 4.0 / root**2))
    ratio = (1.0 - 2.0 / a) / (1.0 + x * math.sqrt(2.0 / (a - 4.0)))
    cube = math.copysign(abs(ratio) ** (1.0 / 3.0), ratio)
    return ((1.0 - 2.0 / (9.0 * a)) - cube) / math.sqrt(2.0 / (9.0 * a))


def judge_likelihood(trust: Trust, checks: Sequence[LikelihoodCheck]) -> Trust:
    """The verdict on probabilities that are conditional on a likelihood; warns where the data contradict it.

    Args:
        trust: The verdict, if the likelihood holds.
        checks: How the data look beside it.
    """
    contradicted = [check.words for check in checks if check.contradicted]
    if not contradicted:
        return trust
    warn_user(
        f"{' '.join(contradicted)} All inclusion probabilities are conditional on a likelihood that the data "
        "contradict.",
        LikelihoodWarning,
    )
    reasons = (*trust.reasons, *contradicted)
    if trust:
        computed = str(replace(trust, reasons=())).partition(": ")[2]
        reasons = (f"If the likelihood held, this would be {trust.verdict}: {computed}", *reasons)
    return replace(
        trust,
        verdict="doubtful" if trust else trust.verdict,
        reasons=reasons,
        contradiction=" ".join(contradicted),
    )
