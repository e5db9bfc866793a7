"""The recipes of the long runs: chosen on the validation images, read on the test set once."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RECIPES", "RIVALS", "Recipe"]

RIVALS = ("dense", "found", "thin")
"""What is trained from scratch beside them: see :mod:`benchmarks.training`."""


@dataclass(frozen=True)
class Recipe:
    """A network, what is asked of it, and the epochs of its two parts.

    ``fit`` searches for the network, within ``epochs`` of which the last are of the small network already
    (with gates on single weights it is the search alone). The plain network that is deployed is then trained
    on for ``more_epochs``, at a rate that falls along a cosine.

    Attributes:
        net: The dense network.
        target: Cost of the deployed network as a share of the dense one's.
        epochs: Epochs of ``fit``.
        search_share: Part of ``epochs`` that the search for units takes; by default what ``fit`` takes.
        more_epochs: Epochs of the plain network that was deployed.
        stop_at_cut: Whether ``fit`` is stopped once the network is cut, so that what comes after is trained
            as a plain network.
        gates: ``"weight"`` for gates on single weights; by default on units.
        lr: Learning rate of weights in ``fit``.
        gate_lr: That of gates; by default what ``fit`` takes.
        decay: Whether the rates of ``fit`` fall over its second half; otherwise they stay.
        more_lr: Learning rate at which the plain network begins.
        weight_decay: Coefficient c of the penalty c/2 times the sum of squared weights, in nats.
        dropout: Dropout of hidden units.
        input_dropout: Dropout of pixels.
        init_active: P(z != 0) at the start.
        batch_size: Images a step.
        shifts: Largest random shift of training images, in pixels.
    """

    net: str
    target: str
    epochs: int
    search_share: float | None = None
    more_epochs: int = 0
    stop_at_cut: bool = False
    gates: str | None = None
    lr: float = 2e-3
    gate_lr: float | None = None
    decay: bool = False
    more_lr: float = 2e-3
    weight_decay: float = 0.0
    dropout: float = 0.0
    input_dropout: float = 0.0
    init_active: float = 0.95
    batch_size: int = 128
    shifts: int = 0

    @property
    def shrink(self) -> bool:
        """Whether units are taken out while the network is trained."""
        return self.gates is None


RECIPES: dict[str, Recipe] = {
    "lenet-5-20": Recipe(
        net="lenet-5-caffe",
        target="macs:0.05",
        epochs=8,
        search_share=0.25,
        more_epochs=17,
        stop_at_cut=True,
        gate_lr=0.03,
        weight_decay=2.0,
    ),
    "lenet-5-one-fit": Recipe(
        net="lenet-5-caffe",
        target="macs:0.05",
        epochs=20,
        search_share=0.1,
        decay=True,
        weight_decay=2.0,
    ),
    "lenet-5-30": Recipe(
        net="lenet-5-caffe",
        target="macs:0.0333",
        epochs=50,
        search_share=0.2,
        decay=True,
        weight_decay=2.0,
        dropout=0.1,
    ),
    "lenet-300-100-20": Recipe(
        net="lenet-300-100",
        target="macs:0.05",
        epochs=240,
        search_share=0.25,
        more_epochs=40,
        stop_at_cut=True,
        gate_lr=0.003,
        weight_decay=5.0,
        dropout=0.1,
    ),
    "lenet-300-100-weights": Recipe(
        net="lenet-300-100",
        target="params:0.0099",
        epochs=90,
        more_epochs=60,
        gates="weight",
        lr=1e-3,
        decay=True,
        more_lr=1e-3,
        init_active=0.9,
        shifts=1,
    ),
}
"""The rows, by name."""
