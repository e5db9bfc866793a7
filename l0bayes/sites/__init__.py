"""How a gate enters a Pyro model: the primitives, and the records they leave for guides."""

from l0bayes.sites.primitives import Inclusion, gate, slab, spike_and_slab
from l0bayes.sites.site_kinds import SiteKind, inner_law, latent_sites, site_kind
from l0bayes.sites.site_records import GateLink, GateSite, SampledGate, SlabSite, gate_record, slab_record

__all__ = [
    "GateLink",
    "GateSite",
    "Inclusion",
    "SampledGate",
    "SiteKind",
    "SlabSite",
    "gate",
    "gate_record",
    "inner_law",
    "latent_sites",
    "site_kind",
    "slab",
    "slab_record",
    "spike_and_slab",
]
