"""How much a selection depends on its priors."""

from l0bayes.estimators.sensitivity.sensitivity_words import sensitivity_words

__all__ = ["sensitivity_words"]
