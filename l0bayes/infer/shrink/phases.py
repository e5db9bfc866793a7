r"""How long a network is searched for, and how fast its gates have to move meanwhile."""

from __future__ import annotations

__all__ = ["search_gate_rate", "search_steps"]

# Part of the run that the search takes, and that it takes of a short one, where gates need steps to decide.
_SHARE, _SHARE_OF_SHORT = 0.25, 0.4
_STEPS = 150
# Logits that gates have to be able to travel within the search, and the rate at which they no longer find out
# what they do.
_TRAVEL, _FASTEST = 20.0, 0.12


def search_steps(steps: int) -> int:
    """Number of steps before a network is cut: a quarter of the run, and up to 0.4 of a short one.

    Args:
        steps: Number of steps of the run.
    """
    return max(1, round(max(_SHARE * steps, min(_STEPS, _SHARE_OF_SHORT * steps))))


def search_gate_rate(steps: int) -> float:
    """The least learning rate of gates, in logits, with which they decide within the search.

    Args:
        steps: Number of steps of the run.
    """
    return min(_FASTEST, _TRAVEL / search_steps(steps))
