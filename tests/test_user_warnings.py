"""A warning points at the line that the user wrote, by whatever way it came about."""

import inspect
import warnings
from contextlib import contextmanager

import pyro
import pytest
import torch
from torch import nn

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import CollapseWarning, TargetWarning
from l0bayes.models import SparseNetwork
from l0bayes.user_warnings import warn_user

X = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


@contextmanager
def said_here(category=UserWarning, match=""):
    """All warnings of the category inside point at this file, and there is one."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
    ours = [one for one in said if issubclass(one.category, category) and match in str(one.message)]
    assert ours
    assert {one.filename for one in ours} == {__file__}


def network():
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2))


def as_one_of_the_library(function):
    """The function as if it stood in a module of this library."""
    names = {**function.__globals__, "__name__": "l0bayes.somewhere"}
    return type(function)(function.__code__, names)


def caller():
    warn_user("hear", FutureWarning)


def test_frames_of_the_library_and_of_decorators_are_passed_over():
    deep = torch.no_grad()(as_one_of_the_library(caller))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        deep()
        line = inspect.currentframe().f_lineno - 1
    assert [(one.filename, one.lineno, one.category) for one in said] == [(__file__, line, FutureWarning)]


def test_the_same_line_is_told_once_by_default():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")
        for _ in range(3):
            caller()
    assert len(said) == 1


def test_warnings_before_training():
    net = network()
    net[2].register_forward_hook(lambda module, inputs, output: 2 * output)
    with said_here(match="stay as they are"):
        SparseNetwork(net)


@pytest.mark.filterwarnings("ignore")
def test_warnings_of_a_fit_of_its_callbacks_and_of_its_end():
    model = SparseNetwork(network())
    guide = AutoHardConcrete(model, (X, Y), slab="delta")
    options = {"compile": "eager", "progress": False}
    with said_here(CollapseWarning):
        l0bayes.fit(model, guide, (X, Y), steps=60, gate_lr=0.5, target="macs:0.2", **options)
    with said_here(TargetWarning):
        l0bayes.fit(model, guide, (X, Y), steps=2, gate_lr=1e-9, target="macs:0.9", **options)


class Reads(nn.Module):
    """Its forward depends on how many units there are."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x):
        x = torch.relu(self.a(x))
        return self.b(x) * (x.shape[-1] / 6)


def test_warnings_of_a_deployment():
    model = SparseNetwork(Reads(), gates="output")
    guide = AutoHardConcrete(model, (X, Y), slab="delta")
    with torch.no_grad():
        next(p for name, p in guide.named_parameters() if "gate" in name)[:3] = -9.0
    with said_here(match="full size"):
        model.deploy(guide)


def test_warnings_of_functions_of_a_pyro_model():
    def model():
        pyro.param("loose", torch.tensor(1.0))
        return pyro.sample("w", pyro.distributions.Normal(0.0, 1.0))

    with said_here(match="not in Pyro's parameter store"):
        pyro.clear_param_store()
        l0bayes.posterior.importance_weighted(model, pyro.infer.autoguide.AutoNormal(model), ())
