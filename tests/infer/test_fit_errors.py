"""Every refusal of fit() names the argument and what was given, and comes before any step."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer.autoguide import AutoGuideList, AutoNormal
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import DivergenceError, Linear, Minibatches
from l0bayes.sites import HiddenSiteWarning, spike_and_slab
from tests.infer.fitting import X, Y, dense, guide_of, loader, regression, same_state, short, state_of


def refused(error, match, model=regression, guide=None, data=(X, Y), **options):
    """The error, after checking that the guide did not move."""
    guide = guide_of() if guide is None else guide
    before = state_of(guide)
    with pytest.raises(error, match=match) as caught:
        short(model, guide, data, **options)
    assert same_state(state_of(guide), before)
    return str(caught.value)


def spoiled(tensor, value, index):
    tensor = tensor.clone()
    tensor[index] = value
    return tensor


# ---- data --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["x", "y"])
@pytest.mark.parametrize("as_loader", [False, True])
def test_values_that_are_not_finite(value, name, as_loader):
    index = (3, 1) if name == "x" else (3,)
    x = spoiled(X, value, index) if name == "x" else X
    y = spoiled(Y, value, index) if name == "y" else Y
    data = DataLoader(TensorDataset(x, y), batch_size=8) if as_loader else (x, y)
    message = refused(ValueError, f"^{name} holds 1 values that are NaN or infinite", data=data)
    assert str(index) in message


def test_an_empty_tensor():
    refused(ValueError, r"^x is empty: its shape is \(0, 3\)", data=(X[:0], Y[:0]))


@pytest.mark.parametrize("data", [[], DataLoader(TensorDataset(X[:0], Y[:0]))])
def test_an_empty_loader(data):
    refused(ValueError, "data is empty: the loader gave no batch", data=data)


@pytest.mark.parametrize("options", [{}, {"epochs": 2}])
def test_a_list_of_tensors(options):
    refused(TypeError, "data must be a tuple .* got a list of tensors", data=[X, Y], **options)


def test_the_models_arguments_in_a_dictionary():
    refused(TypeError, r"dictionary of 'x', 'y'.* as a tuple, \(x, y\)", data={"x": X, "y": Y})


@pytest.mark.parametrize(("data", "kind"), [("x", "str"), (3, "int"), (None, "NoneType")])
def test_data_of_another_type(data, kind):
    refused(TypeError, f"data must be a tuple .* got {kind}", data=data)


@pytest.mark.parametrize("make", [lambda: iter(loader()), lambda: ((X, Y) for _ in range(3))])
def test_a_one_time_iterator(make):
    refused(TypeError, "data must be iterable more than once", data=make())


@pytest.mark.parametrize("data", [(), (X, Y, Y)])
def test_data_that_does_not_bind_shows_the_signature(data):
    refused(TypeError, r"data does not fit the model's signature \(x, y=None\)", data=data)


# ---- numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lr", "gate_lr"])
@pytest.mark.parametrize("value", [0.0, -0.1, math.nan])
def test_learning_rates(name, value):
    refused(ValueError, f"^{name} must be positive, got {value}", **{name: value})


@pytest.mark.parametrize("value", [0, -2])
@pytest.mark.parametrize("name", ["restarts", "steps", "num_particles", "log_every"])
def test_counts(name, value):
    refused(ValueError, f"{name} must be at least 1, got {value}", **{name: value})


@pytest.mark.parametrize("value", [0, -2])
def test_epochs(value):
    refused(ValueError, f"epochs must be at least 1, got {value}", data=loader(), epochs=value)


def test_steps_and_epochs():
    refused(ValueError, "give steps or epochs, not both", data=loader(), steps=3, epochs=1)


@pytest.mark.parametrize("data", [(X, Y), X])
def test_epochs_of_full_data(data):
    refused(ValueError, "epochs counts passes over a loader", lambda x, y=Y: None, data=data, epochs=3)


class Stream(IterableDataset):
    def __iter__(self):
        yield from zip(X, Y, strict=True)


def test_epochs_of_a_loader_without_length():
    """Such a loader can be trained on, by steps."""
    data = DataLoader(Stream(), batch_size=8)
    refused(ValueError, "epochs needs data with a length.*give steps", data=data, epochs=1)
    assert short(data=data, steps=5).history.step[-1] == 5


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, Linear(0.5, -0.1), Linear(0.5, 0.0)])
def test_temperature(value):
    refused(ValueError, "^temperature must be positive, got", temperature=value)


def test_a_temperature_for_a_guide_without_one():
    guide = AutoNormal(dense)
    guide(X, Y)
    refused(
        ValueError, "temperature is given, but AutoNormal has no temperature", dense, guide, temperature=0.5
    )


@pytest.mark.parametrize("name", ["kl_weight", "lr_schedule"])
@pytest.mark.parametrize("value", [-0.5, math.nan, Linear(1.0, -1.0)])
def test_weights_and_factors(name, value):
    refused(ValueError, f"^{name} must not be negative, got", **{name: value})


def test_the_compiled_form():
    refused(ValueError, "compile must be auto, inductor, graph, eager; got 'jit'", compile="jit")


# ---- model and guide ---------------------------------------------------------------------------------


def test_a_guide_function():
    with pytest.raises(TypeError, match=r"guide must be a module.*got function.*SVI"):
        l0bayes.fit(regression, lambda x, y: None, (X, Y), progress=False)


def test_restarts_of_a_guide_that_cannot_be_perturbed():
    guide = AutoNormal(dense)
    guide(X, Y)
    refused(
        ValueError, r"restarts=2 needs a guide with perturb\(\), which AutoNormal", dense, guide, restarts=2
    )


def test_a_gate_that_the_guide_leaves_out():
    with pytest.warns(HiddenSiteWarning, match=r"'beta\.gate'"):
        guide = AutoHardConcrete(poutine.block(regression, hide=["beta.gate"]), (X, Y))
    refused(ValueError, "gate site 'beta.gate' of the model is not covered by the guide", guide=guide)


def test_a_latent_that_the_guide_leaves_out():
    guide = AutoGuideList(dense)
    guide.append(AutoNormal(poutine.block(dense, hide=["sigma"])))
    guide(X, Y)
    refused(ValueError, "latent site 'sigma' of the model is not covered by the guide", dense, guide)


def test_a_guide_of_another_model():
    message = "guide site 'w.gate' does not exist in the model"

    def model(x, y):
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(x.sum(-1), 1.0), obs=y)

    guide = AutoHardConcrete(lambda x, y: spike_and_slab("w", 0.5), (X, Y))
    refused(ValueError, message, model, guide)


def test_a_normal_on_a_gate():
    with pytest.raises(ValueError, match=r"site 'beta.gate' is a gate(.|\n)*AutoHardConcrete"):
        short(guide=AutoNormal(regression))


class Binary(pyro.nn.PyroModule):
    """A guide that gives the gates a torch Bernoulli, which is no gate law."""

    def __init__(self):
        super().__init__()
        self.loc = torch.nn.Parameter(torch.zeros(3))

    def forward(self, x, y):
        pyro.sample("beta.gate", dist.Bernoulli(0.5 * torch.ones(3)).to_event(1))
        pyro.sample("beta.slab", dist.Delta(self.loc).to_event(1))


def test_a_bernoulli_on_a_gate():
    refused(
        ValueError, "gate site 'beta.gate' is given .* by the guide, which is no gate law", guide=Binary()
    )


def test_a_missing_kl():
    def model(x, y):
        prior = dist.Cauchy(0.0, 1.0).expand([3]).to_event(1)
        beta = spike_and_slab("beta", 0.3, prior)
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(x @ beta, 0.5), obs=y)

    message = r"site 'beta.slab': no KL is registered from GatedSlab\(Normal\) to Cauchy"
    refused(NotImplementedError, message, model, AutoHardConcrete(model, (X, Y)))


def test_a_loose_parameter():
    def model(x, y):
        shift = pyro.param("shift", torch.tensor(0.0))
        return regression(x, y - shift)

    refused(ValueError, r"the parameters \['shift'\] are made by pyro.param outside a module", model)
    assert not list(pyro.get_param_store())


def test_nothing_to_train():
    guide = guide_of().requires_grad_(False)
    refused(ValueError, "guide and model hold no trainable parameter", guide=guide)


def test_an_objective_that_is_not_finite_at_the_start():
    def model(x, y):
        beta = spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
        pyro.factor("zero", torch.log(0.0 * beta.sum()))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(x @ beta, 0.5), obs=y)

    refused(ValueError, "the log likelihood is -inf at the start; check the data", model)


def test_an_observation_outside_its_support():
    def model(x, y):
        beta = spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Bernoulli(logits=x @ beta), obs=y)

    refused(ValueError, "support", model, data=(X, Y))


# ---- divergence --------------------------------------------------------------------------------------


class Exploding(torch.nn.Module):
    """A model whose objective becomes NaN from the given call on."""

    def __init__(self, finite_calls):
        super().__init__()
        self.calls, self.finite_calls = 0, finite_calls

    def forward(self, x, y):
        self.calls += 1
        beta = spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
        if self.calls > self.finite_calls:
            pyro.factor("nan", beta.sum() * math.nan)
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(x @ beta, 0.5), obs=y)


def diverge(model, **options):
    guide = guide_of(model)
    model.calls = 0
    with pytest.raises(DivergenceError, match="the objective became NaN") as caught:
        short(model, guide, **options)
    assert all(torch.isfinite(p).all() for p in guide.parameters())
    return guide, caught.value


def test_nan_during_training_keeps_what_was_reached():
    """One call before the first step, then four finite steps, logged in pairs."""
    guide, error = diverge(Exploding(1 + 4), steps=20, log_every=2, lr=0.02)
    assert isinstance(error, FloatingPointError)
    assert "at step 5: the log density of site 'nan' is nan" in str(error)
    assert "lr (now 0.02)" in str(error)
    assert error.fit.best.stopped == "diverged"
    assert error.fit.history.step == [2, 4]
    assert error.fit.guide is guide
    twin = guide_of()
    short(guide=twin, steps=20, log_every=2, lr=0.02, callback=stop_at(4))
    assert same_state(state_of(guide), state_of(twin))


def stop_at(step):
    def callback(history):
        if history.step[-1] == step:
            raise KeyboardInterrupt

    return callback


def test_nan_before_the_first_record_puts_the_start_back():
    model = Exploding(3)
    guide, error = diverge(model, steps=20, log_every=5)
    assert same_state(state_of(guide), state_of(guide_of()))
    assert error.fit.history.step == []
    assert math.isnan(error.fit.elbo)
    assert "diverged after 0 steps" in repr(error.fit)


def told(model, data=(X, Y), **options):
    options = {"steps": 12, "log_every": 6, "progress": False} | options
    with pytest.raises(DivergenceError) as caught:
        l0bayes.fit(model, guide_of(model), data, **options)
    return str(caught.value)


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_the_batch_and_the_argument_are_named(mode):
    """Row 17 is in the third batch of six rows; records are made later."""
    y = Y.clone()
    y[17] = math.nan
    batches = list(zip(X.split(6), y.split(6), strict=True))
    said = told(regression, batches, compile=mode)
    assert "the objective became NaN at step 3 (batch 3 of 4, epoch 1): y holds 1 values" in said
    assert "the first at index (5,); the log density of site 'y' is nan already with the parameters" in said


def test_a_shuffled_batch_is_found_again():
    y = Y.clone()
    y[17] = math.nan
    batches = Minibatches(X, y, batch_size=6, seed=3)
    at = next(step for step, (_, some) in enumerate(batches.epoch(0), 1) if some.isnan().any())
    assert at > 1  # the first is checked before the start
    assert f"NaN at step {at} (batch {at} of 4, epoch 1): y holds 1 values" in told(regression, batches)


class Overflowing(torch.nn.Module):
    """One parameter that a step makes infinite, as a rate that is far too large does."""

    def __init__(self):
        super().__init__()
        self.shift = torch.nn.Parameter(torch.tensor(80.0))

    def forward(self, x, y):
        return regression(x, y + 1e-30 * self.shift.exp())


def test_a_site_is_named_that_becomes_infinite_by_its_parameters():
    said = told(Overflowing(), lr=1e3, optimizer=Rising, log_every=2, compile="eager")
    assert "the objective became infinite at step 2: the log density of site 'y' is -inf" in said
    assert "already" not in said


class Rising(torch.optim.SGD):
    """Steps upward, whatever the gradient."""

    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.numel() == 1:
                    parameter.data += group["lr"]


class BadGradient(torch.nn.Module):
    """The value stays finite when the gradient does not: the square root at 0."""

    def __init__(self):
        super().__init__()
        self.shift = torch.nn.Parameter(torch.tensor(0.0))

    def forward(self, x, y):
        return regression(x, y - (self.shift * 0.0).square().sqrt())


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_a_gradient_that_is_not_finite_is_found_although_the_value_is(steps, mode):
    model = BadGradient()
    guide = guide_of(model)
    with pytest.raises(DivergenceError) as caught:
        short(model, guide, steps=steps, log_every=1, compile=mode)
    assert torch.isfinite(model.shift)
    assert all(torch.isfinite(p).all() for p in guide.parameters())
    assert caught.value.fit.best.stopped == "diverged"
    assert "a gradient became NaN or infinite" in str(caught.value)
    if steps == 1:
        assert "parameter 'model.shift' is not finite" in str(caught.value)


def test_a_divergence_among_restarts_leaves_the_best_in_the_guide():
    model = Exploding(1 + 6 + 2)  # one before the first step, six steps of the first run, two of the second
    guide, error = diverge(model, steps=6, log_every=1, restarts=2)
    runs = error.fit.restarts
    assert [run.stopped for run in runs] == ["finished", "diverged"]
    assert same_state(state_of(guide), state_of(error.fit.guide))
