r"""The pictures of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from l0bayes.plots import plot_costs, plot_gate_map, plot_reliability, plot_units
from l0bayes.plots.style import save_picture

if TYPE_CHECKING:
    from l0bayes.datasets import Split
    from l0bayes.infer import Fit

__all__ = ["draw_pictures"]


def draw_pictures(fit: Fit, data: Split, probabilities: Any, out: Path) -> list[Path]:
    """Write all pictures that a run has.

    Args:
        fit: The fit.
        data: Its data.
        probabilities: Class probabilities by set and kind of prediction.
        out: Folder.

    Returns:
        The files.
    """
    files = []
    history = fit.history.to_frame()
    if len(history):
        files += [
            save_picture(plot_units(history), out / "units.png"),
            save_picture(plot_costs(history), out / "costs.png"),
        ]
    first = _input_gates(fit, data)
    if first is not None:
        probabilities_of_pixels, shape = first
        title = "Pixels that the network reads"
        files.append(
            save_picture(plot_gate_map(probabilities_of_pixels, shape, title=title), out / "input_gates.png")
        )
    name, labels = ("test", data.test_y) if "test" in probabilities else ("validation", data.valid_y)
    files.append(save_picture(plot_reliability(probabilities[name], labels), out / "reliability.png"))
    return files


def _input_gates(fit: Fit, data: Split) -> tuple[Any, tuple[int, int]] | None:
    """P(z != 0) of every pixel of grey images, where the first layer has such gates."""
    *channels, height, width = data.train_x.shape[1:] if data.train_x.dim() > 2 else (1, 0, 0)
    if data.train_x.dim() == 2:
        side = round(data.train_x.shape[1] ** 0.5)
        height = width = side
    if any(count != 1 for count in channels):
        return None
    for spec in fit.model.plan.specs.values():
        if spec.placement == "input" and spec.shape == (height * width,):
            return fit.guide.gates()[spec.name].prob_active.detach(), (height, width)
    return None
