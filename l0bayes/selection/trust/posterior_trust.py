r"""How far inclusion probabilities can be trusted, in words and numbers."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.kernels.active_groups import active_sets
from l0bayes.selection.kernels.gaussian_expansion import expand_at_mean
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.selection_posterior import SelectionPosterior

__all__ = ["Trust", "TrustWarning", "Verdict", "rao_blackwell", "trust_of"]

Verdict = Literal["exact", "reliable", "plausible", "doubtful", "wrong"]

# Residuals up to the first were seen where fits were right, from the second on where they were wrong.
_RESIDUALS = (0.03, 0.05)
_K_HATS = (0.7, 1.0)
_ALL_EFFECTIVE = 0.99
_AGREEMENT = 0.1
# Monte Carlo standard errors of a PIP: of what is called reliable, and of what still says something.
_ERRORS = (0.01, 0.03)
_FEWEST_EFFECTIVE = 200.0
# Second-order terms of Laplace's method from here on leave an error that shows in a PIP.
_LARGE_CORRECTION = 0.2
# Odds of a model beside the best one that some hundreds of draws should have met.
_MISSED = 0.03
# Models whose conditionals are computed at a time.
_CHUNK = 256
_NO_CONDITIONALS = (
    "At the mean that was found the likelihood has no finite curvature, so that there are no exact "
    "conditionals to compare with."
)
_WORDS: dict[Verdict, str] = {
    "exact": "All models were enumerated.",
    "reliable": "Sampled, with errors that are known and small.",
    "plausible": "A variational fit in which no sign of an error was found.",
    "doubtful": "There are signs of an error.",
    "wrong": "The inclusion probabilities contradict one another: do not use them.",
}


class TrustWarning(UserWarning):
    """Inclusion probabilities that should not be used as they are."""


@dataclass(frozen=True)
class Trust:
    r"""A verdict with the numbers it rests on.

    Attributes:
        verdict: ``"exact"``, ``"reliable"``, ``"plausible"``, ``"doubtful"`` or ``"wrong"``.
        reasons: What it rests on, one sentence each.
        mcse: Largest Monte Carlo standard error of a PIP, where sampled.
        ess: Effective sample size, where sampled.
        residual: Largest difference between a PIP and the mean of its exact conditional given the other
            gates, for a variational fit.
        k_hat: Pareto k-hat of the hardened guide, for a variational fit.
        disagreement: Largest difference of a PIP between restarts that count.
        worst: ``{"gate": g}``, the gate of the largest residual.
    """

    verdict: Verdict
    reasons: tuple[str, ...] = ()
    mcse: float | None = None
    ess: float | None = None
    residual: float | None = None
    k_hat: float | None = None
    disagreement: float | None = None
    worst: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join([f"{self.verdict}: {_WORDS[self.verdict]}", *self.reasons])

    def __bool__(self) -> bool:
        """Whether the numbers may be used."""
        return self.verdict in ("exact", "reliable", "plausible")

    def warn(self, remedy: str = "engine='auto', or l0bayes.refine(fit)") -> None:
        """Warn where the verdict asks for it.

        Args:
            remedy: What to do instead, in the message.
        """
        if not self:
            warnings.warn(f"{self} Refine them: {remedy}.", TrustWarning, stacklevel=3)


def trust_of(posterior: SelectionPosterior, *, seed: int = 0) -> Trust:
    """The verdict on a posterior.

    Args:
        posterior: What an engine found; of a variational fit ``diagnostics`` hold ``k_hat`` and
            ``disagreement``.
        seed: Seed of the Rao-Blackwell pass.
    """
    if posterior.engine == "svi":
        return _variational(posterior, seed)
    trust = Trust("exact") if posterior.engine == "exact" else _sampled(posterior)
    return _of_laplace(trust, posterior) if posterior.diagnostics.get("evidence") == "laplace" else trust


def _of_laplace(trust: Trust, posterior: SelectionPosterior) -> Trust:
    """The verdict on models whose evidences are by Laplace's method, and may all be off."""
    found = posterior.diagnostics
    correction, failed, missed = found["correction"], found["not_converged"], found.get("missed", 0.0)
    told = f"Evidences are by Laplace's method of second order, its largest correction is {correction:.2g}."
    doubts = []
    if correction > _LARGE_CORRECTION:
        doubts.append("That is large: there is little data for the number of coefficients.")
    if failed:
        doubts.append(f"{failed} modes were not found.")
    if missed > _MISSED:
        doubts.append(f"A model with {missed:.2g} times the probability of the best one was never drawn.")
    verdict = "doubtful" if doubts and trust else trust.verdict
    return replace(trust, verdict=verdict, reasons=(*trust.reasons, told, *doubts))


def _variational(posterior: SelectionPosterior, seed: int) -> Trust:
    problem, pip = posterior.problem, posterior.pip
    names = ("k_hat", "effective_share", "disagreement")
    signs: dict[str, Any] = {name: posterior.diagnostics.get(name) for name in names}
    try:
        near = expand_at_mean(problem, posterior.mean)
    except (ValueError, RuntimeError):  # not finite, or singular: no mean of such responses
        return judge_variational(None, **signs, doubts=(_NO_CONDITIONALS,))
    gaps = (rao_blackwell(near, pip, _variance(posterior), seed=seed) - pip).abs()
    return judge_variational(float(gaps.max()), **signs, worst=int(gaps.argmax()))


def _sampled(posterior: SelectionPosterior) -> Trust:
    error = float(posterior.pip_mcse.max())
    ess = float(posterior.diagnostics.get("ess", math.nan))
    reasons = [f"The largest Monte Carlo standard error of a PIP is {error:.4f}."]
    verdict: Verdict = "reliable"
    if not math.isfinite(error):
        return Trust(
            "wrong", ("The sampler left the numbers that a computer can hold.",), mcse=error, ess=ess
        )
    if error > _ERRORS[0]:
        verdict = "doubtful" if error <= _ERRORS[1] else "wrong"
        reasons.append("Run longer: the chains have not agreed.")
    if ess < _FEWEST_EFFECTIVE:
        verdict = "doubtful" if verdict == "reliable" else verdict
        reasons.append(f"The effective sample size is {ess:.0f}.")
    return Trust(verdict, tuple(reasons), mcse=error, ess=ess)


def judge_variational(
    residual: float | None,
    *,
    k_hat: float | None = None,
    effective_share: float | None = None,
    disagreement: float | None = None,
    worst: int | None = None,
    doubts: tuple[str, ...] = (),
) -> Trust:
    """The verdict on a variational fit, from its signs of error.

    Args:
        residual: Largest Rao-Blackwell residual; ``None`` where there is no exact conditional.
        k_hat: Pareto k-hat of the hardened guide; ``None`` where it is not defined.
        effective_share: What share of the draws that k-hat is from its ratios leave effective. Where that is
            nearly all, the ratios hardly vary, and the tail of what is left of them says nothing.
        disagreement: Largest difference of a PIP between restarts; ``None`` for one run.
        worst: Gate of the largest residual.
        doubts: What else speaks against the fit, one sentence each.
    """
    level, reasons = int(bool(doubts)), [*doubts]
    if residual is not None:
        reasons.append(
            f"A PIP differs from the mean of its exact conditional by up to {residual:.3f} "
            f"(right fits: below {_RESIDUALS[0]}, wrong ones: above {_RESIDUALS[1]})."
        )
        level = max(level, sum(residual > bound for bound in _RESIDUALS))
    if k_hat is not None:
        reasons.append(f"Pareto k-hat of the hardened guide is {k_hat:.2f} (usable below {_K_HATS[0]}).")
        # It speaks of weights and gates together, and so of more than PIPs: alone it only raises doubt.
        level = max(level, int(k_hat > _K_HATS[0] and (effective_share or 0.0) < _ALL_EFFECTIVE))
    if disagreement is not None:
        reasons.append(f"Restarts differ by up to {disagreement:.2f} in a PIP.")
        level = max(level, int(disagreement > _AGREEMENT))
    verdicts: tuple[Verdict, ...] = ("plausible", "doubtful", "wrong")
    return Trust(
        verdicts[level],
        tuple(reasons),
        residual=residual,
        k_hat=k_hat,
        disagreement=disagreement,
        worst={} if worst is None else {"gate": worst},
    )


@torch.no_grad()
def rao_blackwell(
    problem: GaussianProblem,
    pip: Tensor,
    variance: float,
    *,
    num_draws: int = 256,
    gates: Tensor | None = None,
    seed: int = 0,
) -> Tensor:
    r"""One pass of exact conditionals over a posterior q of the gates.

    .. math:: E_{\gamma_{-g} \sim q}\bigl[p(\gamma_g = 1 \mid \gamma_{-g}, D)\bigr]

    with coefficients integrated out. Where q is the posterior it gives :math:`q(\gamma_g = 1)` back; the
    difference is a cheap alarm, and the result usually the better estimate. The draws must come from q as it
    is: probabilities of correlated gates that are right do not come back from independent draws.

    Args:
        problem: The problem.
        pip: :math:`q(\gamma_g = 1)`, shape ``(G,)``.
        variance: Noise variance to condition on.
        num_draws: Draws of independent gates, where ``gates`` are not given.
        gates: Draws of q, zeros and ones of shape ``(S, G)``; that their mean is ``pip`` takes
            part of the Monte Carlo error out. By default gates are independent under q.
        seed: Seed of the draws of independent gates.
    """
    joint = gates is not None
    if gates is None:
        with private_randomness(seed):
            gates = torch.rand(num_draws, problem.num_groups, dtype=torch.float64) < pip.to(torch.float64)
    parts = []
    for some in gates.bool().split(_CHUNK):
        variances = torch.full((len(some),), variance, dtype=torch.float64)
        odds = active_sets(problem, some, variances).log_odds()
        parts.append(torch.sigmoid(odds + problem.prior.conditional_log_odds(some.double())))
    conditional, drawn = torch.cat(parts), gates.double()
    mean = conditional.mean(0)
    if not joint:
        return mean
    # The gate itself is the control variate: where the others decide it, its mean errs as theirs does.
    off = drawn - drawn.mean(0)
    share = (off * (conditional - mean)).sum(0) / off.square().sum(0).clamp(min=1e-300)
    return mean - share * (drawn.mean(0) - pip)


def _variance(posterior: SelectionPosterior) -> float:
    return float((posterior.draws.variances * posterior.draws.weights).sum())
