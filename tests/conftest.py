"""Every test starts from the same seed and an empty parameter store."""

import pyro
import pytest
import torch

torch.set_num_threads(1)  # the tensors are tiny: threads cost more than they save, and disturb neighbours


@pytest.fixture(autouse=True)
def _fresh_pyro():
    pyro.clear_param_store()
    pyro.set_rng_seed(0)


@pytest.fixture
def float64():
    """Double precision as the default of the test."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield torch.float64
    torch.set_default_dtype(before)
