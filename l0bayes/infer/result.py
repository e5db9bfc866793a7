r"""What a fit returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from l0bayes.infer.gate_parts import gate_laws
from l0bayes.infer.objective import Objective, describe_objective

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Fit", "History", "Restart"]


@dataclass
class History:
    """What was recorded during one run, one value each ``log_every`` steps.

    Attributes:
        step: Steps done.
        elbo: Mean over the steps since the last record of log likelihood minus KL, in nats.
        log_likelihood: Mean expected log likelihood, in nats.
        kl: Mean KL of all sites, in nats, unweighted.
        expected_l0: Sum over gates of P(z != 0).
        deployed_l0: Number of gates whose median is not 0.
        temperature: Temperature of the gates, NaN where the guide has none.
        kl_weight: Weight of the KL.
    """

    step: list[int] = field(default_factory=list)
    elbo: list[float] = field(default_factory=list)
    log_likelihood: list[float] = field(default_factory=list)
    kl: list[float] = field(default_factory=list)
    expected_l0: list[float] = field(default_factory=list)
    deployed_l0: list[int] = field(default_factory=list)
    temperature: list[float] = field(default_factory=list)
    kl_weight: list[float] = field(default_factory=list)

    def append(self, **values: float) -> None:
        """Add one record; every field is given by name."""
        for name in self.__dataclass_fields__:
            getattr(self, name).append(values[name])

    def to_frame(self) -> pd.DataFrame:
        """The records as a pandas DataFrame, one row each."""
        import pandas as pd

        return pd.DataFrame(self.__dict__)


@dataclass
class Restart:
    """One independent run.

    Attributes:
        guide: The trained guide.
        model: The model, with its own trained parameters where it is a module.
        history: What was recorded.
        seed: Seed of the run.
        seconds: Wall-clock time.
        stopped: Why it ended: ``"finished"``, ``"converged"``, ``"interrupted"`` or ``"diverged"``.
    """

    guide: Any
    model: Any
    history: History
    seed: int
    seconds: float
    stopped: str

    @property
    def elbo(self) -> float:
        """Mean recorded ELBO of the last tenth of the run, in nats."""
        elbos = self.history.elbo
        tail = elbos[-max(1, len(elbos) // 10) :]
        return sum(tail) / len(tail) if tail else float("nan")


def best_run(runs: list[Restart]) -> Restart:
    """The run with the highest ELBO; one without a record only where none has one."""
    recorded = [run for run in runs if run.history.elbo]
    return max(recorded or runs, key=lambda run: run.elbo)


@dataclass
class Fit:
    """A trained guide with all that is needed to read and repeat it.

    Attributes:
        restarts: The independent runs, in order of their seeds.
        objective: What was optimised, and whether it is a bound.
        config: The settings of :func:`l0bayes.fit`.
        data: The data as given.
        num_gates: Number of gates.
        seconds: Wall-clock time of all runs.
        mode: Form in which the objective ran: ``"inductor"``, ``"graph"`` or ``"eager"``.
    """

    restarts: list[Restart]
    objective: Objective
    config: dict[str, Any]
    data: Any
    num_gates: int
    seconds: float
    mode: str

    @classmethod
    def of(cls, model: Any, guide: Any, data: tuple[Any, ...]) -> Fit:
        """Wrap a guide that was trained elsewhere, by ``pyro.infer.SVI`` or a loop of one's own.

        Args:
            model: The Pyro model.
            guide: Its trained guide.
            data: The model's arguments.

        Returns:
            A fit with one run and no history.
        """
        objective = describe_objective(model, guide, data)
        gates = gate_laws(guide).values()
        run = Restart(guide, model, History(), seed=0, seconds=0.0, stopped="trained elsewhere")
        return cls([run], objective, {}, data, sum(law.batch_shape.numel() for law in gates), 0.0, "none")

    @property
    def best(self) -> Restart:
        """The run with the highest ELBO."""
        return best_run(self.restarts)

    @property
    def guide(self) -> Any:
        """The guide of the best run."""
        return self.best.guide

    @property
    def model(self) -> Any:
        """The model of the best run."""
        return self.best.model

    @property
    def history(self) -> History:
        """The history of the best run."""
        return self.best.history

    @property
    def elbo(self) -> float:
        """The ELBO of the best run, in nats; see :attr:`Objective.is_bound`."""
        return self.best.elbo

    def __repr__(self) -> str:
        best, history = self.best, self.best.history
        steps = history.step[-1] if history.step else 0
        lines = [
            f"Fit: {self.objective.name}{'' if self.objective.is_bound else ' (not a bound)'}",
            f"  objective {self.elbo:.2f} nats, {best.stopped} after {steps} steps, "
            f"{self.seconds:.1f} s, mode {self.mode}",
        ]
        if self.num_gates and history.step:
            lines.append(
                f"  gates     {self.num_gates}, expected open {history.expected_l0[-1]:.1f}, "
                f"deployed open {history.deployed_l0[-1]}"
            )
        if len(self.restarts) > 1:
            elbos = ", ".join(f"{run.elbo:.2f}" for run in self.restarts)
            lines.append(f"  restarts  {len(self.restarts)}, objective {elbos}")
        return "\n".join(lines)
