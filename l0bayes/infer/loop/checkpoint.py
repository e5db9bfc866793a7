r"""Checkpoints: all that a run needs to go on as if it had not been interrupted."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from l0bayes.files.generations import Generations
from l0bayes.files.state_files import StateFileError, as_plain_state
from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import Record, TrainingRun
from l0bayes.infer.guide_combinations import copied_guide
from l0bayes.infer.kept_model import kept_model
from l0bayes.infer.loop.kept_runs import KeptRunError, difference_of_shapes, run_of, shapes_of
from l0bayes.infer.loop.restart_result import Restart
from l0bayes.infer.loop.run_identity import differs
from l0bayes.infer.objectives.elbo import BoundELBO
from l0bayes.optional_packages import need
from l0bayes.user_warnings import warn_user

__all__ = ["Checkpoint", "CheckpointError", "CheckpointWarning"]

_FORMAT = 4
# Format 3 does not say what the run is of.
_READ = (3, 4)
# Settings that explain why another run has parameters and buffers of other shapes.
_FIRST = {"steps", "seed", "target"}
# Settings that may change when a run is resumed.
_FREE = {"torch", "pyro", "compile", "callbacks"}
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


class CheckpointError(ValueError):
    """A file is no checkpoint, or one of another run."""


class CheckpointWarning(UserWarning):
    """The last state of a run is damaged, and the one before it was taken."""


class Checkpoint(Callback):
    """Keeps the state of a run at its last record, and writes it to a file now and then.

    It holds the settings, what the run is of, the parameters and buffers of guide, model and objective, the
    state of the optimiser and of all callbacks (the history is one of them), the number of steps done, the
    state of torch's random generators, and of a fit with restarts the runs that have ended. The file is
    safetensors with a checksum, and the one before it is kept: see
    :class:`~l0bayes.files.generations.Generations`.

    Args:
        path: The file.
        every: Seconds between two writes; the end of a run, whatever ends it, is always written.
        writes: Whether this process writes the file; the others only read it.
        identity: What the run is of, see :func:`~.run_identity.run_identity`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        every: float,
        writes: bool = True,
        identity: Mapping[str, str] | None = None,
    ) -> None:
        need("A checkpoint", "safetensors")  # before a step is made, not at the first writing
        self.path = Path(path)
        self.every = every
        self.writes = writes
        self.identity = dict(identity or {})
        self.generations = Generations(self.path)
        self.start: dict[str, Any] = {}
        self.ended: list[dict[str, Any]] = []
        self._read_state: dict[str, Any] | None = None
        self._state: dict[str, Any] | None = None
        self._kept_step: int | None = None
        self._written = time.monotonic()

    def on_record(self, run: TrainingRun, record: Record) -> None:
        gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        states = run.callbacks.state_dict(run)
        for name, state in states.items():
            states[name] = as_plain_state(state, f"the state of the callback {name!r}")
        self._state = {
            "format": _FORMAT,
            "settings": dict(run.settings),
            "identity": self.identity,
            "shapes": shapes_of(run.objective.state_dict()),
            "objective": as_plain_state(dict(run.objective.state_dict()), "the objective"),
            "optimizer": as_plain_state(run.optimizer.state_dict(), "the optimiser's state"),
            "callbacks": states,
            "done": run.done,
            "random": torch.get_rng_state(),
            "random_gpus": gpus,
            "index": run.index,
            "start": self.start,
            "ended": list(self.ended),
        }
        if time.monotonic() - self._written >= self.every:
            self._write()

    def on_end(self, run: TrainingRun) -> None:
        self._write()

    def _write(self) -> None:
        """Write the state of the last record; nothing where there is none that was not written."""
        state, self._state = self._state, None
        if state is None or not self.writes:
            return
        try:
            self.generations.write(state)
        except OSError as error:
            kept = ""
            if self._kept_step is not None:
                kept = f"; that of step {self._kept_step} is whole and stays: go on from it with resume=True"
            words = f"the checkpoint of step {state['done']} could not be written: {error.strerror}{kept}"
            raise OSError(error.errno, words) from error
        self._kept_step = state["done"]
        self._written = time.monotonic()

    def load(self, run: TrainingRun) -> None:
        """Put everything back to where the file has it, in place.

        Args:
            run: The run, at its start.

        Raises:
            CheckpointError: If the file is no checkpoint or one of another run.
        """
        state = self.read()
        self._read_state = None  # not kept: it is as large as the run
        self._check_settings(state["settings"], run.settings, _FIRST)
        run.callbacks.shape_like(run, state["callbacks"])
        if wrong := difference_of_shapes(state["shapes"], shapes_of(run.objective.state_dict())):
            raise CheckpointError(f"checkpoint {self.path} is of another model or guide: {wrong}")
        self._check_settings(state["settings"], run.settings, {*run.settings, *state["settings"]} - _FREE)
        self._check_identity(state.get("identity", self.identity))
        run.objective.load_state_dict(state["objective"])
        run.optimizer.load_state_dict(state["optimizer"])
        run.done = state["done"]
        try:
            run.callbacks.load_state_dict(run, state["callbacks"])
        except ValueError as error:
            raise CheckpointError(f"checkpoint {self.path} is of another run: {error}") from error
        torch.set_rng_state(state["random"])
        if state["random_gpus"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["random_gpus"])

    def take_up(
        self, objective: BoundELBO, settings: Mapping[str, Any], start: dict[str, Any]
    ) -> tuple[list[Restart], int, dict[str, Any]]:
        """The runs that had ended, the number of the one that goes on, and where all of them start from.

        Args:
            objective: The objective, at its start; each run gets copies of model and guide.
            settings: The settings of the fit as plain values.
            start: Values of the objective at its start, empty for a single run.

        Raises:
            CheckpointError: If the file is of another fit.
        """
        state = self.read()
        if not start:
            return [], 0, start
        self._check_settings(state["settings"], settings, {*settings, *state["settings"]} - _FREE)
        self._check_identity(state.get("identity", self.identity))
        runs = []
        self.ended = list(state["ended"])
        for kept in self.ended:
            try:
                runs.append(run_of(kept, kept_model(objective.model), copied_guide(objective.guide)))
            except KeptRunError as error:
                raise CheckpointError(f"checkpoint {self.path} can't be gone on from: {error}") from error
        return runs, state["index"], state["start"]

    def _check_settings(
        self, theirs: Mapping[str, Any], ours: Mapping[str, Any], names: Collection[str]
    ) -> None:
        for name in sorted({*ours, *theirs}):
            before, value = theirs.get(name), ours.get(name)
            # A function's text holds its place in memory, which differs from process to process.
            if name not in names or any(_ADDRESS.search(str(one)) for one in (before, value)):
                continue
            if before != value:
                raise CheckpointError(
                    f"checkpoint {self.path} is of another run: its {name} is {before!r}, that of this run "
                    f"{value!r}. Give another file, or resume=False to overwrite it"
                )

    def _check_identity(self, theirs: Mapping[str, str]) -> None:
        """Refuse a run of another guide, model or data of the same shapes, whose result would be taken on."""
        for name in (*self.identity, *theirs):
            before, ours = theirs.get(name, "not there"), self.identity.get(name, "not there")
            if differs(name, before, ours):
                raise CheckpointError(
                    f"checkpoint {self.path} is of another run: its {name} is {before}, that of this run is "
                    f"{ours}. Give another file, or resume=False to overwrite it"
                )

    def read(self) -> dict[str, Any]:
        """The last state that is whole; read from the file once.

        Raises:
            CheckpointError: If there is none, or the file is none of a run.

        Warns:
            CheckpointWarning: If the last one is damaged and the one before is taken.
        """
        if self._read_state is not None:
            return self._read_state
        try:
            state, wrong = self.generations.read()
        except (FileNotFoundError, StateFileError) as error:
            raise CheckpointError(f"checkpoint {self.path} can't be read: {error}") from error
        if state.get("format") not in _READ:
            raise CheckpointError(f"checkpoint {self.path} was not written by this version of l0bayes.fit")
        if wrong:
            warn_user(
                f"checkpoint {self.path} can't be read ({wrong}); the run goes on from the one before it, of "
                f"step {state['done']}",
                CheckpointWarning,
            )
        self._kept_step = state["done"]
        self._read_state = state
        return state
