r"""Which latents a law depends on, and the demand that there are none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from l0bayes.selection.recognise.model_runs import ModelRuns, NotLinearError, Run

__all__ = ["Reading", "demand", "differ", "movers"]

Reading = Callable[[Run], Sequence[Tensor]]
"""Numbers that determine a law, on a scale where 1e-5 is little: logarithms, and ratios to a scale."""

_TOLERANCE = 1e-5


def differ(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    """Whether two readings are not the same.

    Args:
        one: Numbers of one run.
        other: Numbers of another.
    """
    return not all(
        bool(((a == b) | ((a - b).abs() <= _TOLERANCE)).all()) for a, b in zip(one, other, strict=True)
    )


def movers(runs: ModelRuns, reading: Reading) -> list[str]:
    """Latents that move a reading when they alone change.

    Args:
        runs: Runs of the model.
        reading: What is read.
    """
    there = reading(runs.base)
    return [name for name, moved in runs.single.items() if any(differ(reading(run), there) for run in moved)]


def demand(
    runs: ModelRuns, what: str, reading: Reading, expected: Reading | None = None, allowed: str | None = None
) -> None:
    """Refuse a law that is not what it should be everywhere, by the name of what it depends on.

    Args:
        runs: Runs of the model.
        what: The law's name in the message.
        reading: What is read.
        expected: What it should be; default: what it is at the base.
        allowed: Latent that may move it.

    Raises:
        NotLinearError: If it depends on another latent.
    """
    there = reading(runs.base)
    moving = [name for name in movers(runs, reading) if name != allowed]
    if moving:
        raise NotLinearError(f"the {what} depends on {runs.named(moving[:1])}, which has no refinement")
    for run in [*runs.joint, *(runs.single[allowed] if allowed else [])]:
        if differ(reading(run), there if expected is None else expected(run)):
            raise NotLinearError(
                f"the {what} depends on the gates {runs.gates}, the slabs {runs.slabs} or the latents "
                f"{runs.others} together, which has no refinement"
            )
