r"""What each layer of a sparse network keeps and costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from l0bayes.network import BlockStandIn, Selective, count_nonzero

if TYPE_CHECKING:
    import pandas as pd

    from l0bayes.network import OtherModule, TracedLayer

__all__ = ["layer_table"]


def layer_table(
    model: Any,
    laws: Mapping[str, Any],
    gates: Mapping[str, Tensor],
    small: nn.Module,
    kl: Mapping[str, Tensor],
    whole: bool = False,
) -> pd.DataFrame:
    """One row a layer or gated block; see :meth:`l0bayes.models.SparseNetwork.layer_table`.

    Args:
        model: The sparse network.
        laws: Gate laws by site.
        gates: Deployed gates by site.
        small: The deployed network.
        kl: KL by site, in nats.
        whole: Whether it is deployed at full size, whatever gates are shut.
    """
    import pandas as pd

    active = {name: laws[name].prob_active for name in gates}
    opened = {name: (value != 0).to(value) for name, value in gates.items()}
    expected, deployed = model.cost.layers(active), model.cost.layers(opened, decided=True)
    dense = model.cost.layers({name: torch.ones_like(value) for name, value in gates.items()})
    rows = []
    layers = model.plan.trace.layers
    blocks = [name for name in model.plan.blocks if name not in layers]
    for name in [*(name for name, layer in layers.items() if layer.kind.slabs), *blocks]:
        module, layer = model.net.get_submodule(name), layers.get(name)
        specs = [spec for spec in model.plan.specs.values() if spec.owner == name]
        slabs = [value for site, value in kl.items() if _belongs(site, name) and layer is not None]
        kept = _submodule(small, name)
        size = type(module).__name__ if layer is None else layer.kind.size(module)
        row = {
            "layer": name,
            "gates on": " and ".join(spec.placement for spec in specs) or "none",
            "gates": sum(torch.Size(spec.shape).numel() for spec in specs),
            "expected open": float(sum(active[spec.name].sum() for spec in specs)),
            "deployed open": sum(int(torch.count_nonzero(gates[spec.name])) for spec in specs),
            "dense": size,
            "deployed": _size(kept, layer),
            "dense weights": sum(p.numel() for p in module.parameters()) if layer is not None else 0,
            "open weights": round(float(deployed[name].params)) if layer is not None else 0,
            "deployed weights": 0 if kept is None or layer is None else count_nonzero(kept),
        }
        for word, costs in (
            ("dense", dense),
            ("expected", expected),
            ("deployed", dense if whole else deployed),
        ):
            row[f"{word} MACs"] = round(float(costs[name].macs)) if layer is not None else 0
        row["KL gates"] = float(sum(kl.get(spec.name, torch.zeros(())) for spec in specs))
        row["KL slabs"] = float(sum(slabs))
        rows.append(row)
    ones = {name: torch.ones_like(value) for name, value in gates.items()}
    for other in model.plan.trace.others.values():
        if other.macs or other.uncounted or other.nearly:
            rows.append(_other_row(other, _submodule(small, other.name)))
            for word, which in (
                ("dense", ones),
                ("expected", active),
                ("deployed", ones if whole else opened),
            ):
                macs = round(float(model.cost.other_macs(other, which, word == "deployed")))
                rows[-1][f"{word} MACs"] = math.nan if other.uncounted else macs
    return pd.DataFrame(rows).set_index("layer")


def _other_row(other: OtherModule, kept: nn.Module | None) -> dict[str, Any]:
    """A module that stays as it is, and the reason."""
    own = sum(p.numel() for p in other.module.parameters(recurse=other.nearly))
    word = type(other.module).__name__
    return {
        "layer": other.name or "(the network itself)",
        "gates on": f"none: {other.reason}",
        **dict.fromkeys(("gates", "expected open", "deployed open"), 0),
        **{"dense": word, "deployed": "removed" if kept is None else word},
        **dict.fromkeys(("dense weights", "open weights", "deployed weights"), own),
        **dict.fromkeys(("dense MACs", "expected MACs", "deployed MACs", "KL gates", "KL slabs"), 0),
    }


def _belongs(site: str, layer: str) -> bool:
    return site.startswith(f"{layer}.") and site.endswith(".slab")


def _submodule(net: nn.Module, name: str) -> nn.Module | None:
    for part in name.split(".") if name else ():
        inner = net._modules.get(part)
        if inner is None and isinstance(net, BlockStandIn) and net.kept is not None:
            inner = net.kept._modules.get(part)
        if inner is None:
            return None
        net = inner
    return None if isinstance(net, BlockStandIn) and net.kept is None else net


def _size(module: nn.Module | None, layer: TracedLayer | None) -> str:
    if module is None:
        return "removed"
    if layer is None:
        return type(module).__name__
    return layer.kind.size(module.reading if isinstance(module, Selective) else module)
