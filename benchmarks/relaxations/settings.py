"""What is compared, and under which settings: the same for all candidates."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from l0bayes.gate_families import DEFAULT_GATE_LAW, GATE_FAMILIES, GateFamily
from l0bayes.infer import CompileMode

__all__ = [
    "CANDIDATES",
    "DIGITS",
    "MNIST",
    "QUICK",
    "REGRESSION",
    "Candidate",
    "NetworkSettings",
    "RegressionSettings",
    "candidates_for",
]


@dataclass(frozen=True)
class Candidate:
    """One gate law at one sharpness.

    Attributes:
        name: What ``--only`` takes and the results are listed under.
        gate_law: Name in :data:`l0bayes.gate_families.GATE_FAMILIES`.
        sharpness: Temperature, also where it is that of the start alone; ``None`` for binary gates, which are
            told apart by ``variant``.
        options: Options of the guide.
        per_example: Whether gates are drawn once for each example of a minibatch.
        parts: Parts of the study that it takes part in.
    """

    name: str
    gate_law: str
    sharpness: float | None = None
    options: dict[str, Any] = field(default_factory=dict)
    per_example: bool = False
    parts: str = "abc"

    @property
    def variant(self) -> str:
        """What tells it from others of its gate law, as it stands in pictures."""
        if self.sharpness is not None:
            text = f"{self.sharpness:.3g}"
        else:
            text = str(self.options.get("estimator", "")).replace("_", "-")
        return f"{text}, per example" if self.per_example else text

    @property
    def tied(self) -> bool:
        """Whether a layer's gates share one probability, so that no target can be met."""
        return GATE_FAMILIES[self.gate_law].tied


_TEMPERATURES = {"0.1": 0.1, "0.33": 1.0 / 3.0, "0.67": 2.0 / 3.0}
_SCALES = {"0.125": 0.125, "0.25": 0.25, "0.5": 0.5}


def _candidates_of(family: GateFamily) -> list[Candidate]:
    name, option = family.name, family.temperature_option
    if family.estimators:
        first, *rest = (Candidate(one, name, None, {"estimator": one}) for one in family.estimators)
        return [first, replace(first, name=f"{first.name}-per-example", per_example=True, parts="bc"), *rest]
    if option is None:
        return [Candidate(name, name)]
    # Where a temperature is a standard deviation, gates are as sharp as others at a lower one.
    grid = _TEMPERATURES if family.unit is None else _SCALES
    found = [Candidate(f"{name}-{key}", name, value, {option: value}) for key, value in grid.items()]
    if name == DEFAULT_GATE_LAW:
        # What drawing gates for each example does by itself, without which the same of DisARM says little.
        last = found[-1]
        found.append(replace(last, name=f"{last.name}-per-example", per_example=True, parts="b"))
    return found


CANDIDATES: tuple[Candidate, ...] = tuple(
    one for family in GATE_FAMILIES.values() for one in _candidates_of(family)
)
"""All candidates, in the order in which they are shown."""


@dataclass(frozen=True)
class RegressionSettings:
    """Part a.

    Attributes:
        columns: Columns p.
        rows: Rows n.
        inclusion: Prior inclusion probability, of the data too.
        slab_scale: Prior standard deviation of a coefficient that is there.
        noise: Standard deviation of the noise, known to all.
        blocks: Sizes of the blocks of correlated columns.
        correlation: Correlation inside a block, in the correlated design.
        starts: Starts of the search for the factorised optimum.
        steps: Optimiser steps of a fit.
        lr: Learning rate of slabs.
        gate_lr: Learning rate of gates.
        evaluations: Evaluations of the likelihood a step that RLOO takes.
        compile: Form in which the objective runs.
    """

    columns: int = 12
    rows: int = 80
    inclusion: float = 0.25
    slab_scale: float = 1.0
    noise: float = 1.0
    blocks: tuple[int, ...] = (4, 4, 4)
    correlation: float = 0.95
    starts: int = 50
    steps: int = 3000
    lr: float = 0.01
    gate_lr: float = 0.1
    evaluations: int = 4
    compile: CompileMode = "graph"


@dataclass(frozen=True)
class NetworkSettings:
    """Parts b and c.

    Attributes:
        epochs: Passes over the training examples.
        batch_size: Examples a step.
        lr: Learning rate of weights.
        gate_lr: Learning rate of gates.
        target: Cost that the deployed network may have.
        ramp: Part of the run over which the target is reached.
        weight_decay: Coefficient of the L2 penalty on weights that are there.
        init_active: P(active) at the start.
        dense_epochs: Epochs of the dense network that the sparse one starts from; 0 for a random start.
        draws: Draws that the posterior mean is averaged over.
        train_size: Training examples; ``None`` for all.
        sleep: Whether units whose gates have all but shut are left out of the computation.
        compile: Form in which the objective runs.
    """

    epochs: int
    batch_size: int
    lr: float
    gate_lr: float
    target: str = "macs:0.1"
    ramp: float = 0.4
    weight_decay: float = 0.1
    init_active: float = 0.9
    dense_epochs: int = 0
    draws: int = 20
    train_size: int | None = None
    sleep: bool = False
    compile: CompileMode = "graph"


REGRESSION = RegressionSettings()
DIGITS = NetworkSettings(
    epochs=80, batch_size=77, lr=2e-3, gate_lr=0.1, dense_epochs=80, weight_decay=0.1, draws=100
)
MNIST = NetworkSettings(epochs=7, batch_size=500, lr=6e-3, gate_lr=0.1, sleep=True)
QUICK: dict[str, Any] = {
    "a": {"steps": 20, "starts": 4, "columns": 6, "blocks": (3, 3), "rows": 30, "compile": "eager"},
    "b": {"epochs": 2, "dense_epochs": 1, "draws": 2, "compile": "eager"},
    "c": {"epochs": 1, "train_size": 2000, "draws": 2, "compile": "eager"},
}
"""What ``--quick`` changes, by part."""


def candidates_for(part: str, only: list[str] | None = None) -> list[Candidate]:
    """The candidates of a part.

    Args:
        part: ``"a"``, ``"b"`` or ``"c"``.
        only: Their names; all by default.

    Raises:
        ValueError: If a name is unknown.
    """
    unknown = sorted(set(only or ()) - {one.name for one in CANDIDATES})
    if unknown:
        names = ", ".join(one.name for one in CANDIDATES)
        raise ValueError(f"only must name some of {names}; got {', '.join(unknown)}")
    return [one for one in CANDIDATES if part in one.parts and (not only or one.name in only)]
