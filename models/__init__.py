"""Model families, one a file."""

from l0bayes.models.network import SparseNetwork
from l0bayes.models.regression import SparseRegression

__all__ = ["SparseNetwork", "SparseRegression"]
