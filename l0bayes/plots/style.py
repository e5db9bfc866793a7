"""The one style of all pictures: its colours differ for colour-blind readers and in grey print."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from l0bayes.files.whole_files import write_whole
from l0bayes.optional_packages import missing_package, need

__all__ = ["ACCENT", "COLOURS", "GROUP", "IN", "INK", "OUT", "colour_cycle", "save_picture", "try_pictures"]

need("A picture", "matplotlib", "PIL")

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
    """Write a picture to a file, which is there when it is whole, and close the picture.

    Args:
        axes: Axes of its figure.
        path: File; its ending names the format.

    Returns:
        The file.
    """
    import matplotlib.pyplot as plt

    try:
        return write_whole(path, lambda part: axes.figure.savefig(part, dpi=130, bbox_inches="tight"))
    finally:
        plt.close(axes.figure)


def try_pictures(folder: Path) -> None:
    """Draw a tiny picture into a folder, read it back, and take it away again.

    Args:
        folder: The folder, which must be there.

    Raises:
        ModuleNotFoundError: If Matplotlib, or Pillow that writes for it, is missing; says how to install it.
        OSError: If the folder cannot be written to, or Matplotlib cannot draw here.
    """
    try:
        import matplotlib.image as image
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise missing_package("a picture (PNG)", "matplotlib", error) from None
    with tempfile.TemporaryDirectory(prefix=".tried-", dir=folder) as inside:
        try:
            figure, axes = plt.subplots(figsize=(1.0, 1.0))
            try:
                axes.text(0.5, 0.5, "½")
                file = Path(inside) / "picture.png"
                write_whole(file, lambda part: figure.savefig(part, dpi=20))
            finally:
                plt.close(figure)
            drawn = image.imread(file).shape
        except OSError:
            raise
        except Exception as error:
            raise OSError(
                f"Matplotlib cannot draw a picture here: {type(error).__name__}: {error}"
            ) from error
    if drawn[:2] != (20, 20):
        raise OSError(f"Matplotlib drew a picture of 20 by 20 points that comes back as {drawn[:2]}")
