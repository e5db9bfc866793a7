"""Captured graphs that compute the same in fewer and cheaper operations, without a compiler."""

from l0bayes.infer.graphs.blocks import LONG
from l0bayes.infer.graphs.free_shapes import refuse_free_shapes
from l0bayes.infer.graphs.simplify import simplified

__all__ = ["LONG", "refuse_free_shapes", "simplified"]
