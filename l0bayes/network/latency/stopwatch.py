r"""Times of runs that take turns, so that whatever else a machine does meets them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.network.structure import arguments_of, tensors_in

__all__ = ["Clock", "clock_of_runs", "network_times", "run_times"]

Clock = Callable[[], float]
"""Gives seconds; two readings tell how long it took between them."""

_FINE = 1e-6
_SECONDS, _ROUNDS, _LEAST = 0.2, 60, 3


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
    """Median time of each run in seconds; they take turns.

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
            start = now()
            run()
            found.append(now() - start)
            spent += found[-1]
        done += 1
    return [statistics.median(found) for found in times]


@torch.no_grad()
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
        seconds: As for :func:`run_times`.
        rounds: As for :func:`run_times`.

    Returns:
        A time each; ``None`` for a network that does not take such inputs.
    """
    args, named = arguments_of(inputs)
    on_gpu = any(x.is_cuda for x in tensors_in(inputs))

    def runner(net: nn.Module) -> Callable[[], object]:
        def run() -> None:
            net(*args, **named)
            if on_gpu:
                torch.cuda.synchronize()

        return run

    found: list[float | None] = [None] * len(nets)
    with evaluating(nn.ModuleList(nets)):
        able = []
        for number, net in enumerate(nets):
            try:
                net(*args, **named)
            except (RuntimeError, ValueError, IndexError):
                continue
            able.append(number)
        runs = [runner(nets[number]) for number in able]
        times = run_times(runs, clock=clock, seconds=seconds, rounds=rounds) if runs else []
        for number, taken in zip(able, times, strict=True):
            found[number] = taken
    return found
