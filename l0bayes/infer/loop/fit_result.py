r"""The result of a fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from l0bayes.infer.callbacks.history import History
from l0bayes.infer.loop.fit_settings import FitSettings
from l0bayes.infer.objectives.gate_parts import gate_laws
from l0bayes.infer.objectives.objective import Objective, describe_objective

__all__ = ["Fit", "Restart", "best_run"]


@dataclass
class Restart:
    """One independent run.

    Attributes:
        guide: The trained guide.
        model: The model, with its own trained parameters where it is a module.
        history: Its records.
        seed: Seed of the run.
        seconds: Wall-clock time.
        stopped: Why it ended: ``"finished"``, ``"converged"``, ``"interrupted"`` or ``"diverged"``, or what a
            callback gave as the reason.
        collapsed: Gate site to the step at which all its gates had shut and one was reopened.
    """

    guide: Any
    model: Any
    history: History
    seed: int
    seconds: float
    stopped: str
    collapsed: dict[str, int] = field(default_factory=dict)

    @property
    def elbo(self) -> float:
        """Mean recorded ELBO of the last tenth of the run, in nats."""
        elbos = self.history.elbo
        tail = elbos[-max(1, len(elbos) // 10) :]
        return sum(tail) / len(tail) if tail else float("nan")


def best_run(runs: list[Restart]) -> Restart:
    """The run with the highest ELBO; one without a record only where none has one.

    Args:
        runs: The runs, at least one.
    """
    recorded = [run for run in runs if run.history.elbo]
    return max(recorded or runs, key=lambda run: run.elbo)


@dataclass
class Fit:
    """A trained guide with all that is needed to read and repeat it.

    Attributes:
        restarts: The independent runs, in order of their seeds.
        objective: The objective, and whether it is a bound.
        config: The settings as plain values, with the versions of torch and Pyro.
        data: The data as given.
        num_gates: Number of gates.
        seconds: Wall-clock time of all runs.
        mode: Form in which the objective ran: ``"inductor"``, ``"graph"`` or ``"eager"``.
        settings: The settings of :func:`l0bayes.fit`, with the number of steps and whatever else follows from
            data and model filled in; ``None`` for a guide that was trained elsewhere.
    """

    restarts: list[Restart]
    objective: Objective
    config: dict[str, Any]
    data: Any
    num_gates: int
    seconds: float
    mode: str
    settings: FitSettings | None = None

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
        target = self.config.get("target")
        if target and history.step:
            kind = target.partition(":")[0]
            lines.append(
                f"  target    {target}, expected {history.columns[f'expected_{kind}'][-1]:.4f}, "
                f"deployed {history.columns[f'deployed_{kind}'][-1]:.4f}"
            )
        if best.collapsed:
            lines.append(f"  collapsed {', '.join(best.collapsed)}; one gate each was reopened")
        if len(self.restarts) > 1:
            elbos = ", ".join(f"{run.elbo:.2f}" for run in self.restarts)
            lines.append(f"  restarts  {len(self.restarts)}, objective {elbos}")
        return "\n".join(lines)
