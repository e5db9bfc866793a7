r"""The size that a network is to have when it is deployed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from l0bayes import validate
from l0bayes.infer.schedules import Schedule
from l0bayes.infer.targets.cost_registry import ask_for_cost, registered_costs
from l0bayes.infer.targets.costs import activities, costs_of

__all__ = ["Target", "as_target"]


@dataclass(frozen=True)
class Target:
    r"""The cost that the deployed network may have, as a share of the dense network's.

    Args:
        kind: Name of the cost: ``"units"`` (open gates) for any model, a model's own costs
            (see :class:`~l0bayes.infer.CostedModel`), such as ``"macs"`` and ``"params"``, or one that was
            registered (:func:`~l0bayes.infer.register_cost`), perhaps with an option behind an ``@``:
            ``"latency@100"`` is the time of a run of 100 rows.
        share: The share, strictly between 0 and 1.
        schedule: Share that is asked for over the progress of training. By default it falls from the
            share at the start to ``share``, in logarithms and slower towards the end, over the first
            ``ramp`` of the run.
        ramp: That part of the run, in (0, 1]. With ``fit(..., shrink=True)`` it is a part of the search, and
            this one is not used.

    Raises:
        ValueError: If ``share`` is not strictly between 0 and 1, or ``ramp`` not in (0, 1].

    Example::

        fit = l0bayes.fit(model, guide, batches, epochs=30, target="macs:0.10")
    """

    kind: str
    share: float
    schedule: Schedule | None = None
    ramp: float = 0.4

    def __post_init__(self) -> None:
        validate.inside("(0, 1)", **{"share of target": self.share})
        validate.inside("(0, 1]", **{"ramp of target": self.ramp})

    @classmethod
    def parse(cls, text: str) -> Target:
        """The target that a text such as ``"macs:0.10"`` or ``"latency:0.3@100"`` names.

        Args:
            text: Kind and share with a colon between, and the kind's option behind an ``@``.

        Raises:
            ValueError: If it is not of this form.
        """
        kind, _, share = text.partition(":")
        share, _, option = share.partition("@")
        kind = f"{kind.strip()}@{option.strip()}" if option.strip() else kind.strip()
        try:
            return cls(kind, float(share))
        except ValueError as error:
            raise ValueError(
                f"target must be 'kind:share' with a share strictly between 0 and 1, such as 'macs:0.10'; "
                f"got {text!r}"
            ) from error

    def __str__(self) -> str:
        name, at, option = self.kind.partition("@")
        return f"{name}:{self.share:g}{at}{option}"


def as_target(value: str | Target, model: Any, guide: Any) -> Target:
    """A target from its text, refused where the model cannot have it.

    Args:
        value: A target or its text.
        model: The Pyro model.
        guide: Its guide.

    Raises:
        TypeError: If ``value`` is neither.
        ValueError: If it is not of the form ``"kind:share"``, there are no gates, the model has no
            cost of this kind, or the share cannot be reached.
    """
    if not isinstance(value, str | Target):
        raise TypeError(f"target must be a text such as 'macs:0.10' or a Target, got {type(value).__name__}")
    target = Target.parse(value) if isinstance(value, str) else value
    if not activities(guide):
        raise ValueError(f"target {target} is given, but {type(guide).__name__} has no gates")
    ask_for_cost(target.kind, model, guide)
    costs = costs_of(model, guide)
    kinds = costs.cost_kinds
    if target.kind not in kinds:
        raise ValueError(
            f"target names the cost {target.kind!r}; for this model "
            f"{', '.join(map(repr, dict.fromkeys([*kinds, *registered_costs(model)])))} can be used"
        )
    smallest = float(costs.smallest_share(target.kind))
    if target.share < smallest:
        raise ValueError(
            f"target {target} can't be reached: with one gate open at every site the share of "
            f"{target.kind} is {smallest:.4g}, what parts without gates cost. Ask for more, or place "
            "gates there too: a network's layer_table(guide, batch) shows what each layer costs"
        )
    return target
