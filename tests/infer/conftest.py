"""Fixtures of the objectives' tests."""

import pytest

from l0bayes.infer.graphs.simplify import simplified
from l0bayes.infer.objectives import compiled


@pytest.fixture
def captures(monkeypatch):
    """Each captured graph beside what was made of it."""
    found = []

    def keeping(graph, inputs):
        new = simplified(graph, inputs)
        found.append((graph, new, [tensor.clone() for tensor in inputs]))
        return new

    monkeypatch.setattr(compiled, "simplified", keeping)
    return found
