"""Predictions from the folder of a selection."""

from l0bayes.apps.select.prediction.formula_coding import FormulaCoding
from l0bayes.apps.select.prediction.predict_job import predict_table

__all__ = ["FormulaCoding", "predict_table"]
