r"""Multi-head attention."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.network.kinds.head_attention import HeadAttention
from l0bayes.network.kinds.kept_settings import keep_settings
from l0bayes.network.kinds.kind_registry import kind_of, nearest_kind
from l0bayes.network.kinds.layer_kind import LayerKind, Shape
from l0bayes.network.kinds.unit_axes import Presence, UnitAxes

__all__ = ["AttentionKind"]


class AttentionKind(LayerKind):
    """``nn.MultiheadAttention``, also inside ``nn.TransformerEncoderLayer``: its heads can be gated.

    While it is gated, :class:`~l0bayes.network.HeadAttention` stands in for it.
    """

    types = (nn.MultiheadAttention, HeadAttention)
    name = "MultiheadAttention"
    placements = frozenset({"heads"})

    def reason_coupled(self, module: Any) -> str | None:
        if type(module) is HeadAttention:
            return None
        options = {
            "kdim or vdim of their own": not module._qkv_same_embed_dim,
            "add_bias_kv": module.bias_k is not None,
            "add_zero_attn": module.add_zero_attn,
        }
        if given := [option for option, is_given in options.items() if is_given]:
            return f"it has {' and '.join(given)}"
        last = module.out_proj
        if (
            type(last) is not nn.modules.linear.NonDynamicallyQuantizableLinear
            or "weight" not in last._parameters
        ):
            return "its out_proj has been replaced, or its weight is computed anew in each run"
        return None

    def gateable(self, module: Any) -> nn.Module:
        if type(module) is HeadAttention:
            return module
        ready = HeadAttention(module)
        keep_settings(module, ready, vars(nn.MultiheadAttention(1, 1)))
        keep_settings(module.out_proj, ready.out_proj)
        return ready

    def plain(self, module: Any, siblings: Iterable[nn.Module]) -> nn.Module:
        complete = module.num_heads * module.head_dim == module.embed_dim
        # Beside torch's own attention nn.TransformerEncoderLayer may take its fused path, which reads weights
        # past the forward of the layers that hold them: what these select, for one, would be missed.
        if not complete or any(nearest_kind(one) is not None and kind_of(one) is None for one in siblings):
            result: nn.Module = module
            return result
        options = {"bias": module.in_proj_bias is not None, "batch_first": module.batch_first}
        plain = nn.MultiheadAttention(module.embed_dim, module.num_heads, module.dropout, **options)
        plain = plain.to(module.in_proj_weight)
        plain.load_state_dict(module.state_dict())
        keep_settings(module, plain, ("head_gates",))
        keep_settings(module.out_proj, plain.out_proj)
        return plain

    # ---- units and cost --------------------------------------------------------------------------

    def mixes(self, module: Any) -> bool:
        return True

    def axes(self, module: Any) -> dict[str, UnitAxes]:
        return {}

    def unit_dim(self, module: Any) -> int:
        return -1

    def size(self, module: Any) -> str:
        return f"{module.num_heads} heads"

    def uses(self, module: Any, inputs: Sequence[Shape], output: Shape) -> dict[str, float]:
        """Numbers of queries, of keys, and of pairs of a query and a key."""
        key = inputs[1] if len(inputs) > 1 else inputs[0]
        length = key[-2 if module.batch_first or len(key) == 2 else 0]
        queries, keys = math.prod(output) / module.embed_dim, math.prod(key) / module.embed_dim
        return {"queries": queries, "keys": keys, "pairs": queries * length}

    def cost(self, module: Any, uses: Mapping[str, float], there: Presence) -> tuple[Tensor, Tensor]:
        heads = there.made.new_tensor(module.num_heads) if there.heads is None else there.heads.sum()
        bias = 0 if module.in_proj_bias is None else 3 * module.head_dim
        last = 0 if module.out_proj.bias is None else module.embed_dim
        params = heads * (4 * module.embed_dim * module.head_dim + bias) + last
        return params, heads * self._macs_of_head(module, uses)

    def macs(self, module: Any, inputs: Sequence[Shape], output: Shape) -> float:
        return float(module.num_heads * self._macs_of_head(module, self.uses(module, inputs, output)))

    def _macs_of_head(self, module: Any, uses: Mapping[str, float]) -> float:
        projections = 2 * module.embed_dim * (uses["queries"] + uses["keys"])
        return float(module.head_dim * (projections + 2 * uses["pairs"]))

    # ---- heads -----------------------------------------------------------------------------------

    def heads(self, module: Any) -> int:
        return int(module.num_heads)

    def heads_of_entries(self, module: Any) -> dict[str, Tensor]:
        heads = torch.arange(module.num_heads).repeat_interleave(module.head_dim)
        rows = heads.repeat(3)
        return {"in_proj_weight": rows[:, None], "in_proj_bias": rows, "out_proj.weight": heads}

    @contextmanager
    def heads_gated(self, module: Any, gates: Tensor) -> Iterator[None]:
        module.head_gates = gates
        try:
            yield
        finally:
            module.head_gates = None

    def keep_heads(self, module: Any, gates: Tensor) -> None:
        module.keep_heads(gates.to(module.in_proj_weight))

    def arguments(self, module: Any, x: Any) -> tuple[Any, ...]:
        return (x, x, x)

    def restart(self, module: Any) -> None:
        nn.init.xavier_uniform_(module.in_proj_weight)
        module.out_proj.reset_parameters()
        for bias in (module.in_proj_bias, module.out_proj.bias):
            if bias is not None:
                nn.init.zeros_(bias)

    # ---- files -----------------------------------------------------------------------------------

    def form(self, module: Any, cls: type[nn.Module]) -> dict[str, Any]:
        names = ("embed_dim", "num_heads", "dropout", "batch_first")
        form = {name: getattr(module, name) for name in names}
        form["bias"] = module.out_proj.bias is not None
        if cls is HeadAttention:
            return form | {"head_dim": module.head_dim}
        form |= {"add_bias_kv": module.bias_k is not None, "add_zero_attn": module.add_zero_attn}
        return form | {"kdim": module.kdim, "vdim": module.vdim}

    def build(self, cls: type[nn.Module], form: Mapping[str, Any]) -> nn.Module:
        if cls is not HeadAttention:
            return nn.MultiheadAttention(**form)
        sizes = dict(form)
        heads, width = int(sizes.pop("num_heads")), int(sizes.pop("head_dim"))
        return HeadAttention(nn.MultiheadAttention(num_heads=1, **sizes)).with_heads(heads, width)
