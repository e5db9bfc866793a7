r"""Checkpoints: all that a run needs to go on as if it had not been interrupted."""

from __future__ import annotations

import copy
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from l0bayes.infer.loop.fit_result import History
from l0bayes.infer.objectives.elbo import BoundELBO

__all__ = ["CheckpointError", "Checkpointer"]

_FORMAT = 1


class CheckpointError(ValueError):
    """A file is no checkpoint, or one of another run."""


class Checkpointer:
    """Keeps the state of a run at its last record, and writes it to a file now and then.

    The file appears whole or not at all: it is written beside and then moved into place. It holds the
    parameters and buffers of guide, model and objective, the optimiser's state, the history, the number
    of steps done and the state of torch's random generators. It is read with ``weights_only=True``, so
    that reading it runs no code.

    Args:
        path: The file.
        every: Seconds between two writes; the end of a run, whatever ends it, is always written.
        settings: What another run would not share, such as the number of steps; compared when resuming.
    """

    def __init__(self, path: str | os.PathLike[str], every: float, settings: dict[str, Any]) -> None:
        self.path = Path(path)
        self.every = every
        self.settings = settings
        self._state: dict[str, Any] | None = None
        self._written = time.monotonic()

    def keep(
        self,
        objective: BoundELBO,
        optimizer: Optimizer,
        history: History,
        done: int,
        collapsed: dict[str, int],
    ) -> None:
        """Take the state at a record, and write it where it is time.

        Args:
            objective: The ELBO with its model and guide.
            optimizer: The optimiser.
            history: The history so far.
            done: Steps done.
            collapsed: Site to step of the collapses so far.
        """
        gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        self._state = {
            "format": _FORMAT,
            "settings": self.settings,
            "shapes": _shapes(objective),
            "objective": {name: value.detach().clone() for name, value in objective.state_dict().items()},
            "optimizer": copy.deepcopy(optimizer.state_dict()),
            "history": copy.deepcopy(asdict(history)),
            "collapsed": dict(collapsed),
            "done": done,
            "random": torch.get_rng_state(),
            "random_gpus": gpus,
        }
        if time.monotonic() - self._written >= self.every:
            self.write()

    def write(self) -> None:
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

    def load(
        self, objective: BoundELBO, optimizer: Optimizer, history: History, collapsed: dict[str, int]
    ) -> int:
        """Put everything back to where the file has it, in place.

        Args:
            objective: The ELBO with its model and guide.
            optimizer: The optimiser.
            history: An empty history.
            collapsed: An empty dictionary.

        Returns:
            Steps done.

        Raises:
            CheckpointError: If the file is no checkpoint or one of another run.
        """
        state = self._read()
        for name, value in self.settings.items():
            if state["settings"].get(name) != value:
                raise CheckpointError(
                    f"checkpoint {self.path} is of another run: its {name} is "
                    f"{state['settings'].get(name)!r}, that of this run {value!r}. Give another file, or "
                    "resume=False to overwrite it"
                )
        theirs, ours = state["shapes"], _shapes(objective)
        different = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
        if different:
            name = different[0]
            raise CheckpointError(
                f"checkpoint {self.path} is of another model or guide: {len(different)} entries differ, the "
                f"first is {name!r}, of shape {theirs.get(name)} in the file and {ours.get(name)} here"
            )
        objective.load_state_dict(state["objective"])
        optimizer.load_state_dict(state["optimizer"])
        for name, value in state["history"].items():
            setattr(history, name, value)
        collapsed.update(state["collapsed"])
        torch.set_rng_state(state["random"])
        if state["random_gpus"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["random_gpus"])
        done: int = state["done"]
        return done

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
