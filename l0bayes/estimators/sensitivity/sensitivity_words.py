r"""What changes with the prior, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["sensitivity_words"]

_MOST = 12


def sensitivity_words(table: pd.DataFrame, axes: Sequence[str], threshold: float) -> list[str]:
    """Sentences on which variables are on one side of a threshold under all priors, and which cross it.

    Args:
        table: The table of sensitivity.
        axes: Its columns that say what the prior is.
        threshold: The threshold of a PIP.
    """
    known = table[table["pip"].notna()]
    count = known.groupby(list(axes), sort=False).ngroups
    if not count:
        return ["There is no prior under which the probabilities are known."]
    groups = known.groupby("variable", sort=False)["pip"]
    low, high = groups.min(), groups.max()
    always = [str(name) for name in low.index[low > threshold]]
    never = [str(name) for name in low.index[high <= threshold]]
    crossing = [name for name in low.index if low[name] <= threshold < high[name]]
    level = "one half" if threshold == 0.5 else f"{threshold:g}"
    sentences = [
        f"Under all {count} priors the PIP is above {level} for {_listed(always) or 'no variable'}, and at "
        f"or below it for {_listed(never) or 'no variable'}."
    ]
    for name in crossing:
        own = known[known["variable"] == name]
        base = own.loc[own["own_prior"], "pip"]
        lowest, highest = own.loc[own["pip"].idxmin()], own.loc[own["pip"].idxmax()]
        told = f"{name}: its PIP crosses {level}"
        told += f", and is {base.iloc[0]:.2f} under the prior of the fit" if len(base) else ""
        sentences.append(
            f"{told}; it goes from {lowest['pip']:.2f} ({_prior(lowest, axes)}) to {highest['pip']:.2f} "
            f"({_prior(highest, axes)}), and is above it under {int((own['pip'] > threshold).sum())} of "
            f"{count} priors."
        )
    if not crossing:
        sentences.append(
            "No variable crosses it: the selection does not depend on which of these priors is taken."
        )
    left = int(table["pip"].isna().groupby([table[name] for name in axes], sort=False).any().sum())
    if left:
        sentences.append(
            f"Of {left} priors nothing is told: too few of the draws have weight under them. refit=True runs "
            "the engine again."
        )
    return sentences


def _prior(row: Any, axes: Sequence[str]) -> str:
    values = {name: row[name] for name in axes}
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    )


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_MOST])
    return shown + (f" and {len(names) - _MOST} more" if len(names) > _MOST else "")
