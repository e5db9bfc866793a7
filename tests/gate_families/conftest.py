"""A law from outside the package, known while a module of tests runs."""

import sys
from pathlib import Path

import pytest

from l0bayes.apps.user_files import load_user_file
from l0bayes.gate_families import GATE_FAMILIES, family_registry

FILE = Path(__file__).resolve().parents[2] / "docs" / "extending" / "logistic_gates.py"


@pytest.fixture(scope="module")
def logistic():
    """The record of the law in ``docs/extending/logistic_gates.py``."""
    module = load_user_file(FILE)
    yield GATE_FAMILIES["logistic"]
    del family_registry._BY_NAME["logistic"], sys.modules[module.__name__]
