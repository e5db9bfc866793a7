r"""Several fitted selections, side by side and as one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ManyFits"]


@dataclass(frozen=True)
class ManyFits:
    """Selections of restarts, folds, imputations or responses.

    Attributes:
        kind: ``"restart"``, ``"fold"``, ``"imputation"`` or ``"response"``.
        names: What each is called, such as ``"fold 1"``, or the name of a response.
        estimators: The fitted estimators, in this order.
        scores: Of folds the score of each on the rows that it did not see; else empty.
    """

    kind: str
    names: list[str]
    estimators: list[Any]
    scores: list[float] = field(default_factory=list)

    def pips(self) -> pd.DataFrame:
        """Posterior inclusion probabilities: a row a column of X, a column a fit.

        Levels of a factor have one gate: a level that a fit did not see has the probability of its factor
        there, and NaN if the fit has no such factor.
        """
        found = self._inclusion([one.summary() for one in self.estimators])
        return found.set_axis(self.names, axis=1)

    def pooled(self) -> pd.DataFrame:
        r"""The fits as one: their mixture with equal weights.

        Of imputed tables this is the posterior given what was observed, as far as the imputations are draws
        of what was not: with :math:`p_m`, :math:`\mu_m` and :math:`s_m` of fit m of M,

        .. math:: p = \frac{1}{M} \sum_m p_m, \qquad \mu = \frac{1}{M} \sum_m \mu_m, \qquad
            s^2 = \frac{1}{M} \sum_m \big(s_m^2 + \mu_m^2\big) - \mu^2.

        Of restarts, which all stand for one posterior, and of folds, which see different rows,
        ``pip_low`` and ``pip_high`` say how far a result holds.

        **A level that not all fits have**, since no row of theirs had it, is in all of them as far as its
        factor is: levels have one gate, and ``pip`` is over all fits. Its coefficient is known only in the
        fits that have the level, and ``mean`` and ``sd`` are over these: M is then the number in ``fits``.

        Returns:
            For each column of X, the most probable first: ``pip``, ``pip_low`` and ``pip_high``, the least
            and the largest of the fits, ``mean``, ``sd``, and ``fits``, how many have such a column, over
            which ``mean`` and ``sd`` are.

        Raises:
            ValueError: If the fits are of different responses.
        """
        import numpy as np
        import pandas as pd

        if self.kind == "response":
            raise ValueError(
                "fits of different responses answer different questions and are not pooled: pips() has them "
                "side by side"
            )
        tables = [one.summary() for one in self.estimators]
        mean, sd = (
            pd.concat([table[name] for table in tables], axis=1, keys=range(len(tables)))
            for name in ("mean", "sd")
        )
        pip = self._inclusion(tables)
        centre = mean.mean(axis=1)
        second = (sd**2 + mean**2).mean(axis=1)
        found = pd.DataFrame(
            {
                "pip": pip.mean(axis=1),
                "pip_low": pip.min(axis=1),
                "pip_high": pip.max(axis=1),
                "mean": centre,
                "sd": np.sqrt((second - centre**2).clip(lower=0.0)),
                "fits": mean.notna().sum(axis=1),
            }
        )
        return found.loc[list(self._columns())].sort_values("pip", ascending=False, kind="stable")

    def _inclusion(self, tables: list[pd.DataFrame]) -> pd.DataFrame:
        """Of every column in every fit; of a level that it does not have that of the level's gate."""
        import pandas as pd

        names = list(self._columns())
        gates = pd.concat([table["group"] for table in tables])
        gates = gates[~gates.index.duplicated()].loc[names]
        return pd.concat(
            [
                table["pip"]
                .reindex(names)
                .fillna(gates.map(table.drop_duplicates("group").set_index("group")["pip"]))
                for table in tables
            ],
            axis=1,
            keys=range(len(tables)),
        )

    def _columns(self) -> dict[str, None]:
        """Names of all columns, as the first fit that has them orders them."""
        return dict.fromkeys(name for one in self.estimators for name in one.columns_)
