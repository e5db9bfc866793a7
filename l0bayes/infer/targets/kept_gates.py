r"""Which gates stay when a network is cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from l0bayes.infer.model_abilities import ModelAbilities
from l0bayes.infer.targets.costs import costs_of, deployed_share_of, settle
from l0bayes.infer.targets.target import Target

__all__ = ["CLOSED", "gates_left", "kept_gates"]

CLOSED = 1e-3
"""Probability of being open below which a gate has closed for good."""

_MEASUREMENTS = 4
# Part of what the target allows from which on no more gates are looked for.
_NEARLY = 0.995
# Logits beyond which gates are open all alike: how far they went then says how long they were pushed, and not
# how much they are needed.
_OPEN = 4.0


@torch.no_grad()
def kept_gates(model: Any, guide: Any, target: Target, round_to: int | None = None) -> dict[str, Tensor]:
    r"""The gates with the largest :math:`P(z \ne 0)`, as many as the target allows.

    A site of several gates keeps its most probable one in any case, and so does one whose only gate is on the
    only unit of a layer. Gates that have closed for good stay shut. Where open gates alone are too many, all
    above a probability of 0.98 count as equal, and every site gives the same part of its own. Where the next
    gate is too dear, its site is left as it is and the next ones of the others stay, as long as they fit.

    Args:
        model: The model.
        guide: Its guide.
        target: The target.
        round_to: What the numbers of units that stay are to be multiples of: rounded up where the target
            allows it, else down.

    Returns:
        Zeros and ones by gate site.
    """
    logits = {site: law.activity_logits for site, law in guide.gates().items()}
    costs = costs_of(model, guide)
    share_of = deployed_share_of(costs)
    able = ModelAbilities(model)
    first = {site: _most_probable(able, site, value) for site, value in logits.items()}
    places, order = _places(logits)
    candidates = sum(int((torch.sigmoid(value) >= CLOSED).sum()) for value in logits.values())

    full: dict[str, int] = {}  # sites of which no more fit, and up to which place their gates stay

    def opened(count: int) -> dict[str, Tensor]:
        return {
            site: torch.maximum((places[site] < full.get(site, count)).to(value.dtype), first[site])
            for site, value in logits.items()
        }

    def allowed(gates: Mapping[str, Tensor]) -> bool:
        return float(share_of(target.kind, gates)) <= target.share

    def fits(count: int) -> bool:
        return allowed(opened(count))

    def fill() -> dict[str, Tensor]:
        full.clear()
        count = _largest(fits, candidates)
        while count < candidates and float(share_of(target.kind, opened(count))) < _NEARLY * target.share:
            full[order[count]] = count
            count = _largest(fits, candidates, count)
        return opened(count)

    def most() -> dict[str, Tensor]:
        if round_to is None:
            return fill()
        found = multiples(fill())
        if not allowed(found):  # gates that are not rounded, as of heads, have to give
            full.clear()
            found = multiples(opened(_largest(lambda n: allowed(multiples(opened(n))), candidates)))
        return found

    def multiples(gates: dict[str, Tensor]) -> dict[str, Tensor]:
        assert rounded is not None  # checked before the first step
        return rounded(gates, logits, round_to, allowed)

    rounded = able.round_widths
    if not fits(0):  # single pixels of many maps, say: the gates with which the target was found possible
        return {site: _one(able, site, value, 0) for site, value in logits.items()}
    found = most()
    for _ in range(_MEASUREMENTS):  # a cost that is measured is told better near where it was
        if not settle(costs, target.kind, found):
            break
        found = most()
    return found


def _places(logits: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The place of every gate among all, from the most probable one, and the site of the gate at each place.

    Equal ones go site by site in turn.
    """
    everything = torch.cat([value.flatten() for value in logits.values()]).clamp(max=_OPEN)
    order = torch.cat([_turns(value.flatten()) for value in logits.values()]).argsort(stable=True)
    order = order[everything[order].argsort(descending=True, stable=True)]
    places = torch.empty_like(order)
    places[order] = torch.arange(len(order), device=order.device)
    parts = places.split([value.numel() for value in logits.values()])
    sites = [site for site, value in logits.items() for _ in range(value.numel())]
    found = {site: part.view_as(value) for (site, value), part in zip(logits.items(), parts, strict=True)}
    return found, [sites[gate] for gate in order.tolist()]


def _turns(logits: Tensor) -> Tensor:
    """How many of the gates of its site that count as equal go before a gate, as a part of them."""
    order = logits.argsort(descending=True, stable=True)
    ranked = logits[order].clamp(max=_OPEN)
    _, group, sizes = ranked.unique_consecutive(return_inverse=True, return_counts=True)
    before = torch.arange(len(order), device=order.device) - (sizes.cumsum(0) - sizes)[group]
    turns = torch.empty(len(order), device=order.device)
    turns[order] = before / sizes[group]
    return turns


def _largest(fits: Callable[[int], bool], most: int, low: int = 0) -> int:
    """The largest number from ``low`` on that fits, where that does and fewer fit where more do."""
    high = most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


@torch.no_grad()
def gates_left(model: Any, guide: Any) -> dict[str, Tensor]:
    """0 for gates that have closed for good, 1 for all others and for those that a site keeps in any case.

    Args:
        model: The model.
        guide: Its guide.
    """
    able, found = ModelAbilities(model), {}
    for site, law in guide.gates().items():
        left = (law.prob_active >= CLOSED).to(law.activity_logits.dtype)
        found[site] = torch.maximum(left, _most_probable(able, site, law.activity_logits))
    return found


def _most_probable(able: ModelAbilities, site: str, logits: Tensor) -> Tensor:
    """1 for the most probable gate of a site that keeps one, 0 for all others."""
    return _one(able, site, logits, int(logits.argmax()))


def _one(able: ModelAbilities, site: str, logits: Tensor, place: int) -> Tensor:
    found = torch.zeros_like(logits)
    if able.keeps_one(site, logits.numel()):
        found.flatten()[place] = 1.0
    return found
