r"""Convolutions that run at once, for networks that answer single rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode

from l0bayes.network.preparation import copy_network

__all__ = ["DirectConv2d", "for_few_rows"]

# Multiply-accumulates of a call up to which what oneDNN prepares for it takes longer than it saves.
_MOST = 4e6


class DirectConv2d(nn.Conv2d):
    """An ``nn.Conv2d`` that computes small inputs on a CPU directly, without gradients.

    torch hands convolutions to oneDNN, which lays out each call anew: about 40 µs, the most of a run of a
    small network on one row. What is larger, on another device, to be differentiated, counted or exported is
    computed as ever.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - nn.Conv2d's word
        """Apply the layer."""
        if self._directly(input):
            found: Tensor = torch.ops.aten.thnn_conv2d(
                input, self.weight, self.kernel_size, self.bias, self.stride, self.padding
            )
            return found
        return super().forward(input)

    def _directly(self, x: Tensor) -> bool:
        return (
            not torch.is_grad_enabled()
            and _get_current_dispatch_mode() is None
            and x.dim() == 4
            and x.device.type == "cpu"
            and x.dtype == torch.float32
            and self.weight.numel() * x.shape[0] * x.shape[2] * x.shape[3] <= _MOST
        )


def for_few_rows(net: nn.Module) -> nn.Module:
    """A copy of a network for runs of single rows on a CPU, in evaluation mode.

    Its ``nn.Conv2d`` layers become :class:`DirectConv2d`; those with groups, dilation or another padding than
    zeros stay as they are, and so does everything else. Results differ by rounding. It is for running: save
    the network that it was made of.

    Args:
        net: The network, such as one that was deployed.

    Example::

        answer = for_few_rows(l0bayes.load_deployed("small"))
        with torch.no_grad():
            answer(row)
    """
    new = copy_network(net)
    for module in new.modules():
        plain = type(module) is nn.Conv2d and not isinstance(module.padding, str)
        if plain and module.groups == 1 and module.dilation == (1, 1) and module.padding_mode == "zeros":
            module.__class__ = DirectConv2d
    return new.eval()
