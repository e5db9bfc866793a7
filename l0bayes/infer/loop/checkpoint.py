r"""Checkpoints: all that a run needs to go on as if it had not been interrupted."""

from __future__ import annotations

import copy
import os
import re
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import Record, TrainingRun
from l0bayes.infer.objectives.elbo import BoundELBO

__all__ = ["Checkpoint", "CheckpointError"]

_FORMAT = 2
# Settings that explain why another run has parameters and buffers of other shapes.
_FIRST = {"steps", "seed", "target"}
# Settings that may change when a run is resumed.
_FREE = {"torch", "pyro", "compile", "callbacks"}
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


class CheckpointError(ValueError):
    """A file is no checkpoint, or one of another run."""


class Checkpoint(Callback):
    """Keeps the state of a run at its last record, and writes it to a file now and then.

    The file appears whole or not at all: it is written beside and then moved into place. It holds the
    settings, the parameters and buffers of guide, model and objective, the state of the optimiser and of all
    callbacks (the history is one of them), the number of steps done and the state of torch's random
    generators. It is read with ``weights_only=True``, so that reading it runs no code.

    Args:
        path: The file.
        every: Seconds between two writes; the end of a run, whatever ends it, is always written.
    """

    def __init__(self, path: str | os.PathLike[str], every: float) -> None:
        self.path = Path(path)
        self.every = every
        self._state: dict[str, Any] | None = None
        self._written = time.monotonic()

    def on_record(self, run: TrainingRun, record: Record) -> None:
        gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        states = run.callbacks.state_dict(run)
        for name, state in states.items():
            _check_plain(state, f"the state of the callback {name!r}")
        self._state = {
            "format": _FORMAT,
            "settings": dict(run.settings),
            "shapes": _shapes(run.objective),
            "objective": {name: value.detach().clone() for name, value in run.objective.state_dict().items()},
            "optimizer": copy.deepcopy(run.optimizer.state_dict()),
            "callbacks": states,
            "done": run.done,
            "random": torch.get_rng_state(),
            "random_gpus": gpus,
        }
        if time.monotonic() - self._written >= self.every:
            self._write()

    def on_end(self, run: TrainingRun) -> None:
        self._write()

    def _write(self) -> None:
        """Write the state of the last record; nothing where there is none."""
        if self._state is None:
            return
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        try:
            torch.save(self._state, beside)
            beside.replace(self.path)
        finally:
            beside.unlink(missing_ok=True)
        self._written = time.monotonic()

    def load(self, run: TrainingRun) -> None:
        """Put everything back to where the file has it, in place.

        Args:
            run: The run, at its start.

        Raises:
            CheckpointError: If the file is no checkpoint or one of another run.
        """
        state = self._read()
        self._check_settings(state["settings"], run.settings, _FIRST)
        run.callbacks.shape_like(run, state["callbacks"])
        theirs, ours = state["shapes"], _shapes(run.objective)
        different = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
        if different:
            name = different[0]
            raise CheckpointError(
                f"checkpoint {self.path} is of another model or guide: {len(different)} entries differ, the "
                f"first is {name!r}, of shape {theirs.get(name)} in the file and {ours.get(name)} here"
            )
        self._check_settings(state["settings"], run.settings, run.settings.keys() - _FREE)
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

    def _check_settings(
        self, theirs: Mapping[str, Any], ours: Mapping[str, Any], names: Collection[str]
    ) -> None:
        for name, value in ours.items():
            before = theirs.get(name)
            # A function's text holds its place in memory, which differs from process to process.
            if name not in names or any(_ADDRESS.search(str(one)) for one in (before, value)):
                continue
            if before != value:
                raise CheckpointError(
                    f"checkpoint {self.path} is of another run: its {name} is {before!r}, that of this run "
                    f"{value!r}. Give another file, or resume=False to overwrite it"
                )

    def _read(self) -> dict[str, Any]:
        try:
            state = torch.load(self.path, weights_only=True, map_location="cpu")
        except Exception as error:
            raise CheckpointError(f"checkpoint {self.path} can't be read: {error}") from error
        if not isinstance(state, dict) or state.get("format") != _FORMAT:
            raise CheckpointError(f"checkpoint {self.path} was not written by this version of l0bayes.fit")
        return state


def _shapes(objective: BoundELBO) -> dict[str, list[int]]:
    return {name: list(value.shape) for name, value in objective.state_dict().items()}


def _check_plain(value: Any, where: str) -> None:
    """Refuse values that could be written but not be read back with ``weights_only=True``."""
    if isinstance(value, dict):
        for key, one in value.items():
            _check_plain(key, f"a key of {where}")
            _check_plain(one, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        for index, one in enumerate(value):
            _check_plain(one, f"{where}[{index}]")
    elif type(value) not in (type(None), bool, int, float, str, bytes) and not isinstance(value, Tensor):
        raise TypeError(
            f"{where} must hold numbers, text, tensors, lists and dictionaries alone, which a checkpoint "
            f"can hold; got {type(value).__name__}"
        )
