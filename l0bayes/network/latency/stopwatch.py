r"""Times of runs that take turns, so that whatever else a machine does meets them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.network.structure import arguments_of, tensors_in

__all__ = ["Clock", "clock_of_runs", "network_times", "pair_times", "run_times", "threads_for"]

Clock = Callable[[], float]
"""Gives seconds; two readings tell how long it took between them."""

_FINE = 1e-6
# Runs shorter than this, in seconds, are timed when they follow one of their own.
_SHORT = 5e-3
_SECONDS, _ROUNDS, _LEAST = 0.2, 1000, 3


def clock_of_runs() -> Clock:
    """The processor's time of this thread where torch uses one thread, which other programs do not lengthen.

    The clock on the wall where it uses several, or where the machine measures that time coarsely.
    """
    fine = time.get_clock_info("thread_time").resolution <= _FINE
    return time.thread_time if torch.get_num_threads() == 1 and fine else time.perf_counter


def run_times(
    runs: Sequence[Callable[[], object]],
    *,
    clock: Clock | None = None,
    seconds: float = _SECONDS,
    rounds: int = _ROUNDS,
) -> list[float]:
    """Median time of each run in seconds; they take turns, of two runs each where these are short.

    Args:
        runs: What is run.
        clock: What tells the time; by default :func:`clock_of_runs`.
        seconds: About how long one of them is run all in all.
        rounds: How often at most.
    """
    now = clock_of_runs() if clock is None else clock
    for run in runs:  # memory is asked for, and kernels are chosen, at the first run
        run()
    times: list[list[float]] = [[] for _ in runs]
    spent, done = 0.0, 0
    while done < _LEAST or (spent < seconds * len(runs) and done < rounds):
        for run, found in zip(runs, times, strict=True):
            if not found or found[-1] < _SHORT:
                run()  # after the other's turn what it needs is no longer at hand
            start = now()
            run()
            found.append(now() - start)
            spent += found[-1]
        done += 1
    return [statistics.median(found) for found in times]


def pair_times(
    pairs: Sequence[tuple[nn.Module, tuple[Any, ...]]],
    *,
    clock: Clock | None = None,
    seconds: float = _SECONDS,
    rounds: int = _ROUNDS,
) -> list[float | None]:
    """Median time of a run of each network with its arguments, in seconds; they take turns.

    Args:
        pairs: Networks and their arguments.
        clock: As for :func:`run_times`.
        seconds: About how long all of them are run, for each of at most two.
        rounds: As for :func:`run_times`.

    Returns:
        A time each; ``None`` for a network that does not take such inputs.
    """
    found: list[float | None] = [None] * len(pairs)
    with torch.no_grad(), evaluating(nn.ModuleList(net for net, _ in pairs)):
        runs = {}
        for number, (net, inputs) in enumerate(pairs):
            run = _runner(net, inputs)
            try:
                run()
            except (RuntimeError, ValueError, IndexError):
                continue
            runs[number] = run
        each = seconds * min(1.0, 2.0 / max(1, len(runs)))
        times = run_times([*runs.values()], clock=clock, seconds=each, rounds=rounds) if runs else []
        for number, taken in zip(runs, times, strict=True):
            found[number] = taken
    return found


def network_times(
    nets: Sequence[nn.Module],
    inputs: tuple[Any, ...],
    *,
    clock: Clock | None = None,
    seconds: float = _SECONDS,
    rounds: int = _ROUNDS,
) -> list[float | None]:
    """Median time of a run of each network in evaluation mode, in seconds; they take turns.

    Args:
        nets: The networks.
        inputs: Their arguments.
        clock: As for :func:`run_times`.
        seconds: As for :func:`pair_times`.
        rounds: As for :func:`run_times`.

    Returns:
        A time each; ``None`` for a network that does not take such inputs.
    """
    pairs = [(net, inputs) for net in nets]
    return pair_times(pairs, clock=clock, seconds=seconds, rounds=rounds)


@contextmanager
def threads_for(count: int) -> Iterator[None]:
    """A number of threads for a while.

    Args:
        count: The number.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _runner(net: nn.Module, inputs: tuple[Any, ...]) -> Callable[[], object]:
    args, named = arguments_of(inputs)
    on_gpu = any(x.is_cuda for x in tensors_in(inputs))

    def run() -> None:
        net(*args, **named)
        if on_gpu:
            torch.cuda.synchronize()

    return run
