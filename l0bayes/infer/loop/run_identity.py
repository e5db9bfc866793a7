r"""What a run is of: its guide, its model and its data, in words by which another run is told from it."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.infer.loop.batches import Minibatches
from l0bayes.infer.objectives.elbo import BoundELBO
from l0bayes.infer.objectives.pair_traces import PairTraces
from l0bayes.infer.randomness import private_randomness
from l0bayes.sites import inner_law

__all__ = ["differs", "guide_in_words", "run_identity"]

# Attributes of a module that change while it is trained or read.
_STATES = {"training", "hardened"}
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d+)?(?:e[-+]\d+)?|inf|nan)\b")
# So many numbers of a tensor of data are looked at, evenly spread.
_LOOKED_AT = 65_536


def run_identity(
    objective: BoundELBO, traces: PairTraces, batch: tuple[Any, ...], data: Any
) -> dict[str, str]:
    """Guide, sites of the model and data of a run, by name, in words that are the same in every process.

    Numbers of a site's law are told where they are constants of the model: they hang neither on a parameter
    nor on another site's value. Of data that are drawn or read as they are asked for, nothing is told.

    Args:
        objective: The ELBO with its model and guide, at its start.
        traces: One run of both.
        batch: The arguments of that run.
        data: The data of the fit.
    """
    told = {"guide": guide_in_words(objective.guide)}
    constant, other = _laws(objective, traces, batch)
    for name, law in constant.items():
        again = other.get(name)
        told[f"site {name!r}"] = law if law == again else law.partition("(")[0]
    tensors = _tensors(data) | _tensors(objective.keywords)
    return told | {f"argument {name} of the data": _tensor_in_words(one) for name, one in tensors.items()}


def differs(name: str, one: str, other: str) -> bool:
    """Whether two runs differ in something; numbers of sites may be rounded otherwise on another machine.

    Args:
        name: Of what, as in :func:`run_identity`.
        one: Its words in one run.
        other: Its words in the other.
    """
    if one == other:
        return False
    if not name.startswith("site ") or _NUMBER.split(one) != _NUMBER.split(other):
        return True
    pairs = zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True)
    return not all(math.isclose(float(a), float(b), rel_tol=1e-3) for a, b in pairs)


def guide_in_words(guide: nn.Module) -> str:
    """Class and settings of a guide: its attributes that are words, switches, fractions or tuples of these.

    Args:
        guide: The guide.
    """
    plain = {name: value for name, value in vars(guide).items() if name not in _STATES and _is_plain(value)}
    settings = ", ".join(f"{name}={plain[name]!r}" for name in sorted(plain) if not name.startswith("_"))
    return f"{type(guide).__name__}({settings})"


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_is_plain(one) for one in value)
    return isinstance(value, str | bool | float)


def _laws(
    objective: BoundELBO, traces: PairTraces, batch: tuple[Any, ...]
) -> tuple[dict[str, str], dict[str, str]]:
    """The laws of the model's sites in two runs of it; in the first, gradients tell what hangs on a value."""
    with private_randomness(0), evaluating(objective):
        values = {
            name: value.detach().clone().requires_grad_(value.is_floating_point())
            for name, value in traces.drawn.items()
        }
        with torch.enable_grad():
            first = _of_sites(traces.model_at(objective.model, batch, objective.keywords, values))
        with torch.no_grad():
            pair = objective.elbo.traces(objective.model, objective.guide, *batch, **objective.keywords)
        return first, _of_sites(pair.model)


def _of_sites(trace: Any) -> dict[str, str]:
    sites = {name: site for name, site in trace.nodes.items() if site["type"] == "sample"}
    return {name: _law_in_words(inner_law(site["fn"]), site["is_observed"]) for name, site in sites.items()}


def _law_in_words(law: Any, observed: bool) -> str:
    name = type(law).__name__
    if observed:  # its parameters are made from the data
        return name
    numbers = ((one, getattr(law, one, None)) for one in sorted(getattr(law, "arg_constraints", ())))
    known = [
        f"{one}={_number_in_words(value)}"
        for one, value in numbers
        if isinstance(value, Tensor) and not value.requires_grad
    ]
    return f"{name}({', '.join(known)})"


def _number_in_words(value: Tensor) -> str:
    value = value.detach().double()
    if value.numel() and bool((value == value.reshape(-1)[0]).all()):
        return f"{float(value.reshape(-1)[0]):.5g}"
    return f"{tuple(value.shape)} numbers that sum to {float(value.sum()):.5g}"


def _tensors(data: Any, prefix: str = "") -> dict[str, Tensor]:
    """The tensors of data that are there as a whole, by name or place."""
    if isinstance(data, Tensor):
        return {prefix or "0": data}
    if isinstance(data, DataLoader):
        data = data.dataset
    if isinstance(data, TensorDataset | Minibatches):
        data = data.tensors
    if not isinstance(data, Mapping | tuple):
        return {}
    named = data.items() if isinstance(data, Mapping) else enumerate(data)
    found: dict[str, Tensor] = {}
    for name, value in named:
        found |= _tensors(value, f"{prefix}.{name}" if prefix else str(name))
    return found


def _tensor_in_words(value: Tensor) -> str:
    about = f"{tuple(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    if value.layout is not torch.strided or not value.numel():
        return about
    flat = value.detach().reshape(-1)
    some = flat[:: max(1, flat.numel() // _LOOKED_AT)].cpu().contiguous()
    return f"{about} with checksum {zlib.crc32(some.view(torch.uint8).numpy().tobytes()):08x}"
