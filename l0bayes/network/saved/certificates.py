r"""What a saved network is and does, measured when it is saved: a JSON file beside it."""

from __future__ import annotations

import copy
import math
import platform
import statistics
import warnings
from typing import Any

import torch
from torch import nn

from l0bayes.infer.randomness import private_randomness
from l0bayes.network.counting import count_macs, count_nonzero
from l0bayes.network.latency.stopwatch import network_times
from l0bayes.network.saved.deployment_origin import DeploymentOrigin
from l0bayes.network.saved.fresh_rows import fresh_rows, largest_difference, rows_that_fit, run
from l0bayes.network.saved.saved_errors import UndecidedGatesWarning
from l0bayes.network.structure import tensors_in
from l0bayes.user_warnings import warn_user

__all__ = ["BATCH_SIZES", "certify", "finite"]

BATCH_SIZES = (1, 100)
"""Batch sizes at which a run is timed."""

_ROWS = 100
_DRAWS = 8
_SECONDS = 0.1  # of runs of one network at one batch size


def certify(
    net: nn.Module, origin: DeploymentOrigin | None, example: tuple[Any, ...] | None, dense: nn.Module | None
) -> dict[str, Any]:
    """Measure a network, beside the dense one where that is known.

    Args:
        net: The network.
        origin: Where it comes from.
        example: Its arguments.
        dense: The dense network.
    """
    found: dict[str, Any] = {
        "largest_difference": None,
        "gates": None if origin is None else origin.num_gates,
        "undecided_gates": None if origin is None else origin.undecided,
        "expected_gap": None,
    }
    if origin is not None:
        found |= _against_gates(net, origin)
    nets = {"deployed": net} if dense is None else {"deployed": net, "dense": dense}
    times = {rows: _latencies(list(nets.values()), example, rows) for rows in BATCH_SIZES}
    found["dense"] = None
    for place, (word, one) in enumerate(nets.items()):
        found[word] = _size(one, example)
        if example is not None:
            found[word]["latency_ms"] = {str(rows): times[rows][place] for rows in BATCH_SIZES}
    found["measured_on"] = {
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "device": str(next((p.device for p in net.parameters()), torch.device("cpu"))),
        "threads": torch.get_num_threads(),
    }
    return found


def _size(net: nn.Module, example: tuple[Any, ...] | None) -> dict[str, Any]:
    """Size of a network, with a place for its speed; without an example no multiply-accumulates."""
    tensors = {x.data_ptr(): x for x in (*net.parameters(), *net.buffers())}
    found: dict[str, Any] = {
        "nonzero": count_nonzero(net),
        "parameters": sum(p.numel() for p in net.parameters()),
        "bytes": sum(x.numel() * x.element_size() for x in tensors.values()),
        "macs": None,
        "latency_ms": None,
    }
    if example is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said when the network was laid out for gates
            found["macs"] = finite(count_macs(net, example))
    return found


def finite(value: float) -> float | None:
    """A number that JSON can hold; ``None`` where there is none.

    Args:
        value: Any number.
    """
    return value if math.isfinite(value) else None


def _against_gates(net: nn.Module, origin: DeploymentOrigin) -> dict[str, Any]:
    rows = rows_that_fit(net, origin.example, _ROWS)
    inputs = fresh_rows(origin.example, rows)
    reference = net
    if origin.statistics:  # the gated network has those from before they were computed anew
        reference = copy.deepcopy(net)
        own = dict(reference.named_buffers())
        with torch.no_grad():
            for name, value in origin.statistics.items():
                own[name].copy_(value)
    deployed, gated, gap = run(reference, inputs), origin.gated(inputs), None
    found: dict[str, Any] = {"largest_difference": None}
    if gated is not None:
        found["largest_difference"] = {
            "from": "the gated network, its gates as they were deployed",
            "value": finite(largest_difference(deployed, gated)),
            "largest_output": finite(_largest(gated)),
            "rows": rows,
        }
    with private_randomness(0):
        drawn = [origin.drawn(inputs) for _ in range(_DRAWS)]
    if all(one is not None for one in drawn):
        gap = finite(statistics.fmean(_mean_difference(one, deployed) for one in drawn))
    found["expected_gap"] = gap
    if origin.undecided:
        words = "unknown, as the guide was trained on since"
        if gap is not None:
            words = f"{gap:.3g} on average over outputs, inputs and {_DRAWS} draws of the gates, "
            words += f"where outputs go up to {_largest(deployed):.3g} in size"
        warn_user(
            f"{origin.undecided} of {origin.num_gates} gates were undecided when this network was deployed: "
            f"it differs from the one that was trained. The expected gap, |Δ| of an output, is {words}. "
            "Train longer, lower the temperature towards the end, or train the deployed network on",
            UndecidedGatesWarning,
        )
    return found


def _largest(result: Any) -> float:
    return max((float(x.double().abs().max()) for x in tensors_in(result) if x.numel()), default=0.0)


def _mean_difference(one: Any, other: Any) -> float:
    pairs = zip(tensors_in(one), tensors_in(other), strict=True)
    means = [float((a.double() - b.double()).abs().mean()) for a, b in pairs if a.numel()]
    return statistics.fmean(means) if means else 0.0


def _latencies(nets: list[nn.Module], example: tuple[Any, ...] | None, rows: int) -> list[float | None]:
    """Median times of runs in milliseconds, taking turns; ``None`` where so many rows are not taken."""
    if example is None:
        return [None] * len(nets)
    return [
        None if t is None else 1e3 * t
        for t in network_times(nets, fresh_rows(example, rows), seconds=_SECONDS)
    ]
