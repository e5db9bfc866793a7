r"""The guide with binary gates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from torch import Tensor

from l0bayes import validate
from l0bayes.distributions import GateLaw, StraightThroughGate
from l0bayes.gate_families import gate_family
from l0bayes.guides.family_guide import FamilyGuide
from l0bayes.infer.objectives.gate_gradients import GATE_GRADIENTS, RLOO

__all__ = ["AutoBernoulliGates", "Estimator"]

Estimator = Literal["disarm", "rloo", "straight_through"]


class AutoBernoulliGates(FamilyGuide):
    r"""Guide whose gates are exactly 0 or 1; see :class:`~l0bayes.distributions.BernoulliGate`.

    With normal slabs and a prior on binary gates the objective is the ELBO of the strict spike and slab,
    not a relaxation of it. The price is a gradient that has to be estimated:

    ====================  ========  ==========================  =======================================
    estimator             unbiased  evaluations of the model    meaning
    ====================  ========  ==========================  =======================================
    ``disarm``            yes       2 a step                    :class:`~l0bayes.infer.DisARM`
    ``rloo``              yes       ``num_evaluations`` a step  :class:`~l0bayes.infer.RLOO`
    ``straight_through``  no        1 a step                    draws count as their probability when
                                                                differentiated
    ====================  ========  ==========================  =======================================

    The unbiased estimators judge every gate by the likelihood of all data, so their variance grows with the
    number of gates. With ``fit(..., per_example_gates=True)`` each example has gates of its own, judged by
    the likelihood of that example alone; in networks this removes most of the variance.

    Args:
        model: A Pyro model.
        args: Positional arguments to run the model with once, to learn its sites.
        kwargs: Keyword arguments of that run.
        estimator: One of the above.
        num_evaluations: Evaluations of RLOO, at least 2; DisARM always takes two.
        init_active: :math:`P(z = 1)` at the start, strictly between 0 and 1.
        **options: ``slab``, ``tied``, ``init_scale``, ``init_loc_fn`` and ``create_plates`` of
            :class:`~l0bayes.guides.AutoGateGuide`.

    Raises:
        ValueError: If the estimator is unknown, ``num_evaluations`` is given without ``"rloo"`` or too
            small, or another argument is outside its range.
    """

    gate_law = "bernoulli"

    def __init__(
        self,
        model: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        estimator: Estimator = "disarm",
        num_evaluations: int | None = None,
        init_active: float = 0.5,
        **options: Any,
    ) -> None:
        validate.one_of(gate_family(self.gate_law).estimators, estimator=estimator)
        if num_evaluations is not None and estimator != "rloo":
            raise ValueError(f"num_evaluations is for the estimator 'rloo'; got it with {estimator!r}")
        gradient = GATE_GRADIENTS.get(estimator) if num_evaluations is None else RLOO(num_evaluations)
        super().__init__(model, args, kwargs, init_active=init_active, gate_gradient=gradient, **options)
        self.estimator: Estimator = estimator

    def relaxed_law(self, **parameters: Tensor) -> GateLaw:
        if self.estimator == "straight_through":
            return StraightThroughGate(parameters["logits"])
        return super().relaxed_law(**parameters)
