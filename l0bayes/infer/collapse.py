r"""The guard against a layer whose gates have all shut."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from l0bayes.infer.gate_parts import gate_guide_of, gate_laws

__all__ = ["CollapseWarning", "reopen_collapsed"]


class CollapseWarning(UserWarning):
    """All gates of a site had shut, so that nothing passed; the most probable one was reopened."""


@torch.no_grad()
def reopen_collapsed(guide: Any, collapsed: dict[str, int], step: int) -> None:
    """Reopen the most probable gate of every site that the median rule has shut altogether.

    A site with one gate is left alone: a residual block may close.

    Args:
        guide: A guide whose gate guides have ``reopen``; others are left as they are.
        collapsed: Site to the step of its first collapse, added to in place.
        step: Steps done.
    """
    for name, law in gate_laws(guide).items():
        logits = law.activity_logits
        if logits.numel() < 2 or bool((logits > 0).any()):
            continue
        part = gate_guide_of(guide, name)
        if not hasattr(part, "reopen"):
            continue
        index = tuple(int(i) for i in torch.unravel_index(logits.argmax(), logits.shape))
        part.reopen(name, index)
        if name not in collapsed:
            collapsed[name] = step
            warnings.warn(
                f"all {logits.numel()} gates of {name!r} had shut by step {step}: nothing passed. The "
                "most probable one was reopened, as it will be each time. Ask for a larger share or "
                "a smaller penalty, or switch this off with guard_collapse=False",
                CollapseWarning,
                stacklevel=2,
            )
