r"""Whether the restarts of a fit agree, which whatever averages over them has to know."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import torch

from l0bayes.infer.loop.restart_result import Restart
from l0bayes.infer.objectives.gate_parts import gate_laws

__all__ = ["LARGEST_PIP_GAP", "RestartWarning", "disagreement_of_restarts", "pip_disagreement"]

LARGEST_PIP_GAP = 0.1
"""Restarts whose inclusion probabilities differ by more than this do not agree."""

# Without gates: nats between the best and the worst, beyond what the noise of the records explains.
_LARGEST_ELBO_GAP = 3.0
_NOISE = 4.0


class RestartWarning(UserWarning):
    """Restarts that do not agree are read together."""


def _finished(restarts: Sequence[Restart]) -> list[Restart]:
    return [run for run in restarts if run.stopped in ("finished", "converged")]


@torch.no_grad()
def pip_disagreement(restarts: Sequence[Restart]) -> float | None:
    """The largest difference of an inclusion probability between restarts that came to their end.

    Args:
        restarts: The independent runs of a fit.

    Returns:
        The difference; ``None`` where fewer than two restarts came to their end.
    """
    finished = _finished(restarts)
    if len(finished) < 2:
        return None
    laws = [gate_laws(run.guide) for run in finished]
    gaps = [0.0]
    for site in laws[0]:
        active = torch.stack([one[site].prob_active for one in laws])
        gaps.append(float((active.max(0).values - active.min(0).values).max()))
    return max(gaps)


def disagreement_of_restarts(restarts: Sequence[Restart]) -> str | None:
    """In words, how the restarts of a fit differ; ``None`` where they agree, or there is one.

    Args:
        restarts: The independent runs of a fit.
    """
    gap = pip_disagreement(restarts)
    if gap is None:
        return None
    if gap > LARGEST_PIP_GAP:
        return f"they differ by up to {gap:.2f} in an inclusion probability"
    recorded = sorted((run for run in _finished(restarts) if run.history.elbo), key=lambda run: run.elbo)
    if gate_laws(restarts[0].guide) or len(recorded) < 2:
        return None
    worst, best = recorded[0], recorded[-1]
    noise = math.hypot(_standard_error(worst), _standard_error(best))
    if best.elbo - worst.elbo > max(_LARGEST_ELBO_GAP, _NOISE * noise):
        return f"they differ by {best.elbo - worst.elbo:.1f} nats in their objective"
    return None


def _standard_error(run: Restart) -> float:
    tail = run.history.elbo[-max(2, len(run.history.elbo) // 10) :]
    return statistics.stdev(tail) / math.sqrt(len(tail)) if len(tail) > 1 else math.inf
