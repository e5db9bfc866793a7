"""Gates on networks: kinds of layers, placement, expected cost, and removal to a plain small network."""

from l0bayes.network.batch_inputs import inputs_of, split_batch
from l0bayes.network.block_stand_ins import BlockStandIn, Scaled, Skip
from l0bayes.network.cost import CostKind, LayerCost, NetworkCost
from l0bayes.network.counting import count_macs, count_nonzero
from l0bayes.network.export import shrink
from l0bayes.network.gating import gated
from l0bayes.network.identity import names_of, names_of_parameters
from l0bayes.network.kinds import (
    GatePlacement,
    HeadAttention,
    LayerKind,
    Selective,
    SelectiveConv1d,
    SelectiveConv2d,
    SelectiveLinear,
    UnitAxes,
    kind_of,
    nearest_kind,
    register_kind,
    registered_kinds,
)
from l0bayes.network.latency.few_rows import DirectConv2d, for_few_rows
from l0bayes.network.latency.latency_cost import LatencyCost
from l0bayes.network.latency.stopwatch import network_times, run_times
from l0bayes.network.live import LiveLayer, live_layers
from l0bayes.network.parameter_links import ParameterLink, link_parameters, opened_entries
from l0bayes.network.parameter_slots import ParameterSlots
from l0bayes.network.placement import GateGroup, Gates, chosen_places
from l0bayes.network.plan import Factor, GatePlan, GateSpec
from l0bayes.network.planner import plan_gates
from l0bayes.network.preparation import averaged_norms, prepare, recalibrate_norms
from l0bayes.network.rivals.fresh_network import Restartable, fresh_network
from l0bayes.network.rivals.thin_network import thin_network
from l0bayes.network.saved import (
    DeploymentOrigin,
    ExportWarning,
    SavedNetwork,
    SavedNetworkError,
    UndecidedGatesWarning,
    load_deployed,
    read_certificate,
    read_tensors,
    register_saved_class,
    remember_origin,
    save_deployed,
    write_tensors,
)
from l0bayes.network.small_network import SmallNetwork, small_network
from l0bayes.network.structure import Named, arguments_of, map_tensors, tensors_by_name, tensors_in
from l0bayes.network.trace import trace_units
from l0bayes.network.trial import difference, tried_plan
from l0bayes.network.units import OtherModule, TracedBlock, TracedLayer, UnitTrace, rows_of
from l0bayes.network.width_rounding import round_widths

__all__ = [
    "BlockStandIn",
    "CostKind",
    "DeploymentOrigin",
    "DirectConv2d",
    "ExportWarning",
    "Factor",
    "GateGroup",
    "GatePlacement",
    "GatePlan",
    "GateSpec",
    "Gates",
    "HeadAttention",
    "LatencyCost",
    "LayerCost",
    "LayerKind",
    "LiveLayer",
    "Named",
    "NetworkCost",
    "OtherModule",
    "ParameterLink",
    "ParameterSlots",
    "Restartable",
    "SavedNetwork",
    "SavedNetworkError",
    "Scaled",
    "Selective",
    "SelectiveConv1d",
    "SelectiveConv2d",
    "SelectiveLinear",
    "Skip",
    "SmallNetwork",
    "TracedBlock",
    "TracedLayer",
    "UndecidedGatesWarning",
    "UnitAxes",
    "UnitTrace",
    "arguments_of",
    "averaged_norms",
    "chosen_places",
    "count_macs",
    "count_nonzero",
    "difference",
    "for_few_rows",
    "fresh_network",
    "gated",
    "inputs_of",
    "kind_of",
    "link_parameters",
    "live_layers",
    "load_deployed",
    "map_tensors",
    "names_of",
    "names_of_parameters",
    "nearest_kind",
    "network_times",
    "opened_entries",
    "plan_gates",
    "prepare",
    "read_certificate",
    "read_tensors",
    "recalibrate_norms",
    "register_kind",
    "register_saved_class",
    "registered_kinds",
    "remember_origin",
    "round_widths",
    "rows_of",
    "run_times",
    "save_deployed",
    "shrink",
    "small_network",
    "split_batch",
    "tensors_by_name",
    "tensors_in",
    "thin_network",
    "trace_units",
    "tried_plan",
    "write_tensors",
]
