"""Several selections at once, shared out by joblib: restarts, folds, imputations, responses."""

from l0bayes.estimators.many.fit_many import fit_folds, fit_imputations, fit_responses, fit_restarts
from l0bayes.estimators.many.many_fits import ManyFits

__all__ = ["ManyFits", "fit_folds", "fit_imputations", "fit_responses", "fit_restarts"]
