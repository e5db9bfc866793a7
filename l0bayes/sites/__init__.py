"""How a gate enters a Pyro model: the primitives, and the records they leave for guides."""

from l0bayes.sites.gate_links import (
    GATED_BY,
    HiddenSiteWarning,
    SlabLinks,
    check_links,
    hidden_sites,
    refuse_hidden,
    slab_links,
)
from l0bayes.sites.primitives import Inclusion, gate, slab, spike_and_slab
from l0bayes.sites.site_kinds import SiteKind, inner_law, latent_sites, site_kind
from l0bayes.sites.site_records import (
    GateLink,
    GateSite,
    SampledGate,
    SlabSite,
    WeightSite,
    gate_record,
    slab_record,
    weight_record,
)

__all__ = [
    "GATED_BY",
    "GateLink",
    "GateSite",
    "HiddenSiteWarning",
    "Inclusion",
    "SampledGate",
    "SiteKind",
    "SlabLinks",
    "SlabSite",
    "WeightSite",
    "check_links",
    "gate",
    "gate_record",
    "hidden_sites",
    "inner_law",
    "latent_sites",
    "refuse_hidden",
    "site_kind",
    "slab",
    "slab_links",
    "slab_record",
    "spike_and_slab",
    "weight_record",
]
