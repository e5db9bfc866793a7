"""From draws to ArviZ, predictions with their scores, tables."""

from l0bayes.posterior.calibration import (
    PredictionScores,
    accuracy,
    auroc,
    brier_score,
    expected_calibration_error,
    negative_log_likelihood,
    prediction_scores,
    predictive_entropy,
    reliability_table,
)
from l0bayes.posterior.importance import ImportanceWeighted, importance_weighted
from l0bayes.posterior.predict import predict, predict_probabilities
from l0bayes.posterior.table import gate_table
from l0bayes.posterior.to_arviz import to_arviz

__all__ = [
    "ImportanceWeighted",
    "PredictionScores",
    "accuracy",
    "auroc",
    "brier_score",
    "expected_calibration_error",
    "gate_table",
    "importance_weighted",
    "negative_log_likelihood",
    "predict",
    "predict_probabilities",
    "prediction_scores",
    "predictive_entropy",
    "reliability_table",
    "to_arviz",
]
