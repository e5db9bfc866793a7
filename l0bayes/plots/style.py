"""The one style of all pictures: colours that colour-blind readers and grey printers tell apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["ACCENT", "COLOURS", "GROUP", "IN", "INK", "OUT", "colour_cycle", "save_picture"]

IN, OUT, INK, ACCENT, GROUP = "#1f5f8b", "#b9c4cc", "#333333", "#c2573f", "#5d6b74"
"""What is included, what is not, lines and text, what stands out, and groups of columns."""

COLOURS = (IN, ACCENT, "#5b8c5a", "#8a63a8", "#c9962f", "#4aa3a2", "#d17ba8", "#7a5c3e", "#8796a1")
"""Colours of several things side by side, in their order."""


def colour_cycle(count: int) -> list[str]:
    """So many colours, from the start again where there are more things than colours.

    Args:
        count: Number of colours.
    """
    return [COLOURS[index % len(COLOURS)] for index in range(count)]


def save_picture(axes: Any, path: Path) -> Path:
    """Write a picture to a file and close it.

    Args:
        axes: Axes of its figure.
        path: File; its ending names the format.

    Returns:
        The file.
    """
    import matplotlib.pyplot as plt

    axes.figure.savefig(path, dpi=130, bbox_inches="tight")
    plt.close(axes.figure)
    return path
