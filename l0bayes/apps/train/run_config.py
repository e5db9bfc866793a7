r"""What a run was asked for."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from l0bayes import validate
from l0bayes.gate_families import DEFAULT_GATE_LAW, GATE_FAMILIES
from l0bayes.infer import Target

__all__ = ["RunConfig"]

SlabChoice = Literal["delta", "normal"]

# What settings of older runs are called now.
_RENAMED = {"family": "gate_law"}


@dataclass(frozen=True)
class RunConfig:
    r"""Settings of one training run; they are all that is needed to repeat it.

    Attributes:
        net: Name of the architecture.
        data: Name of the data set.
        data_folder: Where its files are, if not where they are looked for.
        gates: Placement of gates; ``None`` for the architecture's own.
        target: Size of the deployed network, such as ``"macs:0.10"``; see :class:`~l0bayes.infer.Target`.
        target_ramp: Part of the run over which the size falls to the target.
        dropout: Dropout of hidden units of the dense layers, for the LeNets.
        input_dropout: Dropout of pixels, for LeNet-300-100.
        penalty: Penalty of an open gate in nats.
        inclusion: Prior inclusion probability. Without it and ``penalty`` gates cost nothing in
            themselves, and the target alone shuts them.
        slab: ``"delta"`` for points, ``"normal"`` for a posterior over weights.
        weight_decay: Of points: coefficient c of the slab prior :math:`-\tfrac c2 \theta^2`, in nats.
        slab_scale: Of Normal slabs: the prior's standard deviation, or ``"learned"``.
        kl_weight: Weight of all KL terms; 1 is the ELBO, less a cold posterior.
        epochs: Passes over the training data.
        batch_size: Examples a step.
        lr: Learning rate of weights.
        gate_lr: Learning rate of gates.
        decay_from: Progress from which on both rates fall linearly to a hundredth.
        gate_law: Law of the gates, one of :data:`~l0bayes.gate_families.GATE_FAMILIES`.
        temperature: Temperature of the gates; ``None`` for the law's own.
        estimator: Of binary gates: how their gradient is estimated; ``None`` for DisARM.
        init_active: P(z != 0) at the start.
        init_scale: Of Normal slabs: standard deviation at the start.
        per_example_gates: Whether gates are drawn for every example of a minibatch.
        sleep: Whether units are left out of the computation once their gates have all but shut.
        shrink: Whether gates are decided early and the small network is trained on. Gates then have at least
            the learning rate that it takes them to decide in time.
        round_to: What numbers of units that are left are to be multiples of, such as 8; with ``shrink`` and
            ``target``.
        shifts: Largest random shift of training images, in pixels; 0 for images as they are.
        train_size: Number of training examples to use; ``None`` for all.
        seed: Seed of everything.

    Raises:
        ValueError: If a value is out of range, or settings contradict one another.
    """

    net: str = "lenet-300-100"
    data: str = "mnist"
    data_folder: str | None = None
    gates: Any = None
    target: str | None = None
    target_ramp: float = 0.5
    dropout: float = 0.0
    input_dropout: float = 0.0
    penalty: float | None = None
    inclusion: float | None = None
    slab: SlabChoice = "delta"
    weight_decay: float = 0.0
    slab_scale: float | Literal["learned"] = "learned"
    kl_weight: float = 1.0
    epochs: int = 30
    batch_size: int = 100
    lr: float = 1e-3
    gate_lr: float = 1e-2
    decay_from: float = 0.5
    gate_law: str = DEFAULT_GATE_LAW
    temperature: float | None = None
    estimator: str | None = None
    init_active: float = 0.9
    init_scale: float = 0.02
    per_example_gates: bool = False
    sleep: bool = False
    shrink: bool = False
    round_to: int | None = None
    shifts: int = 0
    train_size: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        validate.positive(lr=self.lr, gate_lr=self.gate_lr, init_scale=self.init_scale)
        validate.positive(**validate.given(temperature=self.temperature))
        validate.at_least(1, epochs=self.epochs, batch_size=self.batch_size)
        validate.at_least(1, **validate.given(train_size=self.train_size, round_to=self.round_to))
        validate.not_negative(weight_decay=self.weight_decay, kl_weight=self.kl_weight, seed=self.seed)
        validate.inside("(0, 1)", init_active=self.init_active)
        validate.inside("[0, 1)", decay_from=self.decay_from)
        validate.one_of(GATE_FAMILIES, gate_law=self.gate_law)
        record = GATE_FAMILIES[self.gate_law]
        if self.temperature is not None and not record.has_temperature:
            raise ValueError(f"gate law {self.gate_law!r} has no temperature; got {self.temperature!r}")
        if self.estimator is not None and not record.estimators:
            binary = ", ".join(repr(name) for name, one in GATE_FAMILIES.items() if one.estimators)
            raise ValueError(
                f"estimator is for the gate law {binary}; got {self.estimator!r} with {self.gate_law!r}"
            )
        validate.one_of(record.estimators, **validate.given(estimator=self.estimator))
        validate.one_of(get_args(SlabChoice), slab=self.slab)
        if self.shrink and self.sleep:
            raise ValueError("give shrink or sleep, not both")
        if self.round_to is not None and (not self.shrink or self.target is None):
            raise ValueError("round_to goes with shrink and target; otherwise give it to the model's deploy")
        if self.penalty is not None and self.inclusion is not None:
            raise ValueError("give penalty or inclusion, not both")
        if self.target is not None:
            replace(Target.parse(self.target), ramp=self.target_ramp)

    @property
    def gate_law_options(self) -> dict[str, Any]:
        """The options of the guide that belong to its gate law."""
        options = {"temperature": self.temperature, "estimator": self.estimator}
        return {name: value for name, value in options.items() if value is not None}

    def to_json(self) -> str:
        """The settings as JSON text."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, file: str | Path) -> RunConfig:
        """Settings from a file that :meth:`to_json` wrote.

        Args:
            file: The file.

        Raises:
            ValueError: If it holds no settings, or some that do not exist or are out of range.
        """
        try:
            values = json.loads(Path(file).read_text("utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{file} is not the JSON of settings: {error}") from error
        if not isinstance(values, dict):
            raise ValueError(f"{file} must hold settings by name, got {type(values).__name__}")
        unknown = sorted(set(values) - {one.name for one in fields(cls)})
        if unknown:
            now = [f"; {name!r} is now called {_RENAMED[name]!r}" for name in unknown if name in _RENAMED]
            raise ValueError(f"{file} holds unknown settings {unknown}{''.join(now)}")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"{file} holds a setting of another type: {error}") from error
