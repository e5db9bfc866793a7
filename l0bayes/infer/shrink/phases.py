r"""How long a network is searched for, and how fast its gates have to move meanwhile."""

from __future__ import annotations

__all__ = ["search_gate_rate", "search_steps"]

# Part of the first so many steps of a run that the search takes, and part of all that come after: the longer
# a run, the more of it is left for the small network, whose steps cost less.
_SHARE, _FIRST, _SHARE_AFTER = 0.25, 1000, 0.1
# What it takes of a short run, where gates need steps to decide; so do weights afterwards, which a run of few
# steps is not to lack.
_STEPS, _SHARE_OF_SHORT, _WITHOUT = 150, 0.4, 40
# Logits that gates have to be able to travel within the search, and the rate at which they no longer find out
# what they do.
_TRAVEL, _FASTEST = 20.0, 0.12


def search_steps(steps: int, share: float | None = None) -> int:
    """Number of steps before a network is cut.

    By default a quarter of the first 1000 steps and a tenth of what comes after; but 150 steps, or 0.4 of
    all but the first 40 where that is less, at least.

    Args:
        steps: Number of steps of the run.
        share: The part of the run that the search is to take.
    """
    if share is not None:
        return max(1, min(round(share * steps), steps - 1))
    usual = _SHARE * min(steps, _FIRST) + _SHARE_AFTER * max(0, steps - _FIRST)
    return max(1, round(max(usual, min(_STEPS, _SHARE_OF_SHORT * (steps - _WITHOUT)))))


def search_gate_rate(steps: int, share: float | None = None) -> float:
    """The least learning rate of gates, in logits, with which they decide within the search.

    Args:
        steps: Number of steps of the run.
        share: The part of the run that the search is to take.
    """
    return min(_FASTEST, _TRAVEL / search_steps(steps, share))
