"""Gates on networks: from gates and slabs to a plain small network."""

from l0bayes.network.shrink import LayerWeights, SelectInputs, shrink_sequential

__all__ = ["LayerWeights", "SelectInputs", "shrink_sequential"]
