"""Parameters, copies, files, dtypes and devices of a guide."""

import copy
import io
import pickle

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Predictive

from l0bayes.distributions import HardConcrete
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import MeanFieldELBO
from l0bayes.sites import spike_and_slab
from l0bayes.testing.guide_models import X, Y, regression, same_state, state_of, train, two_layers

SLABS = ["normal", "delta"]


def laws_of(guide):
    """Every parameter tensor of every law."""
    tensors = {}
    for name, law in guide.laws().items():
        if isinstance(law, HardConcrete):
            tensors[name] = torch.stack([law.log_alpha, law.temperature])
        else:
            torch.manual_seed(3)
            tensors[name] = law.sample()
    return {name: value.detach().clone() for name, value in tensors.items()}


def assert_same_laws(one, other):
    assert {name: type(law) for name, law in one.laws().items()} == {
        name: type(law) for name, law in other.laws().items()
    }
    first, second = laws_of(one), laws_of(other)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


@pytest.mark.parametrize("slab", SLABS)
def test_parameters_exist_after_the_constructor(slab):
    guide = AutoHardConcrete(regression, (X, Y), slab=slab)
    shapes = {name: tuple(p.shape) for name, p in guide.named_parameters()}
    others = {"pi": (), "sigma": (), "intercept": (), "mix": (2,)}
    expected = {f"loc.{name}_unconstrained": shape for name, shape in others.items()}
    expected |= {f"scale.{name}_unconstrained": shape for name, shape in others.items()}
    expected |= {"log_alpha.beta/gate_unconstrained": (4,), "loc.beta/slab_unconstrained": (4,)}
    if slab == "normal":
        expected["scale.beta/slab_unconstrained"] = (4,)
    assert shapes == expected
    train(guide, regression)
    assert {name: tuple(p.shape) for name, p in guide.named_parameters()} == expected


@pytest.mark.parametrize("slab", SLABS)
def test_state_dict_loads_into_a_fresh_guide(slab):
    guide = AutoHardConcrete(regression, (X, Y), slab=slab, temperature=0.4)
    train(guide, regression)
    fresh = AutoHardConcrete(regression, (X, Y), slab=slab)
    assert fresh.temperature != guide.temperature
    report = fresh.load_state_dict(guide.state_dict())
    assert not report.missing_keys
    assert not report.unexpected_keys
    assert_same_laws(guide, fresh)
    assert fresh.temperature == guide.temperature


def test_state_dict_passes_through_a_file(tmp_path):
    guide = AutoHardConcrete(regression, (X, Y))
    train(guide, regression)
    torch.save(guide.state_dict(), tmp_path / "guide.pt")
    fresh = AutoHardConcrete(regression, (X, Y))
    fresh.load_state_dict(torch.load(tmp_path / "guide.pt", weights_only=True))
    assert_same_laws(guide, fresh)


def through_deepcopy(guide):
    return copy.deepcopy(guide)


def through_pickle(guide):
    return pickle.loads(pickle.dumps(guide))


def through_torch_save(guide):
    buffer = io.BytesIO()
    torch.save(guide, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


COPIES = [through_deepcopy, through_pickle, through_torch_save]


@pytest.mark.parametrize("slab", SLABS)
@pytest.mark.parametrize("through", COPIES)
def test_a_copy_is_equal_and_apart_and_the_original_still_works(through, slab):
    guide = AutoHardConcrete(regression, (X, Y), slab=slab, temperature=0.4, stretch=(-0.2, 1.3))
    train(guide, regression)
    guide(X, Y), guide.median(), guide.laws()  # whatever a guide has been used for
    before = state_of(guide)
    twin = through(guide)
    assert same_state(before, state_of(guide))
    assert same_state(before, state_of(twin))
    assert_same_laws(guide, twin)
    assert twin.gates()["beta.gate"].stretch == (-0.2, 1.3)

    torch.manual_seed(5)
    first = guide(X, Y)
    torch.manual_seed(5)
    second = twin(X, Y)
    assert all(torch.equal(first[name], second[name]) for name in first)

    losses = train(guide, regression)
    assert all(torch.tensor(losses).isfinite())
    assert not same_state(before, state_of(guide))
    assert same_state(before, state_of(twin))  # training the one leaves the other alone
    train(twin, regression)
    assert not same_state(before, state_of(twin))


def test_equal_copies_train_equally():
    guide = AutoHardConcrete(two_layers, (X, Y))
    twin = copy.deepcopy(guide)
    torch.manual_seed(11)
    first = train(guide, two_layers)
    torch.manual_seed(11)
    assert train(twin, two_layers) == first
    assert same_state(state_of(guide), state_of(twin))


def test_a_guide_of_a_closure_is_pickled():
    scale = torch.tensor(2.0)

    def closure():
        spike_and_slab("w", 0.5, dist.Normal(0.0, scale))

    guide = AutoHardConcrete(closure)
    twin = through_pickle(guide)
    assert_same_laws(guide, twin)
    assert guide.model is closure


def test_one_guide_run_by_hand_never_takes_the_parameters_of_another():
    """Pyro's store knows parameters by name, and two guides of one class have the same names."""
    first, second = AutoHardConcrete(regression, (X, Y)), AutoHardConcrete(regression, (X, Y))
    second.perturb(1)
    states = state_of(first), state_of(second)
    for guide in (first, second, first):
        guide(X, Y)
        Predictive(regression, guide=guide, num_samples=2)(X)
    assert same_state(states[0], state_of(first))
    assert same_state(states[1], state_of(second))


def test_a_loaded_guide_keeps_its_state_when_it_runs():
    guide = AutoHardConcrete(regression, (X, Y))
    guide(X, Y)
    saved = state_of(guide)
    train(guide, regression)
    guide.load_state_dict(saved)
    guide(X, Y)
    assert same_state(saved, state_of(guide))


@pytest.mark.parametrize("slab", SLABS)
@pytest.mark.parametrize("convert", [lambda m: m.double(), lambda m: m.to(torch.float64)])
def test_double_precision(slab, convert):
    guide = convert(AutoHardConcrete(regression, (X, Y), slab=slab))
    assert {value.dtype for value in guide.state_dict().values()} == {torch.float64}
    draws = guide(X, Y)
    assert {value.dtype for value in draws.values()} == {torch.float64}
    elbo = convert(MeanFieldELBO()(regression, guide))
    loss = elbo(X.double(), Y.double())
    loss.backward()
    assert loss.dtype == torch.float64
    assert all(p.grad.dtype == torch.float64 and p.grad.isfinite().all() for p in guide.parameters())
    assert guide.float()(X, Y)["beta.gate"].dtype == torch.float32


def test_to_cpu_keeps_everything():
    guide = AutoHardConcrete(regression, (X, Y))
    before = state_of(guide)
    assert guide.to("cpu") is guide
    assert same_state(before, state_of(guide))


def test_the_meta_device_holds_shapes_and_is_filled_from_a_state():
    guide = AutoHardConcrete(regression, (X, Y))
    train(guide, regression)
    saved = state_of(guide)
    shell = copy.deepcopy(guide).to("meta")
    assert all(value.is_meta for value in shell.state_dict().values())
    assert {n: v.shape for n, v in shell.state_dict().items()} == {n: v.shape for n, v in saved.items()}
    filled = shell.to_empty(device="cpu")
    filled.load_state_dict(saved)
    assert_same_laws(guide, filled)
    assert all(torch.tensor(train(filled, regression)).isfinite())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("slab", SLABS)
def test_cuda(slab):
    def on_device(x, y=None):
        pi = pyro.sample("pi", dist.Beta(torch.ones((), device=x.device), 3.0))
        normal = dist.Normal(torch.zeros(4, device=x.device), 1.0).to_event(1)
        beta = spike_and_slab("beta", pi, normal)
        pyro.sample("y", dist.Normal(x @ beta, 0.5).to_event(1), obs=y)

    guide = AutoHardConcrete(on_device, (X, Y), slab=slab)
    elbo = MeanFieldELBO()(on_device, guide).to("cuda")
    loss = elbo(X.cuda(), Y.cuda())
    loss.backward()
    assert loss.is_cuda
    assert all(p.grad.is_cuda and p.grad.isfinite().all() for p in guide.parameters())
    assert guide.median()["beta.gate"].is_cuda
