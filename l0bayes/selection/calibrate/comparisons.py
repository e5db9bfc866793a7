r"""What posteriors promised of data drawn from their own prior, and what came true: tables and tests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from l0bayes.selection.calibrate.replicates import Array, Deviations, joint_p, p_values
from l0bayes.selection.calibrate.simulated_fits import RANK_BINS, SimulatedFits

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparisons"]

_ALARM = 0.01
_TIES = 20221
_TESTS = {
    "inclusion": "inclusion probabilities",
    "false discoveries": "false discoveries that rules promise",
    "intervals": "conditional intervals, as a whole",
    "centre": "centre of conditional intervals",
    "spread": "width of conditional intervals",
    "size": "number of open gates",
    "noise": "noise",
    "fit": "log likelihood",
}


@dataclass(frozen=True)
class Comparisons:
    """What came true of a posterior's probabilities on data sets that were drawn from its prior.

    Attributes:
        fits: Sums over the data sets.
        held: What was held at a value instead of drawn, in words.
        rows: Number of rows of the design.
        gates: Number of its gates.
    """

    fits: SimulatedFits
    held: tuple[str, ...]
    rows: int
    gates: int

    # ---- tests -----------------------------------------------------------------------------------

    @cached_property
    def tests(self) -> pd.DataFrame:
        """A p-value for each thing that is compared, and one that counts how many there are (``adjusted``).

        All are exact up to Monte Carlo error: uniform where the posterior is right, whatever depends within a
        data set (:mod:`l0bayes.selection.calibrate.replicates`).
        """
        import pandas as pd

        statistics = self._statistics
        generator = np.random.default_rng(_TIES)
        values = np.stack([p_values(one, generator) for one in statistics.values()])
        joint, adjusted = joint_p(values, generator)
        names = [_TESTS[name] for name in statistics]
        table = pd.DataFrame({"p": values[:, 0], "adjusted": adjusted}, index=pd.Index(names, name="test"))
        table.attrs["p"] = joint
        return table

    @property
    def p_value(self) -> float:
        """One p-value for all tests together, uniform where the posterior is right."""
        return float(self.tests.attrs["p"])

    @property
    def right(self) -> bool:
        """Whether nothing speaks against the posterior: of right ones 1 in 100 is called wrong.

        With few data sets or few effects in them that is no finding: hardly anything could speak against it.
        """
        return self.p_value > _ALARM

    @cached_property
    def _statistics(self) -> dict[str, Array]:
        """How extreme the truth and every draw are, by what is compared."""
        sums, found = self.fits.sums, {}
        hits = Deviations.of(sums["hits"], sums["promised"])
        found["inclusion"] = hits.beside(Deviations.of(sums["surplus"], 0.0)).largest
        false = [
            Deviations.of(sums[f"false {number}"][:, None], sums[f"promised false {number}"])
            for number in range(len(self.fits.rules))
        ]
        found["false discoveries"] = np.max([one.largest for one in false], 0)
        found["intervals"] = Deviations.of(_curve(sums["intervals"]), 0.0).largest
        moments = sums["intervals moments"]
        found["centre"] = Deviations.of(moments[:, :1], 0.0).largest
        found["spread"] = Deviations.of(moments[:, 1:], 0.0).largest
        for name in ("size", "noise", "fit"):
            if name in sums:
                found[name] = Deviations.of(_curve(sums[name]), 0.0).largest
        return found

    # ---- tables ----------------------------------------------------------------------------------

    @property
    def reliability(self) -> pd.DataFrame:
        """Inclusion probabilities by tenths: what they promise, and the share that was in.

        ``low`` and ``high`` are where the realised share of right probabilities lies in 95 of 100 such
        calibrations, for each tenth.
        """
        sums = self.fits.sums
        width = 1.0 / len(sums["gates"])
        names = [f"PIP {width * bin_:.1f} to {width * (bin_ + 1):.1f}" for bin_ in range(len(sums["gates"]))]
        gates = sums["gates"]
        return _table(
            "inclusion",
            names,
            sums["hits"],
            np.broadcast_to(gates, sums["hits"].shape),
            sums["promised"] / np.maximum(gates, 1.0),
            gates,
        )

    @property
    def decisions(self) -> pd.DataFrame:
        """Of every rule the mean share of false selections and the share of effects that it finds.

        The share of false selections is that of a data set, 0 where nothing is selected, averaged over data
        sets: the false discovery rate. ``promised`` is what inclusion probabilities say of it.
        """
        import pandas as pd

        sums, count, parts = self.fits.sums, self.fits.num_datasets, []
        for number, rule in enumerate(self.fits.rules):
            false = sums[f"false {number}"][:, None]
            chosen = sums[f"selected {number}"].reshape(1)
            promised = sums[f"promised false {number}"].reshape(1) / count
            parts.append(
                _table(
                    "rule", [f"{rule.name}: false share"], false, np.full_like(false, count), promised, chosen
                )
            )
            found, opened = sums[f"found {number}"][:, None], sums["open"][:, None]
            expected = np.array([_share(found[1:], opened[1:]).mean()])
            parts.append(_table("rule", [f"{rule.name}: effects found"], found, opened, expected, opened[0]))
        return pd.concat(parts)

    @property
    def intervals(self) -> pd.DataFrame:
        """Central intervals of coefficients given that they are in: what they promise, and what they hold."""
        sums = self.fits.sums
        totals = sums["intervals"].sum(1)[:, None]
        levels = [float(name.removeprefix("within ")) for name in sums.sums if name.startswith("within ")]
        inside = np.stack([sums[f"within {level}"] for level in levels], 1)
        names = [f"{100 * level:g} % interval" for level in levels]
        shape = inside.shape
        return _table(
            "interval",
            names,
            inside,
            np.broadcast_to(totals, shape),
            np.array(levels),
            np.repeat(totals[0], len(levels)),
        )

    @property
    def power(self) -> pd.DataFrame:
        """Share of effects that each rule finds, by their size.

        ``size`` is the standard deviation of what an effect adds to the predictor; each row has a fifth of
        the effects.
        """
        import pandas as pd

        effects = self.fits.effects
        names = [f"found by {rule.name}" for rule in self.fits.rules]
        columns = ["from", "to", "effects", *names]
        parts = [part for part in np.array_split(effects[effects[:, 0].argsort()], 5) if len(part)]
        rows = [[part[0, 0], part[-1, 0], len(part), *part[:, 1:].mean(0)] for part in parts]
        return pd.DataFrame(rows, columns=columns)

    def to_frame(self) -> pd.DataFrame:
        """Everything that is compared, one a row: promised, realised, and where the realised should lie.

        ====================  ======================================================================
        column                content
        ====================  ======================================================================
        ``promised``          what the posteriors say
        ``realised``          what came true
        ``low``, ``high``     where that lies in 95 of 100 calibrations of a right posterior
        ``count``             how many gates, selections, effects or coefficients it is of
        ====================  ======================================================================
        """
        import pandas as pd

        table = pd.concat([self.reliability, self.decisions, self.intervals])
        table.attrs.update(p=self.p_value, right=self.right, data_sets=self.fits.num_datasets)
        return table

    @property
    def rank_curve(self) -> pd.DataFrame:
        """ECDF of the ranks of true coefficients among conditional draws, less that of uniform ranks.

        ``low`` and ``high`` are a band that holds the whole curve of a right posterior in 95 of 100
        calibrations.
        """
        import pandas as pd

        counts = self.fits.sums["intervals"]
        curves = _curve(counts) / np.maximum(counts.sum(1, keepdims=True), 1.0)
        spread = curves[1:].std(0)
        widest = float(np.quantile(Deviations.of(curves).largest[1:], 0.95))
        at = np.arange(1, RANK_BINS) / RANK_BINS
        return pd.DataFrame(
            {"rank": at, "difference": curves[0], "low": -widest * spread, "high": widest * spread}
        )


def _curve(counts: Array) -> Array:
    """Number of ranks up to each inner edge, less that of as many uniform ones; shape ``(B + 1, K - 1)``."""
    at = np.arange(1, counts.shape[1]) / counts.shape[1]
    curve: Array = counts.cumsum(1)[:, :-1] - at * counts.sum(1, keepdims=True)
    return curve


def _share(part: Array, whole: Array) -> Array:
    share: Array = part / np.maximum(whole, 1.0)
    return share


def _table(
    part: str, names: list[str], hits: Array, wholes: Array, promised: Array, count: Array
) -> pd.DataFrame:
    import pandas as pd

    shares = np.where(wholes > 0, _share(hits, wholes), np.nan)
    # About what is promised, as wide as among draws.
    low, high = np.quantile(np.nan_to_num(shares[1:]), [0.025, 0.975], axis=0)
    there = count > 0
    index = pd.MultiIndex.from_product([[part], names], names=["part", "what"])
    columns = {"promised": promised, "realised": shares[0], "low": low, "high": high}
    table = pd.DataFrame(
        {name: np.where(there, value, np.nan) for name, value in columns.items()}, index=index
    )
    return table.assign(count=np.asarray(count).astype(int))
