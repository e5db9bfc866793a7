r"""A run cut to decided gates: its objective, its optimiser, and the way back to the original units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from l0bayes.infer.guide_abilities import GuideAbilities
from l0bayes.infer.randomness import private_randomness
from l0bayes.infer.shrink.direct_elbo import DirectELBO
from l0bayes.infer.shrink.origin import Origin

__all__ = ["CutRun", "carry_state", "check_state", "cut_objective"]


@dataclass(frozen=True)
class CutRun:
    """An objective that was cut, and the whole one.

    Attributes:
        whole: The objective of the original units.
        small: That of what is left.
        origins: Where the parameters and buffers of the small one come from, by name.
    """

    whole: DirectELBO
    small: DirectELBO
    origins: dict[str, Origin]

    def carry(self) -> None:
        """Give the small objective the values of the whole one."""
        values = self.whole.state_dict()
        for name, value in self.small.state_dict().items():
            if name in self.origins:
                value.copy_(self.origins[name].of(values[self.origins[name].name]))

    def put_back(self) -> None:
        """Give the whole objective the values of the small one, where these come from."""
        values = self.whole.state_dict()
        for name, value in self.small.state_dict().items():
            if name in self.origins:
                self.origins[name].put_back(value, values[self.origins[name].name])


@torch.no_grad()
def cut_objective(
    whole: DirectELBO, opened: Mapping[str, Tensor], batch: tuple[Any, ...], decided: bool = True
) -> CutRun:
    """Decide gates and take out what shut ones multiply by 0.

    Args:
        whole: The objective; the gates of its guide are put to where they are decided.
        opened: Zeros and ones by gate site.
        batch: Model arguments, to run the small model with once.
        decided: Whether the ones are open for good; otherwise these gates are trained on.
    """
    able = GuideAbilities(whole.guide)
    assert able.decide is not None  # both checked before the first step
    assert able.cut is not None
    with private_randomness(0):
        left = {site: torch.where(value > 0.0, -1.0, 0.0) for site, value in opened.items()}
        able.decide(opened if decided else left)
        cut = whole.model.cut(whole.guide.median(), opened, decided)
        guide, theirs = able.cut(cut.model, batch, whole.keywords, cut.sites)
    small = DirectELBO(cut.model, guide, whole.elbo, list(cut.sites), whole.keywords)
    small.training = whole.training  # alone: modules of the network are in the mode that they were set to
    origins = {
        f"{part}.{name}": Origin(f"{part}.{one.name}", one.index)
        for part, found in (("model", cut.tensors), ("guide", theirs))
        for name, one in found.items()
    }
    run = CutRun(whole, small, origins)
    run.carry()
    small.decided_kl.copy_(whole.total_kl() - small.total_kl())
    return run


def carry_state(run: CutRun, new: Optimizer, old: Optimizer, before: CutRun | None = None) -> None:
    """Give the optimiser of the small objective the state of the one before, cut likewise.

    Args:
        run: The run.
        new: The optimiser of the small objective, at its start.
        old: That of what was trained before.
        before: The cut by which this came of the whole objective; ``None`` where it is the whole.
    """
    whole = dict(run.whole.named_parameters())
    trained = whole if before is None else dict(before.small.named_parameters())
    origins = {} if before is None else {before.origins[name].name: name for name in trained}
    for name, parameter in run.small.named_parameters():
        origin = run.origins[name]
        place = origins.get(origin.name, origin.name)
        last = trained.get(place)
        if last is None or last not in old.state:
            continue
        state = new.state[parameter] = {}
        for key, value in old.state[last].items():
            if not isinstance(value, Tensor):
                state[key] = value
            elif value.shape != last.shape:
                state[key] = value.clone()
            else:
                full = value
                if before is not None:
                    full = torch.zeros_like(whole[origin.name], dtype=value.dtype)
                    before.origins[place].put_back(value, full)
                state[key] = origin.of(full)


def check_state(optimizer: Optimizer) -> None:
    """Refuse an optimiser whose state is not kept entry by entry, and so cannot be cut.

    Args:
        optimizer: The optimiser, after its first step.

    Raises:
        NotImplementedError: By the optimiser's name.
    """
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, Tensor) and value.numel() > 1 and value.shape != parameter.shape:
                raise NotImplementedError(
                    "shrink=True needs an optimiser that keeps its state entry by entry, such as Adam or "
                    f"SGD; {type(optimizer).__name__} keeps {key!r} of shape {tuple(value.shape)} for a "
                    f"parameter of shape {tuple(parameter.shape)}"
                )
