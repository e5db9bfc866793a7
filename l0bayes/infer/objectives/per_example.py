r"""Gates drawn once an example instead of once a batch."""

from __future__ import annotations

from typing import Any

import torch
from pyro.poutine.messenger import Messenger
from torch import Tensor

from l0bayes.distributions import GateLaw
from l0bayes.infer.model_abilities import ModelAbilities
from l0bayes.sites import inner_law

__all__ = ["PerExampleGates", "check_per_example", "num_examples"]


class PerExampleGates(Messenger):
    """Effect handler around a guide: every gate site is drawn once for each example of the batch.

    The value has the examples as a dimension in front of the site's own; the site's law, and so its
    analytic KL, is what it was. The expected likelihood is a sum over examples, so its expectation is the
    same; its estimate varies less, since the draws' errors average over the batch.

    Args:
        examples: Number of examples.
    """

    def __init__(self, examples: int) -> None:
        super().__init__()
        self.examples = examples

    def _pyro_sample(self, msg: Any) -> None:
        fn = msg["fn"]
        if msg["done"] or not isinstance(inner_law(fn), GateLaw):
            return
        if fn.batch_shape:
            raise ValueError(
                f"per_example_gates: gate site {msg['name']!r} stands in a plate, of batch shape "
                f"{tuple(fn.batch_shape)}; only gates outside of plates can be drawn for each example"
            )
        msg["value"] = fn(torch.Size((self.examples,)))
        msg["done"] = True


def num_examples(args: tuple[Any, ...]) -> int:
    """The number of rows of the first tensor among the model's arguments.

    Args:
        args: The model's arguments.

    Raises:
        ValueError: If there is no tensor with rows among them.
    """
    for value in args:
        if isinstance(value, Tensor) and value.dim():
            return len(value)
    raise ValueError("per_example_gates needs a tensor of examples among the model's arguments, got none")


def check_per_example(model: Any) -> None:
    """Refuse a model that does not take gates drawn for each example.

    Args:
        model: A Pyro model; one that does has the attribute ``supports_per_example_gates``, true.

    Raises:
        ValueError: If it has not.
    """
    if not ModelAbilities(model).per_example_gates:
        name = getattr(model, "__name__", type(model).__name__)
        raise ValueError(
            f"per_example_gates=True needs a model that takes a gate for each example and has "
            f"supports_per_example_gates = True; {name} does not"
        )
