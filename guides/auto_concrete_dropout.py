r"""The guide that is Concrete Dropout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from l0bayes.guides.auto_concrete import AutoConcrete

__all__ = ["AutoConcreteDropout"]


class AutoConcreteDropout(AutoConcrete):
    r"""Plain concrete gates with one probability a gate site, and points for weights.

    Every unit of a layer draws a gate of its own, and all of them share the probability of being kept,
    :math:`1 - p`. With the prior ``Gate(0.5)`` and the slab prior ``L2Penalty`` of coefficient
    :math:`\ell^2` the negative ELBO is the objective of Gal, Hron and Kendall (2017), for a weight
    matrix :math:`M = W / (1 - p)` and K units:

    .. math:: -\log p(D \mid M \odot z) + \tfrac{\ell^2}{2}(1 - p)\lVert M \rVert^2
        + K\bigl(\log 2 - H(p)\bigr).

    A shared probability cannot close units one by one, and its entropy pulls it towards ½: use this guide for
    calibrated dropout and for comparison, not for pruning. See "Concrete Dropout and L0".

    Source: arXiv 1705.07832.

    Args:
        model: A Pyro model.
        args: Positional arguments to run the model with once, to learn its sites.
        kwargs: Keyword arguments of that run.
        temperature: Temperature of the concrete, positive; by default 0.1, as in the source.
        init_active: Probability :math:`1 - p` that a unit is kept, at the start; 0.9 in the source.
        **options: ``slab`` (points by default), ``init_loc_fn`` and ``create_plates`` of
            :class:`~l0bayes.guides.AutoGateGuide`.

    Raises:
        ValueError: If an argument is outside its range.
    """

    gate_law = "concrete_dropout"

    def __init__(
        self,
        model: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        temperature: float | None = None,
        init_active: float = 0.9,
        **options: Any,
    ) -> None:
        options = {"slab": "delta", **options}
        super().__init__(model, args, kwargs, temperature=temperature, init_active=init_active, **options)
