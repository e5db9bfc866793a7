r"""The records of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["History"]


@dataclass
class History:
    """The records of one run, one value each ``log_every`` steps.

    ``history.settings`` holds the settings of the run as plain values, and so does ``attrs`` of the frame.

    Attributes:
        step: Steps done.
        elbo: Mean over the steps since the last record of log likelihood minus KL, in nats.
        log_likelihood: Mean expected log likelihood, in nats.
        kl: Mean KL of all sites, in nats, unweighted.
        expected_l0: Sum over gates of P(z != 0).
        deployed_l0: Number of gates whose median is not 0.
        temperature: Temperature of the gates, NaN where the guide has none.
        kl_weight: Weight of the KL.
        columns: Further columns by name. For a model with costs of its own
            (:class:`~l0bayes.infer.CostedModel`) or under a target: ``expected_{kind}`` and
            ``deployed_{kind}``, shares of the dense network's cost, and ``open:{site}``, gates of a site
            that the median rule leaves open. Under a target: ``target``, the share asked for, and
            ``multiplier``, in nats an observation for a cost that is e times as large. And the columns of
            callbacks.
    """

    step: list[int] = field(default_factory=list)
    elbo: list[float] = field(default_factory=list)
    log_likelihood: list[float] = field(default_factory=list)
    kl: list[float] = field(default_factory=list)
    expected_l0: list[float] = field(default_factory=list)
    deployed_l0: list[int] = field(default_factory=list)
    temperature: list[float] = field(default_factory=list)
    kl_weight: list[float] = field(default_factory=list)

    columns: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # No field: histories are compared by their records alone.
        self.settings: dict[str, Any] = {}

    def append(self, columns: Mapping[str, float] | None = None, **values: float) -> None:
        """Add one record.

        Args:
            columns: Values of the further columns, the same names at each record.
            **values: Values of all fields, by name.

        Raises:
            ValueError: If the further columns are not those of the records before.
        """
        columns = columns or {}
        if self.step and columns.keys() != self.columns.keys():
            raise ValueError(
                f"columns must be the same at every record, {sorted(self.columns)}; got {sorted(columns)}"
            )
        for name in self.__dataclass_fields__:
            if name != "columns":
                getattr(self, name).append(values[name])
        for name, value in columns.items():
            self.columns.setdefault(name, []).append(value)

    def by_name(self) -> dict[str, list[Any]]:
        """All columns by name, the further ones last."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "columns"}
        return {**own, **self.columns}

    def to_frame(self) -> pd.DataFrame:
        """The records as a pandas DataFrame, one row each, the further columns last."""
        import pandas as pd

        frame = pd.DataFrame(self.by_name())
        frame.attrs["settings"] = dict(self.settings)
        return frame
