"""When an approximate mean or spread differs from an exact one by more than chance and tolerance."""

import pytest
import torch

from l0bayes.selection.kernels.evidence_check import _differ


@pytest.mark.parametrize("variance", [0.01, 1.0, 40.0])
@pytest.mark.parametrize(
    ("shift", "wider", "error", "differs"),
    [
        (0.0, 0.0, 0.0, False),
        (0.049, 0.0, 0.0, False),  # five hundredths of a standard deviation
        (0.051, 0.0, 0.0, True),
        (0.0, 0.099, 0.0, False),  # ten hundredths of a variance
        (0.0, 0.101, 0.0, True),
        (0.0, -0.101, 0.0, True),
        (0.29, 0.29, 0.1, False),  # three standard errors
        (0.31, 0.0, 0.1, True),
        (0.0, 0.31, 0.1, True),
    ],
)
def test_what_differs(variance, shift, wider, error, differs):
    variance = torch.tensor([variance], dtype=torch.float64)
    mean = torch.tensor([0.7], dtype=torch.float64)
    other = mean + shift * variance.sqrt()
    laplace = (mean, mean.square() + variance * (1.0 + wider))
    exact = (other, other.square() + variance)
    found = _differ(laplace, exact, error * variance.sqrt(), error * variance)
    assert bool(found) is differs
