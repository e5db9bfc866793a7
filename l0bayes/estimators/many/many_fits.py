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
        """Posterior inclusion probabilities: a row a column of X, a column a fit."""
        import pandas as pd

        return pd.DataFrame(
            {name: one.summary()["pip"] for name, one in zip(self.names, self.estimators, strict=True)}
        ).loc[list(self._columns())]

    def pooled(self) -> pd.DataFrame:
        r"""The fits as one: their mixture with equal weights.

        Of imputed tables this is the posterior given what was observed, as far as the imputations are draws
        of what was not: with :math:`p_m`, :math:`\mu_m` and :math:`s_m` of fit m of M,

        .. math:: p = \frac{1}{M} \sum_m p_m, \qquad \mu = \frac{1}{M} \sum_m \mu_m, \qquad
            s^2 = \frac{1}{M} \sum_m \big(s_m^2 + \mu_m^2\big) - \mu^2.

        Of restarts, which all stand for one posterior, and of folds, which see different rows,
        ``pip_low`` and ``pip_high`` say how far a result holds.

        Returns:
            For each column of X, the most probable first: ``pip``, ``pip_low`` and ``pip_high``, the least
            and the largest of the fits, ``mean``, ``sd``, and ``fits``, in how many it is a column.

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
        pip, mean, sd = (
            pd.concat([table[name] for table in tables], axis=1, keys=range(len(tables)))
            for name in ("pip", "mean", "sd")
        )
        centre = mean.mean(axis=1)
        second = (sd**2 + mean**2).mean(axis=1)
        found = pd.DataFrame(
            {
                "pip": pip.mean(axis=1),
                "pip_low": pip.min(axis=1),
                "pip_high": pip.max(axis=1),
                "mean": centre,
                "sd": np.sqrt((second - centre**2).clip(lower=0.0)),
                "fits": pip.notna().sum(axis=1),
            }
        )
        return found.loc[list(self._columns())].sort_values("pip", ascending=False, kind="stable")

    def _columns(self) -> dict[str, None]:
        """Names of all columns, as the first fit that has them orders them."""
        return dict.fromkeys(name for one in self.estimators for name in one.columns_)
