r"""Callbacks in their order, called as one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from numbers import Real
from typing import Any

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.history import History
from l0bayes.infer.callbacks.training_run import Record, TrainingRun

__all__ = ["CallbackList"]

_OF_EVERY_HISTORY = {part.name for part in fields(History)}


class CallbackList:
    """Callbacks in their order. An error in one of them is given a note with its name.

    Args:
        callbacks: The callbacks. Two of one name are numbered.
    """

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self._named: dict[str, Callback] = {}
        for callback in callbacks:
            alike = sum(other.name == callback.name for other in self._named.values())
            self._named[f"{callback.name} {alike + 1}" if alike else callback.name] = callback
        # Most callbacks do nothing at a step: these lists spare the calls.
        self._before_step = self._with("before_step")
        self._after_step = self._with("after_step")

    def _with(self, method: str) -> list[tuple[str, Callable[[TrainingRun], None]]]:
        written = (
            (name, one)
            for name, one in self._named.items()
            if getattr(type(one), method) is not getattr(Callback, method)
        )
        return [(name, getattr(one, method)) for name, one in written]

    @contextmanager
    def around(self, run: TrainingRun) -> Iterator[None]:
        """Start all callbacks; end those that were started, the last one first, whatever happens.

        Args:
            run: The run.
        """
        with ExitStack() as ends:
            for name, callback in self._named.items():
                with _named_error(name, "on_start"):
                    callback.on_start(run)
                ends.callback(_end, name, callback, run)
            yield

    def before_step(self, run: TrainingRun) -> None:
        """Call ``before_step`` of all.

        Args:
            run: The run.
        """
        for name, call in self._before_step:
            try:
                call(run)
            except Exception as error:
                _add_note(error, name, "before_step")
                raise

    def after_step(self, run: TrainingRun) -> None:
        """Call ``after_step`` of all.

        Args:
            run: The run.
        """
        for name, call in self._after_step:
            try:
                call(run)
            except Exception as error:
                _add_note(error, name, "after_step")
                raise

    def columns(self, run: TrainingRun) -> dict[str, float]:
        """The further columns of a record, of all callbacks.

        Args:
            run: The run.

        Raises:
            TypeError: If a callback gives anything but numbers by name.
            ValueError: If two callbacks give a column of the same name, or one gives a column that every
                history has.
        """
        found: dict[str, float] = {}
        for name, callback in self._named.items():
            with _named_error(name, "columns"):
                new = callback.columns(run)
                _check_columns(new)
                if twice := sorted(found.keys() & new.keys()):
                    raise ValueError(
                        f"the column {twice[0]!r} of the history is given by another callback too"
                    )
            found |= new
        return found

    def on_record(self, run: TrainingRun, record: Record) -> None:
        """Call ``on_record`` of all.

        Args:
            run: The run.
            record: The measurements since the last record.
        """
        for name, callback in self._named.items():
            with _named_error(name, "on_record"):
                callback.on_record(run, record)

    def on_finish(self, fit: Any) -> None:
        """Call ``on_finish`` of all.

        Args:
            fit: The result.
        """
        for name, callback in self._named.items():
            with _named_error(name, "on_finish"):
                callback.on_finish(fit)

    def state_dict(self, run: TrainingRun) -> dict[str, dict[str, Any]]:
        """A copy of the state of every callback that has one, by name.

        Args:
            run: The run.
        """
        states: dict[str, dict[str, Any]] = {}
        for name, callback in self._named.items():
            with _named_error(name, "state_dict"):
                states[name] = copy.deepcopy(callback.state_dict(run))
        return {name: state for name, state in states.items() if state}

    def shape_like(self, run: TrainingRun, states: dict[str, dict[str, Any]]) -> None:
        """Call ``shape_like`` of all, each with its state.

        Args:
            run: The run.
            states: The result of :meth:`state_dict`.
        """
        for name, callback in self._named.items():
            with _named_error(name, "shape_like"):
                callback.shape_like(run, states.get(name, {}))

    def load_state_dict(self, run: TrainingRun, states: dict[str, dict[str, Any]]) -> None:
        """Give every callback its state; an empty one where it has none.

        Args:
            run: The run.
            states: The result of :meth:`state_dict`.

        Raises:
            ValueError: If a state has no callback here, or a callback with a state finds none.
        """
        if unknown := sorted(states.keys() - self._named.keys()):
            raise ValueError(f"it holds the state of the callback {unknown[0]!r}, which this run lacks")
        if missing := sorted(self.state_dict(run).keys() - states.keys()):
            raise ValueError(f"it holds no state of the callback {missing[0]!r}, which this run has")
        for name, callback in self._named.items():
            with _named_error(name, "load_state_dict"):
                callback.load_state_dict(run, states.get(name, {}))


def _check_columns(columns: Any) -> None:
    """Numbers by name, under names that are free."""
    if not isinstance(columns, Mapping):
        raise TypeError(f"columns() must return numbers by name, a mapping; got {type(columns).__name__}")
    for name, value in columns.items():
        if not isinstance(name, str) or not isinstance(value, Real):
            raise TypeError(f"columns() must return numbers by name; got {name!r}: {value!r}")
        if name in _OF_EVERY_HISTORY:
            raise ValueError(f"the column {name!r} is one that every history has: take another name")


def _end(name: str, callback: Callback, run: TrainingRun) -> None:
    with _named_error(name, "on_end"):
        callback.on_end(run)


@contextmanager
def _named_error(name: str, method: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        _add_note(error, name, method)
        raise


def _add_note(error: Exception, name: str, method: str) -> None:
    error.add_note(f"raised in {method} of the callback {name!r}")
