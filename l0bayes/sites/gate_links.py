r"""Which gates multiply which slab in a trace: the one place that finds it out.

A slab's record keeps the marks of its gates, not their names, which handlers change
(``pyro.contrib.autoname.scope``), and the very values that multiply it, which handlers replace
(``poutine.condition``, ``poutine.do``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from l0bayes.sites.site_kinds import inner_law, site_kind
from l0bayes.sites.site_records import GateLink, SlabSite, gate_record, slab_record, weight_record

__all__ = [
    "GATED_BY",
    "HiddenSiteWarning",
    "SlabLinks",
    "check_links",
    "hidden_sites",
    "refuse_hidden",
    "slab_links",
]

GATED_BY = "l0bayes_gated_by"
"""Key in the ``infer`` of a guide's slab under which it names the gate sites that weight its law."""


@dataclass(frozen=True)
class SlabLinks:
    """A slab in a trace, with what multiplies it there.

    Attributes:
        weight: Name of its effective weight, which is a site of the trace where the model records it.
        gates: The latent gates that multiply it, by their names in the trace.
        fixed: Values of gates that are no latents, since they were conditioned on or intervened upon,
            multiplied and laid out beside the slab; ``None`` if there are none.
        hidden: Names of gates that are not in the trace, since a handler blocks them; they count as open.
    """

    weight: str
    gates: tuple[GateLink, ...]
    fixed: Tensor | None = None
    hidden: tuple[str, ...] = ()

    def opened(self, values: dict[str, Tensor], like: Tensor) -> Tensor:
        """1 where all gates of a weight are open and 0 where one is shut, of the slab's shape.

        Args:
            values: Value of every latent gate, zeros and ones.
            like: A value of the slab.
        """
        found = torch.ones_like(like) if self.fixed is None else torch.ones_like(like) * (self.fixed > 0)
        return reduce(torch.mul, (link.spread(values[link.site]) for link in self.gates), found)


def slab_links(nodes: dict[str, Any]) -> dict[str, SlabLinks]:
    """The latent slabs of a trace with their links, by name.

    Args:
        nodes: Nodes of a Pyro trace of a model.

    Raises:
        ValueError: If a slab with gates was reparameterised, which loses its links.
    """
    gates, weights, slabs = {}, {}, {}
    for name, site in nodes.items():
        kind = site_kind(site)
        if kind == "other":
            continue
        if (gate := gate_record(site)) is not None:
            gates[gate] = name
        if (weight := weight_record(site)) is not None:
            weights[weight.slab] = name
        if (slab := slab_record(site)) is not None:
            if kind == "deterministic" and slab.gates:
                raise ValueError(_reparameterised(name, slab))
            if kind == "latent":
                slabs[name] = slab
    return {name: _links(name, slab, nodes, gates, weights) for name, slab in slabs.items()}


def _links(
    name: str, slab: SlabSite, nodes: dict[str, Any], gates: dict[Any, str], weights: dict[SlabSite, str]
) -> SlabLinks:
    found, fixed, hidden = [], [], []
    for link in slab.gates:
        site = gates.get(link.gate)
        if site is None:
            hidden.append(link.site)
        elif nodes[site]["is_observed"] or nodes[site]["value"] is not link.value:
            assert link.value is not None
            fixed.append(link.spread(link.value))
        else:
            found.append(replace(link, site=site, gate=None, value=None))
    # A model that multiplies by itself may record the weight under its name, behind the slab's own prefix.
    named = f"{name.removesuffix(f'{slab.weight}.slab')}{slab.weight}"
    return SlabLinks(
        weights.get(slab, named), tuple(found), reduce(torch.mul, fixed) if fixed else None, tuple(hidden)
    )


def _reparameterised(name: str, slab: SlabSite) -> str:
    sites = ", ".join(repr(link.site) for link in slab.gates)
    return (
        f"slab {name!r} was reparameterised, so that nothing links what is drawn in its place to the gate "
        f"{sites}; leave it out of the reparameterisation: gate guides give every slab a location and a scale"
    )


class HiddenSiteWarning(UserWarning):
    """A guide is made of a model that hides the gate of a slab, or the slab of a weight."""


def hidden_sites(nodes: dict[str, Any]) -> list[str]:
    """What is said of gates and slabs that a handler hides, though what they belong to is in sight.

    Args:
        nodes: Nodes of a trace of a model.
    """
    lost = [(gate, f"slab {name!r}") for name, found in slab_links(nodes).items() for gate in found.hidden]
    slabs = [slab_record(site) for site in nodes.values() if site["type"] == "sample"]
    for name, site in nodes.items():
        record = weight_record(site) if site["type"] == "sample" else None
        if record is not None and record.slab not in slabs:
            lost.append((f"{record.slab.weight}.slab", f"weight {name!r}"))
    # What stands there without its record was replayed: check_links knows more of that.
    lost = [one for one in lost if not any(f"/{name}".endswith(f"/{one[0]}") for name in nodes)]
    return [
        f"{hidden!r}, which the {user} is linked to, is hidden from the trace of the model (poutine.block)"
        for hidden, user in lost
    ]


def refuse_hidden(nodes: dict[str, Any]) -> None:
    """Refuse a model that is trained or read and hides gates or slabs, or whose weights are given values.

    Args:
        nodes: Nodes of a trace of the model.

    Raises:
        ValueError: If it does.
    """
    for name, site in nodes.items():
        record = weight_record(site) if site_kind(site) == "deterministic" else None
        if record is not None and _is_replaced(site):
            raise ValueError(
                f"weight {name!r} was given a value (pyro.condition), so that nothing links it to its gates "
                "and its slab any more, and both would keep their priors. Give the slab "
                f"{record.slab.weight}.slab or the gate a value instead, or write the weight into the model"
            )
    for words in hidden_sites(nodes):
        raise ValueError(
            f"{words}, so that each run draws it anew from its prior and no guide covers it. Train and read "
            "the model with all its sites in sight, or fix it by pyro.condition"
        )


def _is_replaced(site: dict[str, Any]) -> bool:
    """Whether a deterministic site has another value than the model computed."""
    computed, value = getattr(inner_law(site["fn"]), "v", None), site["value"]
    if computed is None or computed is value:
        return False
    # A plate may lay it out anew.
    return not torch.allclose(computed.broadcast_to(value.shape), value, rtol=0.0, atol=0.0, equal_nan=True)


def check_links(model: dict[str, Any], guide: dict[str, Any]) -> None:
    """Refuse a guide whose law of a slab counts on a gate that does not multiply the slab in the model.

    Args:
        model: Nodes of a trace of the model.
        guide: Nodes of a trace of the guide.

    Raises:
        ValueError: By slab and gate, also if a slab was reparameterised.
    """
    for name, links in slab_links(model).items():
        used = guide[name]["infer"].get(GATED_BY, ()) if name in guide else ()
        latent = {link.site for link in links.gates}
        if lost := [site for site in used if site not in latent]:
            raise ValueError(
                f"slab {name!r} is weighted by the gate {lost[0]!r} in the guide, but in the model as it is "
                "run here that gate does not multiply it: it was conditioned on, intervened upon, hidden or "
                "replayed (poutine.replay writes over what links the two). Make the guide of the model as it "
                "is read"
            )
