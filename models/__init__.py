"""Model families, one a file."""

from l0bayes.models.network import SparseNetwork

__all__ = ["SparseNetwork"]
