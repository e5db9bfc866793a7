r"""Multi-head attention whose heads can be gated and taken out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["HeadAttention"]


class HeadAttention(nn.Module):
    r"""What ``nn.MultiheadAttention`` computes, with any number of heads of a given width.

    .. math::
        y = \sum_h z_h\, W^O_h\, \mathrm{softmax}\!\left(\frac{Q_h K_h^\top}{\sqrt d} + M\right) V_h + b^O

    ``nn.MultiheadAttention`` ties the width of a head to the embedding, E = heads · d, so that no head can
    be taken out of it. Parameters have its names: ``in_proj_weight`` of shape ``(3·H·d, E)``,
    ``in_proj_bias``, ``out_proj.weight`` of shape ``(E, H·d)`` and ``out_proj.bias``.

    Args:
        attention: The module to copy; queries, keys and values of one width, no ``bias_k``, no
            ``add_zero_attn``.

    Raises:
        NotImplementedError: If the module has another form.
    """

    in_proj_weight: nn.Parameter
    # nn.TransformerEncoderLayer asks for these two before it takes its fused path, which needs equal heads.
    _qkv_same_embed_dim = False

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        if not attention._qkv_same_embed_dim or attention.bias_k is not None or attention.add_zero_attn:
            raise NotImplementedError(
                "attention with kdim, vdim, add_bias_kv or add_zero_attn has no gates; "
                "use nn.MultiheadAttention(embed_dim, num_heads)"
            )
        self.embed_dim = attention.embed_dim
        self.num_heads = attention.num_heads
        self.head_dim = attention.head_dim
        self.dropout = attention.dropout
        self.batch_first = attention.batch_first
        self.in_proj_weight = nn.Parameter(attention.in_proj_weight.detach().clone())
        bias = attention.in_proj_bias
        self.in_proj_bias = None if bias is None else nn.Parameter(bias.detach().clone())
        source = attention.out_proj
        self.out_proj = nn.Linear(source.in_features, source.out_features, source.bias is not None)
        self.out_proj.to(source.weight)
        self.out_proj.load_state_dict(source.state_dict())
        self.head_gates: Tensor | None = None
        self.train(attention.training)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend; arguments and results as in ``nn.MultiheadAttention``.

        Args:
            query: Of shape ``(batch, queries, E)``, or ``(queries, batch, E)`` without ``batch_first``, or
                without the batch.
            key: Likewise, with its own length.
            value: Of the key's shape.
            key_padding_mask: True (or -inf) where a key is to be ignored, of shape ``(batch, keys)``.
            need_weights: Whether to return the weights too, which takes more memory.
            attn_mask: True (or -inf) where a query may not look, of shape ``(queries, keys)`` or
                ``(batch · H, queries, keys)``.
            average_attn_weights: Whether to average the returned weights over heads.
            is_causal: A hint that ``attn_mask`` is causal; the mask itself is used.

        Returns:
            The output, of the query's shape, and the weights or ``None``.
        """
        if not self.num_heads:
            bias: Tensor = self.out_proj(query[..., :0])
            return bias, None
        single = query.dim() == 2
        swap = not self.batch_first and not single
        q, k, v = (self._heads(x, i, single, swap) for i, x in enumerate((query, key, value)))
        mask = self._mask(attn_mask, key_padding_mask, q)
        rate = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = q @ k.mT / self.head_dim**0.5
            weights = (scores if mask is None else scores + mask).softmax(-1)
            out = functional.dropout(weights, rate) @ v
            weights = weights.mean(1) if average_attn_weights else weights
            weights = weights.squeeze(0) if single else weights
        else:
            out = functional.scaled_dot_product_attention(q, k, v, mask, rate)
        if self.head_gates is not None:
            out = out * self.head_gates[..., :, None, None].to(out.dtype)
        out = self.out_proj(out.transpose(1, 2).flatten(2))
        out = out.squeeze(0) if single else out
        return (out.transpose(0, 1) if swap else out), weights

    def _heads(self, x: Tensor, part: int, single: bool, swap: bool) -> Tensor:
        """Queries, keys or values as ``(batch, heads, length, head_dim)``."""
        x = x.unsqueeze(0) if single else x.transpose(0, 1) if swap else x
        width = self.num_heads * self.head_dim
        rows = slice(part * width, (part + 1) * width)
        bias = None if self.in_proj_bias is None else self.in_proj_bias[rows]
        y: Tensor = functional.linear(x, self.in_proj_weight[rows], bias)
        return y.view(*y.shape[:-1], self.num_heads, self.head_dim).transpose(1, 2)

    def _mask(self, attend: Tensor | None, padding: Tensor | None, q: Tensor) -> Tensor | None:
        total = None
        for mask, is_padding in ((attend, False), (padding, True)):
            if mask is None:
                continue
            if mask.dtype == torch.bool:
                mask = torch.zeros_like(mask, dtype=q.dtype).masked_fill(mask, -torch.inf)
            if is_padding:
                mask = mask.reshape(-1, 1, 1, mask.shape[-1])
            elif mask.dim() == 3:
                mask = mask.unflatten(0, (-1, self.num_heads))
            total = mask if total is None else total + mask
        return total

    @torch.no_grad()
    def keep_heads(self, gates: Tensor) -> HeadAttention:
        """Take out the heads whose gate is 0, in place, and fold the others' gates into ``out_proj``.

        Args:
            gates: Values of shape ``(H,)``. Where all are 0, the reduced layer returns its bias.

        Returns:
            The module itself.
        """
        heads = torch.nonzero(gates).flatten()
        width = self.head_dim
        columns = (heads[:, None] * width + torch.arange(width, device=heads.device)).flatten()
        rows = torch.cat([columns + part * self.num_heads * width for part in range(3)])
        scale = gates[heads].repeat_interleave(width)
        old, bias = self.in_proj_weight, self.in_proj_bias
        self.in_proj_weight = nn.Parameter(old[rows], requires_grad=old.requires_grad)
        if bias is not None:
            self.in_proj_bias = nn.Parameter(bias[rows], requires_grad=bias.requires_grad)
        last = self.out_proj.weight
        self.out_proj.weight = nn.Parameter(last[:, columns] * scale, requires_grad=last.requires_grad)
        self.out_proj.in_features = len(columns)
        self.num_heads = len(heads)
        return self

    def with_heads(self, heads: int, width: int) -> HeadAttention:
        """Give it another number of heads, in place; its values, all but the last bias, are new ones.

        Args:
            heads: Number of heads.
            width: Width of each.

        Returns:
            The module itself.
        """
        rows, like = 3 * heads * width, self.in_proj_weight
        self.in_proj_weight = nn.Parameter(like.new_empty(rows, self.embed_dim))
        if self.in_proj_bias is not None:
            self.in_proj_bias = nn.Parameter(like.new_empty(rows))
        self.out_proj.weight = nn.Parameter(like.new_empty(self.embed_dim, heads * width))
        self.out_proj.in_features = heads * width
        self.num_heads, self.head_dim = heads, width
        return self

    def extra_repr(self) -> str:
        return f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, head_dim={self.head_dim}"
