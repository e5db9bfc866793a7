"""Every test starts from the same seed, an empty parameter store and the likelihoods of the package."""

import pyro
import pytest
import torch

from l0bayes.likelihoods import likelihood_registry

torch.set_num_threads(1)  # the tensors are tiny: threads cost more than they save, and disturb neighbours


@pytest.fixture(autouse=True)
def _fresh_pyro():
    pyro.clear_param_store()
    pyro.set_rng_seed(0)


@pytest.fixture(autouse=True)
def _own_likelihoods(monkeypatch):
    monkeypatch.setattr(likelihood_registry, "_KINDS", dict(likelihood_registry._KINDS))


@pytest.fixture
def float64():
    """Double precision as the default of the test."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield torch.float64
    torch.set_default_dtype(before)
