r"""The result of a fit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from l0bayes.infer.callbacks.decision import Decision
from l0bayes.infer.callbacks.history import History
from l0bayes.infer.kept_model import kept_model
from l0bayes.infer.loop.fit_files import write_fit
from l0bayes.infer.loop.fit_settings import FitSettings
from l0bayes.infer.loop.restart_agreement import disagreement_of_restarts
from l0bayes.infer.loop.restart_result import Restart, best_run
from l0bayes.infer.model_arguments import ModelArguments
from l0bayes.infer.objectives.gate_parts import gate_laws
from l0bayes.infer.objectives.objective import Objective, describe_objective
from l0bayes.infer.trained_parameters import TrainedParameters

__all__ = ["Fit", "check_is_fit"]


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
        kwargs: The model's keyword arguments.
        deployment: For a model that is deployed: what its deployed network predicts beside what was trained,
            and how many gates are undecided, in words; ``None`` where it was not measured.
    """

    restarts: list[Restart]
    objective: Objective
    config: dict[str, Any]
    data: Any
    num_gates: int
    seconds: float
    mode: str
    settings: FitSettings | None = None
    kwargs: dict[str, Any] = field(default_factory=dict)
    deployment: str | None = None

    @classmethod
    def of(cls, model: Any, guide: Any, data: Any, kwargs: Mapping[str, Any] | None = None) -> Fit:
        """Wrap a guide that was trained elsewhere, by ``pyro.infer.SVI`` or a loop of one's own.

        Whatever reads the fit takes the values of ``pyro.param`` that Pyro's parameter store holds now, and
        those of the model's own parameters as they are now.

        Args:
            model: The Pyro model.
            guide: Its trained guide.
            data: The model's positional arguments.
            kwargs: Its keyword arguments.

        Returns:
            A fit with one run and no history.

        Warns:
            UntrainedParameterWarning: If model or guide ask for a ``pyro.param`` that the store does not
                hold.
        """
        objective = describe_objective(model, guide, data, kwargs=kwargs)
        gates = gate_laws(guide).values()
        run = Restart(
            guide,
            kept_model(model),
            History(),
            seed=0,
            seconds=0.0,
            stopped="trained elsewhere",
            parameters=TrainedParameters.in_store(model, guide),
        )
        count = sum(law.batch_shape.numel() for law in gates)
        return cls([run], objective, {}, data, count, 0.0, "none", kwargs=dict(kwargs or {}))

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Keep all runs in a folder, for :func:`l0bayes.load_fit`.

        It holds what guide and model were trained to, history, settings, and what was decided of the gates.
        Data and the code of model and guide are not kept.

        Args:
            folder: The folder, which is made where there is none. A fit that is in it is replaced.

        Returns:
            The file: safetensors, of which nothing is unpickled or run when it is read.

        Raises:
            FileExistsError: If the folder holds other files, and no fit.
            TypeError: If model or guide hold something that no file can hold, by name.
        """
        about = {
            "objective": asdict(self.objective),
            "config": self.config,
            "num_gates": self.num_gates,
            "seconds": self.seconds,
            "mode": self.mode,
        }
        return write_fit(folder, self.restarts, about)

    def arguments(self, data: Any = None, kwargs: Mapping[str, Any] | None = None) -> ModelArguments:
        """The model's arguments to read the fit with.

        Args:
            data: Positional arguments, all data; default: what was fitted, which must then be a tuple.
            kwargs: Keyword arguments; default: those of the fit.

        Raises:
            TypeError: If the data are no tuple.
        """
        if kwargs is None and not isinstance(data, ModelArguments):
            kwargs = self.kwargs
        return ModelArguments.of(self.data if data is None else data, kwargs)

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
        """The model of the best run; of a module, a copy with the values that were trained with the guide."""
        return self.best.model

    @property
    def history(self) -> History:
        """The history of the best run."""
        return self.best.history

    @property
    def decision(self) -> Decision | None:
        """What was decided of the gates of the best run before its end, and when; ``None`` without."""
        return self.best.decision

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
                f"deployed open {history.deployed_l0[-1]}{self._all_alike(history.deployed_l0[-1])}"
            )
        target = self.config.get("target")
        if target and history.step:
            kind = target.partition(":")[0]
            lines.append(
                f"  target    {target}, expected {history.columns[f'expected_{kind}'][-1]:.4f}, "
                f"deployed {history.columns[f'deployed_{kind}'][-1]:.4f}"
            )
        if best.decision is not None:
            lines.append(f"  decided   {best.decision}; what follows is conditional on it")
        if self.deployment is not None:
            lines.append(f"  deployed  {self.deployment}")
        if best.collapsed:
            lines.append(f"  collapsed {', '.join(best.collapsed)}; one gate each was reopened")
        if len(self.restarts) > 1:
            elbos = ", ".join(f"{run.elbo:.2f}" for run in self.restarts)
            differ = disagreement_of_restarts(self.restarts)
            known = "" if differ is None else f"; {differ}"
            lines.append(f"  restarts  {len(self.restarts)}, objective {elbos}{known}")
        if self.num_gates and not target:
            again = "" if len(self.restarts) > 1 else ", and restarts=5 whether another start ends elsewhere"
            lines.append(f"  check     l0bayes.trust(fit) says how far inclusion probabilities hold{again}")
        return "\n".join(lines)

    def _all_alike(self, opened: float) -> str:
        """What it means that no gate is open, or all are, in words."""
        if opened == 0:
            return ": all are shut, so that nothing they gate is left"
        return ": none is shut, so that nothing was left out" if opened == self.num_gates else ""


def check_is_fit(fit: object) -> None:
    """Refuse what is no fit, such as a model or a guide.

    Args:
        fit: What was given.

    Raises:
        TypeError: If it is none.
    """
    if not isinstance(fit, Fit):
        raise TypeError(
            "fit must be what l0bayes.fit returned, or l0bayes.Fit.of(model, guide, data) of a guide trained "
            f"elsewhere; got {type(fit).__name__}"
        )
