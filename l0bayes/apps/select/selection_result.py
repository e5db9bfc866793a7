r"""What a selection found, for a report and as plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l0bayes.apps.select.formulas import FormulaData
from l0bayes.apps.select.select_settings import SelectSettings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TOP_MODELS", "Selection"]

TOP_MODELS = 10
"""How many of the most probable models are told."""


@dataclass
class Selection:
    """What a selection found, and what it left.

    Attributes:
        folder: Where its files are.
        settings: What was asked for.
        data: What the formula made of the table.
        estimator: The fitted estimator.
        summary: Its summary, one row a column.
        seconds: Wall-clock time of the fit.
        warnings: What was warned of.
        reading: How the cells of the table were read.
        files: Files written.
    """

    folder: Path
    settings: SelectSettings
    data: FormulaData
    estimator: Any
    summary: pd.DataFrame
    seconds: float
    warnings: list[str]
    reading: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The summary and what belongs to it, as plain values; what is not finite is ``None``."""
        fit = self.estimator
        sets = fit.credible_sets()
        table = self.summary.reset_index()
        return {
            "formula": self.data.formula,
            "likelihood": self.settings.likelihood,
            "rows": len(self.data.x),
            "rows_dropped": self.data.rows_dropped,
            "engine": fit.engine_,
            "seed": self.settings.seed,
            "hdi": self.settings.hdi,
            "seconds": round(self.seconds, 3),
            "trust": {"verdict": fit.trust_.verdict, "reasons": list(fit.trust_.reasons)},
            "likelihood_checks": [
                {
                    "measure": check.measure,
                    "value": _plain(check.value),
                    "expected": check.expected,
                    "error": _plain(check.error),
                    "contradicted": check.contradicted,
                }
                for check in fit.likelihood_checks_
            ],
            "log_evidence": _plain(fit.log_evidence_),
            "expected_model_size": _plain(float(fit.findings_.pip.sum())),
            "intercept": _plain(fit.intercept_),
            "summary": [
                {str(name): _plain(value) for name, value in row.items()} for row in table.to_dict("records")
            ],
            "credible_sets": [
                {
                    "number": number,
                    "variables": [self.data.gates[gate] for gate in one.gates],
                    "probability": _plain(one.probability),
                    "purity": _plain(one.purity),
                }
                for number, one in enumerate(sets, start=1)
            ],
            "top_models": [
                {"probability": _plain(row["probability"]), "variables": list(row["variables"])}
                for row in fit.top_models(TOP_MODELS).to_dict("records")
            ],
            "warnings": self.warnings,
            "reading": self.reading,
            "files": [str(path) for path in self.files],
        }


def _plain(value: Any) -> Any:
    """A value that JSON knows."""
    import pandas as pd

    if hasattr(value, "item"):
        value = value.item()
    if value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value
