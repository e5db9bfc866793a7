"""What normalising flows keep of their last draw, which outlives the run that it belongs to."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["forget_flow_caches"]

_PREFIX = "_cached_"
_PAIR = "_cached_x_y"


def forget_flow_caches(*guides: Any) -> None:
    """Let the transforms inside guides forget their last draw.

    Pyro's flows, those of ``AutoIAFNormal`` and ``AutoNormalizingFlow``, keep input, output and Jacobian of
    their last call as attributes. With a graph behind them they cannot be copied, and those of a batch of
    ``torch.vmap`` may not be read after it. A flow computes them anew where it does not find them.

    Args:
        *guides: Any guides; what is no module holds no flows.
    """
    for guide in guides:
        for part in guide.modules() if isinstance(guide, torch.nn.Module) else ():
            if not isinstance(part, torch.distributions.Transform):
                continue
            for name in [name for name in vars(part) if name.startswith(_PREFIX)]:
                setattr(part, name, (None, None) if name == _PAIR else None)
