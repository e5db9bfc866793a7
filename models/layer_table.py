r"""What each layer of a sparse network keeps and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from l0bayes.network import HeadAttention, Skip, count_nonzero

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["layer_table"]


def layer_table(
    model: Any,
    laws: Mapping[str, Any],
    gates: Mapping[str, Tensor],
    small: nn.Module,
    kl: Mapping[str, Tensor],
) -> pd.DataFrame:
    """One row a layer or gated block; see :meth:`l0bayes.models.SparseNetwork.layer_table`.

    Args:
        model: The sparse network.
        laws: Gate laws by site.
        gates: Deployed gates by site.
        small: The deployed network.
        kl: KL by site, in nats.
    """
    import pandas as pd

    active = {name: laws[name].prob_active for name in gates}
    opened = {name: (value != 0).to(value) for name, value in gates.items()}
    expected, deployed = model.cost.layers(active), model.cost.layers(opened)
    dense = model.cost.layers({name: torch.ones_like(value) for name, value in gates.items()})
    rows = []
    layers = model.plan.trace.layers
    blocks = [name for name in model.plan.blocks if name not in layers]
    for name in [*layers, *blocks]:
        module = model.net.get_submodule(name)
        if name in layers and not isinstance(
            module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Embedding | HeadAttention
        ):
            continue
        specs = [spec for spec in model.plan.specs.values() if spec.owner == name]
        slabs = [value for site, value in kl.items() if _belongs(site, name) and name in layers]
        kept = _submodule(small, name)
        row = {
            "layer": name,
            "gates on": " and ".join(spec.placement for spec in specs) or "none",
            "gates": sum(torch.Size(spec.shape).numel() for spec in specs),
            "expected open": float(sum(active[spec.name].sum() for spec in specs)),
            "deployed open": sum(int(torch.count_nonzero(gates[spec.name])) for spec in specs),
            "dense": _size(module),
            "deployed": _size(kept),
            "dense weights": sum(p.numel() for p in module.parameters()) if name in layers else 0,
            "open weights": round(float(deployed[name].params)) if name in layers else 0,
            "deployed weights": 0 if kept is None or name not in layers else count_nonzero(kept),
        }
        for word, costs in (("dense", dense), ("expected", expected), ("deployed", deployed)):
            row[f"{word} MACs"] = round(float(costs[name].macs)) if name in layers else 0
        row["KL gates"] = float(sum(kl.get(spec.name, torch.zeros(())) for spec in specs))
        row["KL slabs"] = float(sum(slabs))
        rows.append(row)
    return pd.DataFrame(rows).set_index("layer")


def _belongs(site: str, layer: str) -> bool:
    return site.startswith(f"{layer}.") and site.endswith(".slab")


def _submodule(net: nn.Module, name: str) -> nn.Module | None:
    for part in name.split("."):
        inner = getattr(net, part, None)
        if inner is None and hasattr(net, "block"):  # a block with a gate between 0 and 1
            inner = getattr(net.block, part, None)
        if not isinstance(inner, nn.Module):
            return None
        net = inner
    return None if isinstance(net, Skip) else net


def _size(module: nn.Module | None) -> str:
    if module is None:
        return "removed"
    if isinstance(module, nn.Linear):
        return f"{module.in_features}-{module.out_features}"
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        kernel = "x".join(map(str, module.kernel_size))
        return f"{module.in_channels}-{module.out_channels} {kernel}"
    if isinstance(module, nn.Embedding):
        return f"{module.num_embeddings}-{module.embedding_dim}"
    if isinstance(module, HeadAttention | nn.MultiheadAttention):
        return f"{module.num_heads} heads"
    return type(module).__name__
