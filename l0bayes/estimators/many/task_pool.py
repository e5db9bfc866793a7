r"""Tasks that share nothing, run by joblib: the same numbers on one worker or many."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pickle import PicklingError
from typing import Any, TypeVar

import numpy as np
import torch
from joblib import Parallel, delayed
from sklearn.utils import check_random_state
from threadpoolctl import threadpool_limits

from l0bayes.user_warnings import warn_user

__all__ = ["run_tasks", "task_seeds"]

R = TypeVar("R")


def task_seeds(random_state: Any, count: int) -> list[int]:
    """A seed for each task, which depends on its number alone.

    Args:
        random_state: As scikit-learn takes it.
        count: Number of tasks.
    """
    root = int(check_random_state(random_state).randint(2**31 - 1))
    children = np.random.SeedSequence(root).spawn(count)
    return [int(child.generate_state(1)[0]) % (2**31 - 1) for child in children]


def run_tasks(
    work: Callable[..., R],
    tasks: Sequence[tuple[Any, ...]],
    *,
    n_jobs: int | None,
    names: Sequence[str] | None = None,
) -> list[R]:
    """Run a function on the arguments of each task, in their order.

    Each task runs on one thread, wherever it runs: sums are then taken in the same order. Warnings of all of
    them are issued here, once each.

    Args:
        work: A function of a module.
        tasks: Its arguments.
        n_jobs: Workers, as in scikit-learn: ``None`` is 1, or what ``joblib.parallel_config`` says; -1 is all
            cores.
        names: What each task is called, in errors.

    Raises:
        Exception: What a task raises, with its name before: as ``ValueError`` or ``TypeError`` if it is one,
            as ``RuntimeError`` else; the task's own is its cause.
        TypeError: If something of the arguments or the results cannot be pickled for another process.
    """
    called = [f"task {number}" for number in range(1, len(tasks) + 1)] if names is None else names
    try:
        done: Any = Parallel(n_jobs=n_jobs)(
            delayed(_on_one_thread)(work, task, name) for task, name in zip(tasks, called, strict=True)
        )
    except PicklingError as error:
        # joblib's cause is a traceback in text; its last line is the reason.
        reason = [line for line in str(error.__cause__ or error).splitlines() if line.strip(' "')][-1]
        raise TypeError(
            f"estimator and data cannot be sent to another process ({reason}): take out what "
            "cannot be pickled, such as open files, locks and generators, or use n_jobs=1"
        ) from error
    for message, category in dict.fromkeys(told for _, all_told in done for told in all_told):
        warn_user(message, category)
    return [found for found, _ in done]


def _on_one_thread(
    work: Callable[..., R], task: tuple[Any, ...], name: str
) -> tuple[R, list[tuple[str, type[Warning]]]]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = work(*task)
    except Exception as error:
        kind = next((one for one in (ValueError, TypeError) if isinstance(error, one)), RuntimeError)
        raise kind(f"{name} failed: {error}") from error
    finally:
        torch.set_num_threads(threads)
    told: list[tuple[str, type[Warning]]]
    told = [(str(one.message), one.category) for one in caught if issubclass(one.category, UserWarning)]
    return found, told
