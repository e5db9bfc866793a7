r"""Numbers of units that are multiples of one number, as vector units like them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from l0bayes.network.plan import GatePlan

__all__ = ["round_widths"]

_Gate = tuple[str, int]


def round_widths(
    plan: GatePlan,
    opened: Mapping[str, Tensor],
    scores: Mapping[str, Tensor],
    to: int,
    fits: Callable[[Mapping[str, Tensor]], bool] | None = None,
) -> dict[str, Tensor]:
    """Open or shut gates on units until each site's number of units that are left is a multiple.

    All numbers are rounded down first, and then up, those first that lack least, where the network still
    fits. If it does not fit as it is, ``to`` more units are shut at a time, the least probable ones. No site
    goes below ``to`` units. One of fewer gates than that stays as it is, unless the network does not fit
    otherwise: then its units are shut one at a time, down to one. Gates on heads, blocks and weights stay. Of
    the pixels of a flattened map only those count whose map is left, and a map that is left keeps one.

    Args:
        plan: The gates.
        opened: Zeros and ones by site.
        scores: What gates are opened and shut by, the largest first; by site.
        to: The number.
        fits: Whether a network with such gates is small enough; by default every one is, so that all numbers
            are rounded up.

    Returns:
        Zeros and ones by site. Where even the least numbers of units do not fit, they are returned.
    """
    widths = _Widths(plan, opened, scores)
    sites, had = [site for site in widths.sites if widths.size(site) >= to], dict[str, int]()
    narrow = [site for site in widths.sites if widths.size(site) < to]
    for site in sites:  # those of pixels come last, when it is known which maps are left
        had[site] = widths.width(site)
        widths.change(site, max(to, had[site] // to * to))
    while fits is not None and not fits(widths.gates()):
        steps = {site: to for site in sites if widths.width(site) >= 2 * to}
        steps = steps or {site: 1 for site in narrow if widths.width(site) > 1}
        if not steps:
            return widths.gates()
        least = min(steps, key=lambda site: widths.worth(site, steps[site]))
        had_now = widths.width(least)
        widths.change(least, had_now - steps[least])
        if widths.width(least) == had_now:  # pixels whose maps keep them
            narrow = [site for site in narrow if site != least]
            sites = [site for site in sites if site != least]
        widths.round_pixels(sites, to)
    for site in sorted(sites, key=lambda one: -(had[one] % to)):
        if not had[site] % to or widths.width(site) != had[site] // to * to:
            continue  # a multiple, raised to the least there is, or shut further
        before = widths.gates()
        widths.change(site, widths.width(site) + to)
        widths.round_pixels(sites, to)
        uneven = any(widths.width(one) % to for one in sites)
        if uneven or (fits is not None and not fits(widths.gates())):
            widths.put_back(before)
    return widths.gates()


class _Widths:
    """Gates that are open, and how units hang on them."""

    def __init__(self, plan: GatePlan, opened: Mapping[str, Tensor], scores: Mapping[str, Tensor]) -> None:
        self.like = opened
        self.open = {site: (value > 0.5).flatten().cpu().tolist() for site, value in opened.items()}
        self.scores = {site: value.detach().flatten().cpu().tolist() for site, value in scores.items()}
        self.local = local = set(plan.local.values())
        # Gates of units come before those of their pixels, which follow them.
        gated = [site for site, spec in plan.specs.items() if spec.placement in ("input", "output")]
        self.sites = sorted(gated, key=lambda site: site in local)
        self.over: dict[_Gate, _Gate] = {}
        self.under: dict[_Gate, dict[str, list[int]]] = {}
        unit_gate: dict[int, _Gate] = {}
        pairs = []
        for name, layer in plan.trace.layers.items():
            for factors, labels in ((plan.inputs, layer.inputs), (plan.outputs, layer.outputs)):
                for factor in factors.get(name, ()):
                    found = zip(factor.index.tolist(), labels.tolist(), strict=True)
                    pairs += [(factor.site, gate, unit) for gate, unit in found if gate >= 0]
        for site, gate, unit in pairs:
            if unit >= 0 and site in self.sites and site not in local:
                unit_gate[unit] = (site, gate)
        for site, gate, unit in pairs:
            if site in local and unit in unit_gate:
                self.over[site, gate] = unit_gate[unit]
                beside = self.under.setdefault(unit_gate[unit], {}).setdefault(site, [])
                if gate not in beside:
                    beside.append(gate)
        # A unit whose readers all have gates of their own is gone where these are shut.
        ends = {unit_gate[unit] for unit in plan.closable if unit in unit_gate}
        self.under = {gate: below for gate, below in self.under.items() if gate in ends}
        self.put_back(self.gates())  # of gates that leave nothing none is open

    def size(self, site: str) -> int:
        return len(self.open[site])

    def counts(self, site: str, gate: int) -> bool:
        """Whether an open gate leaves something there."""
        if not self.open[site][gate]:
            return False
        above = self.over.get((site, gate))
        below = self.under.get((site, gate))
        shut_above = above is not None and not self.open[above[0]][above[1]]
        return not shut_above and (
            below is None or any(self.open[s][g] for s, gates in below.items() for g in gates)
        )

    def left(self, site: str) -> list[int]:
        return [gate for gate in range(self.size(site)) if self.counts(site, gate)]

    def width(self, site: str) -> int:
        return len(self.left(site))

    def worth(self, site: str, count: int) -> float:
        """The mean score of the gates that would be shut next."""
        least = sorted(float(self.scores[site][gate]) for gate in self.left(site))[:count]
        return sum(least) / len(least)

    def round_pixels(self, sites: list[str], to: int) -> None:
        """Make numbers of pixels multiples again, after maps were opened or shut."""
        for site in sites:
            if site in self.local:
                self.change(site, max(to, self.width(site) // to * to))

    def change(self, site: str, width: int) -> None:
        """Open the most probable gates, or shut the least probable, until so many are left, if there are."""
        score = self.scores[site]
        left = self.left(site)
        for gate in sorted(left, key=lambda one: score[one]):
            if len(left) <= width:
                break
            if self._last_of_a_map(site, gate):
                continue
            self.open[site][gate] = False
            left.remove(gate)
        missing = width - len(left)
        there = set(left)
        for gate in sorted(range(self.size(site)), key=lambda one: -score[one]):
            if missing <= 0:
                break
            above = self.over.get((site, gate))
            if gate in there or (above is not None and not self.open[above[0]][above[1]]):
                continue
            self.open[site][gate] = True
            for other, gates in self.under.get((site, gate), {}).items():
                if not any(self.open[other][one] for one in gates):
                    self.open[other][max(gates, key=lambda one: self.scores[other][one])] = True
            missing -= 1

    def _last_of_a_map(self, site: str, gate: int) -> bool:
        above = self.over.get((site, gate))
        below = {} if above is None else self.under.get(above, {})
        beside = [(other, one) for other, gates in below.items() for one in gates]
        return bool(beside) and sum(self.open[other][one] for other, one in beside) == 1

    def gates(self) -> dict[str, Tensor]:
        """Zeros and ones by site; what leaves nothing is shut."""
        found = {}
        for site, value in self.like.items():
            flat = self.open[site]
            if site in self.sites:
                flat = [self.counts(site, gate) for gate in range(len(flat))]
            found[site] = torch.tensor(flat).to(value).reshape(value.shape)
        return found

    def put_back(self, gates: Mapping[str, Tensor]) -> None:
        self.open = {site: (value > 0.5).flatten().tolist() for site, value in gates.items()}
