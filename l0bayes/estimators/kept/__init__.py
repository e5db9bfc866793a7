"""Predictions of fitted selections, and the files in which these are kept."""

from l0bayes.estimators.kept.predictor import Prediction
from l0bayes.estimators.kept.saved_selection import SavedSelection
from l0bayes.estimators.kept.selection_files import SavedSelectionError

__all__ = ["Prediction", "SavedSelection", "SavedSelectionError"]
