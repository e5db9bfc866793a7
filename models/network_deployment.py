r"""From a sparse network and its guide to a plain network and to tables of what it costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, get_args

import torch
from torch import Tensor, nn

from l0bayes.distributions import DeploymentRule, deployed_gates
from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.network import (
    GatePlan,
    NetworkCost,
    arguments_of,
    difference,
    map_tensors,
    shrink,
)
from l0bayes.user_warnings import warn_user

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FULL_SIZE", "both_sizes", "cost_summary", "cost_table", "deployed_network", "example_like"]

FULL_SIZE = (
    "the deployed network keeps its full size{}, with zeros in place of what is shut: smaller layers do "
    "not fit the network's forward ({})"
)


def example_like(example: tuple[Any, ...], net: nn.Module) -> tuple[Any, ...]:
    """An example, of a network's type and on its device.

    Args:
        example: Arguments of the network.
        net: The network.
    """
    like = next(net.parameters())
    found: tuple[Any, ...] = map_tensors(
        example, lambda x: x.to(like if x.is_floating_point() else like.device)
    )
    return found


def deployed_network(
    net: nn.Module,
    plan: GatePlan,
    slabs: Mapping[str, Tensor],
    gates: Mapping[str, Tensor],
    example: tuple[Any, ...],
) -> nn.Module:
    """The plain network, at full size with a warning where ``forward`` does not fit smaller layers.

    Args:
        net: The prepared network.
        plan: Its gates.
        slabs: Values of the slabs by parameter name.
        gates: Deployed gate values by site.
        example: Arguments of the network, to compare both sizes on.
    """
    small, whole, misfit = both_sizes(net, plan, slabs, gates, example)
    if misfit:  # forward() goes another way than it did when the gates were tried
        small = whole
        warn_user(FULL_SIZE.format("", misfit))
    elif held := [name for name in plan.held if not _all_open(plan, name, gates)]:
        where = f" in {', '.join(map(repr, held))}"
        warn_user(FULL_SIZE.format(where, plan.held[held[0]]))
    return small.eval()


def both_sizes(
    net: nn.Module,
    plan: GatePlan,
    slabs: Mapping[str, Tensor],
    gates: Mapping[str, Tensor],
    example: tuple[Any, ...],
) -> tuple[nn.Module, nn.Module, str]:
    """The plain network with what is shut taken out, the same at full size, and why it would have to be that.

    Args:
        net: The prepared network.
        plan: Its gates.
        slabs: Values of the slabs by parameter name.
        gates: Deployed gate values by site.
        example: Arguments of the network, to compare both on.
    """
    parameters = {name: slab * _own_gates(plan, name, gates) for name, slab in slabs.items()}
    gated = {*plan.groups, *(f"{owner}.weight" for owner in plan.weight)}
    for name in gated - parameters.keys():  # points, such as those of normalisation, or not trained
        parameters[name] = attrgetter(name)(net) * _own_gates(plan, name, gates)
    with evaluating(net):
        small = shrink(net, plan, parameters, gates)
        whole = shrink(net, plan, parameters, gates, remove=False)
    inputs = example_like(example, net)
    args, named = arguments_of(inputs)
    with torch.no_grad(), evaluating(whole):
        return small, whole, difference(small, inputs, whole(*args, **named))


def _all_open(plan: GatePlan, layer: str, gates: Mapping[str, Tensor]) -> bool:
    factors = [*plan.outputs.get(layer, ()), *plan.inputs.get(layer, ())]
    return all(bool(factor.of(gates).all()) for factor in factors)


def _own_gates(plan: GatePlan, name: str, gates: Mapping[str, Tensor]) -> Tensor | float:
    """Gates on single weights of a parameter, and on slices of it."""
    total: Tensor | float = 1.0
    owner, _, key = name.rpartition(".")
    if key == "weight" and owner in plan.weight:
        total = gates[plan.weight[owner]]
    for factor in plan.groups.get(name, ()):
        total = factor.of(gates) * total
    return total


def cost_table(
    cost: NetworkCost, laws: Mapping[str, Any], misfit: Callable[[Mapping[str, Tensor]], str]
) -> pd.DataFrame:
    """Cost of the dense, the expected and the deployed network; see :meth:`SparseNetwork.cost_table`.

    Args:
        cost: The network's cost.
        laws: Gate laws by site.
        misfit: Why the network would be deployed at full size, for deployed gate values; empty where not.
    """
    import pandas as pd

    active = {name: law.prob_active.double() for name, law in laws.items()}
    rows: dict[str, Any] = {"dense": cost.dense, "expected": _numbers(cost.totals(active))}
    rows["sd"] = {kind: cost.variance(kind, active) ** 0.5 for kind in cost.kinds}
    misfits: dict[str, str] = {}
    for rule in get_args(DeploymentRule):
        gates = {name: deployed_gates(law, rule) for name, law in laws.items()}
        opened = {name: (value != 0).double() for name, value in gates.items()}
        rows[rule] = _numbers(cost.totals(opened, decided=True))
        shut = any(not bool(value.all()) for value in opened.values())
        if shut and (reason := misfit(gates)):
            rows[rule] |= {kind: cost.dense[kind] for kind in cost.kinds if kind != "units"}
            misfits[rule] = reason
    if misfits:
        by = f" by the rules {', '.join(misfits)}"
        warn_user(FULL_SIZE.format(by, next(iter(misfits.values()))))
    return pd.DataFrame(rows).T.rename_axis("network")


def cost_summary(table: pd.DataFrame) -> dict[str, float]:
    """The main rows of a cost table as flat numbers.

    Args:
        table: A table of :func:`cost_table`.
    """
    names = {"dense": "dense", "expected": "expected", "sd": "sd", "median": "deployed"}
    return {f"{new}_{kind}": float(table[kind][row]) for row, new in names.items() for kind in table.columns}


def _numbers(totals: Mapping[Any, Tensor]) -> dict[str, float]:
    return {kind: float(value) for kind, value in totals.items()}
