r"""What a selection found, for a report and as plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l0bayes.apps.select.formulas import FormulaData
from l0bayes.apps.select.option_words import in_options
from l0bayes.apps.select.select_settings import SelectSettings
from l0bayes.estimators.checks.row_checks import RowChecks
from l0bayes.estimators.noise_and_fit import Spread, noise_and_fit

if TYPE_CHECKING:
    import pandas as pd

    from l0bayes.selection.calibrate.calibration_result import Calibration

__all__ = ["TOP_MODELS", "Selection"]

TOP_MODELS = 10
"""How many of the most probable models are listed."""


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
        checks: How the rows look beside the model, where they can be looked at one by one.
        calibration: Whether probabilities come true on data drawn from the prior, where that was asked for.
        sensitivity: Inclusion probabilities under other priors, where they were asked for.
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
    checks: RowChecks | None = None
    sensitivity: pd.DataFrame | None = None
    calibration: Calibration | None = None

    @property
    def reasons(self) -> list[str]:
        """What the verdict rests on, in the words of the command line."""
        return [in_options(reason) for reason in self.estimator.trust_.reasons]

    @property
    def trust_words(self) -> str:
        """The verdict and its reasons, in these words."""
        return in_options(str(self.estimator.trust_))

    @property
    def fit_words(self) -> list[str]:
        """How the rows look beside the model, in these words; none where they cannot be looked at."""
        return [] if self.checks is None else [in_options(words) for words in self.checks.words]

    @property
    def sensitivity_words(self) -> list[str]:
        """What changes with the prior, in sentences; none where it was not asked for."""
        return [] if self.sensitivity is None else list(self.sensitivity.attrs["words"])

    @property
    def spreads(self) -> dict[str, Spread]:
        """Posteriors of σ and R², where the response is Normal."""
        return noise_and_fit(self.estimator.original_scale_, self.settings.hdi)

    def to_json(self) -> dict[str, Any]:
        """The summary and what belongs to it, as plain values.

        JSON has no numbers that are not finite: such a value is ``None``, and ``"not_finite"`` says what it
        is, by its place, such as ``{"summary[0].log10_bf": "Infinity"}``.
        """
        fit = self.estimator
        found: dict[str, str] = {}
        values = {
            "formula": self.data.formula,
            "likelihood": self.settings.law.name,
            "rows": len(self.data.x),
            "rows_dropped": self.data.rows_dropped,
            "engine": fit.engine_,
            "seed": self.settings.seed,
            "hdi": self.settings.hdi,
            "seconds": round(self.seconds, 3),
            "trust": {"verdict": fit.trust_.verdict, "reasons": self.reasons},
            "likelihood_checks": [
                {
                    "measure": check.measure,
                    "value": check.value,
                    "expected": check.expected,
                    "error": check.error,
                    "contradicted": check.contradicted,
                }
                for check in fit.likelihood_checks_
            ],
            "log_evidence": fit.log_evidence_,
            "expected_model_size": float(fit.original_scale_.pip.sum()),
            "intercept": fit.intercept_,
            **{
                name: {"mean": spread.mean, "low": spread.low, "high": spread.high}
                for name, spread in self.spreads.items()
            },
            "summary": self.summary.reset_index().to_dict("records"),
            "credible_sets": [
                {
                    "number": number,
                    "variables": [self.data.gates[gate] for gate in one.gates],
                    "probability": one.probability,
                    "purity": one.purity,
                }
                for number, one in enumerate(fit.credible_sets(), start=1)
            ],
            "top_models": [
                {"probability": row["probability"], "variables": list(row["variables"])}
                for row in fit.top_models(TOP_MODELS).to_dict("records")
            ],
            **self._row_values(),
            **self._sensitivity_values(),
            **self._calibration_values(),
            "warnings": self.warnings,
            "reading": self.reading,
            "files": [str(path) for path in self.files],
        }
        plain: dict[str, Any] = _plain(values, "", found)
        return {**plain, "not_finite": found}

    def _row_values(self) -> dict[str, Any]:
        if self.checks is None:
            return {}
        rows = self.checks.rows
        return {
            "rows_checked": {
                "words": self.fit_words,
                "influential": rows.index[rows["influential"]].tolist(),
            }
        }

    def _sensitivity_values(self) -> dict[str, Any]:
        if self.sensitivity is None:
            return {}
        return {
            "sensitivity": {
                "words": self.sensitivity_words,
                "table": self.sensitivity.to_dict("records"),
            }
        }

    def _calibration_values(self) -> dict[str, Any]:
        if self.calibration is None:
            return {}
        return {
            "calibration": {
                "right": self.calibration.right,
                "p": self.calibration.p_value,
                "words": self.calibration.words,
                "tests": self.calibration.tests.reset_index().to_dict("records"),
            }
        }


def _plain(value: Any, place: str, found: dict[str, str]) -> Any:
    """A value that JSON can hold; the places of numbers that are not finite are noted."""
    import pandas as pd

    if isinstance(value, dict):
        dot = f"{place}." if place else ""
        return {str(name): _plain(one, f"{dot}{name}", found) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one, f"{place}[{number}]", found) for number, one in enumerate(value)]
    if hasattr(value, "item"):
        value = value.item()
    if value is pd.NA:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        found[place] = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        return None
    return value
