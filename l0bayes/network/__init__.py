"""Gates on networks: placement, expected cost, and what is left as a plain small network."""

from l0bayes.network.attention import HeadAttention
from l0bayes.network.cost import CostKind, LayerCost, NetworkCost
from l0bayes.network.export import Scaled, Skip, count_macs, count_nonzero, shrink
from l0bayes.network.gating import ParameterLink, gated, link_parameters, prepare, recalibrate_norms
from l0bayes.network.live import LiveLayer, live_layers
from l0bayes.network.placement import GateGroup, GatePlacement, Gates, chosen_places
from l0bayes.network.plan import Factor, GatePlan, GateSpec, plan_gates
from l0bayes.network.select import SelectiveConv1d, SelectiveConv2d, SelectiveLinear
from l0bayes.network.trace import trace_units
from l0bayes.network.units import TracedBlock, TracedLayer, UnitTrace

__all__ = [
    "CostKind",
    "Factor",
    "GateGroup",
    "GatePlacement",
    "GatePlan",
    "GateSpec",
    "Gates",
    "HeadAttention",
    "LayerCost",
    "LiveLayer",
    "NetworkCost",
    "ParameterLink",
    "Scaled",
    "SelectiveConv1d",
    "SelectiveConv2d",
    "SelectiveLinear",
    "Skip",
    "TracedBlock",
    "TracedLayer",
    "UnitTrace",
    "chosen_places",
    "count_macs",
    "count_nonzero",
    "gated",
    "link_parameters",
    "live_layers",
    "plan_gates",
    "prepare",
    "recalibrate_norms",
    "shrink",
    "trace_units",
]
