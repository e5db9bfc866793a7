r"""What a calibration found, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from l0bayes.selection.calibrate.comparisons import Comparisons

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["comparison_words"]

_CLEAR = 0.01
# With fewer data sets, or fewer true effects in all of them, only what is very wrong could be found.
_FEWEST_SETS, _FEWEST_EFFECTS = 20, 30


def comparison_words(found: Comparisons) -> str:
    """The verdict, what rules of selection promise and give, and what was held.

    Args:
        found: The calibration.
    """
    fits = found.fits
    drawn = (
        f"{fits.num_datasets} data sets of {found.rows} rows and {found.gates} gates were drawn from the "
        f"prior and fitted by {' and '.join(map(repr, fits.engines))}."
    )
    return " ".join([drawn, _verdict(found), *_decisions(found), _coverage(found), *_about(found)])


def _verdict(found: Comparisons) -> str:
    if found.right:
        sets, effects = found.fits.num_datasets, len(found.fits.effects)
        if sets < _FEWEST_SETS or effects < _FEWEST_EFFECTS:
            return (
                f"So few show nothing: with {sets} data sets and {effects} true effects in them only what is "
                f"very wrong could be found, and was not (p = {found.p_value:.2g} for all comparisons "
                "together). Take more data sets, such as num_datasets=200."
            )
        return (
            "Nothing speaks against the posteriors: what they promise came true "
            f"(p = {found.p_value:.2g} for all comparisons together)."
        )
    tests = found.tests
    wrong = tests.index[tests["adjusted"] <= _CLEAR].tolist() or [tests["adjusted"].idxmin()]
    what = [*(str(name) for name in wrong)]
    return (
        f"The posteriors are wrong for this design and prior (p = {found.p_value:.2g}), by their "
        f"{', '.join(what)}.{_direction(found)}"
    )


def _direction(found: Comparisons) -> str:
    """How probabilities and intervals are off, where that is clear."""
    sums, said = found.fits.sums, []
    surplus = sums["surplus"]
    total, slope = (surplus[0] / np.maximum(surplus[1:].std(0), 1e-300)).tolist()
    if abs(total) > 3.0:
        more = "more" if total > 0 else "fewer"
        said.append(f"{more} gates were open than the inclusion probabilities say")
    if abs(slope) > 3.0:
        said.append(f"the inclusion probabilities are too {'cautious' if slope > 0 else 'sure'}")
    moments = sums["intervals moments"]
    centre, spread = (moments[0] / np.maximum(moments[1:].std(0), 1e-300)).tolist()
    if abs(centre) > 3.0:
        said.append(f"coefficients are {'above' if centre > 0 else 'below'} what their intervals say")
    if abs(spread) > 3.0:
        said.append(f"conditional intervals are too {'narrow' if spread > 0 else 'wide'}")
    return f" That is: {'; '.join(said)}." if said else ""


def _decisions(found: Comparisons) -> list[str]:
    rows, said = _rows(found.decisions), []
    for rule in found.fits.rules:
        false = rows["rule", f"{rule.name}: false share"]
        power = rows["rule", f"{rule.name}: effects found"]
        if not false["count"]:
            said.append(f"{rule.name} selected nothing.")
            continue
        finds = (
            f"it finds {power['realised']:.0%} of the effects" if power["count"] else "there were no effects"
        )
        said.append(
            f"{rule.name} promises {false['promised']:.1%} false selections, {false['realised']:.1%} came "
            f"true, and {finds}."
        )
    return said


def _coverage(found: Comparisons) -> str:
    row = _rows(found.intervals)["interval", "95 % interval"]
    if not row["count"]:
        return "No gate was open, so that there are no conditional intervals to look at."
    count = int(row["count"])
    return f"Conditional 95 % intervals hold {row['realised']:.1%} of the {count:,} true coefficients."


def _rows(table: pd.DataFrame) -> dict[Any, dict[str, Any]]:
    return {
        name: {str(key): value for key, value in row.items()} for name, row in table.to_dict("index").items()
    }


def _about(found: Comparisons) -> list[str]:
    said = []
    explained = found.fits.explained
    if bool(np.isfinite(explained).any()):
        low, middle, high = np.nanquantile(explained, [0.1, 0.5, 0.9])
        said.append(
            f"The predictor explained {middle:.0%} of the response in the middle data set, and {low:.0%} to "
            f"{high:.0%} in most."
        )
    if found.held:
        said.append(f"Held and not drawn: {'; '.join(found.held)}.")
    return said
