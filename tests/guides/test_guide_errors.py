"""Every refusal of the guides names what was given."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer.autoguide import AutoNormal

from l0bayes.guides import AutoHardConcrete, AutoJointGates
from l0bayes.sites import spike_and_slab
from l0bayes.testing.guide_models import X, Y, regression


def build(**options):
    return AutoHardConcrete(regression, (X, Y), **options)


@pytest.mark.parametrize("given", [0.0, -0.5, float("nan")])
def test_temperature(given):
    with pytest.raises(ValueError, match=f"temperature must be positive, got {given}"):
        build(temperature=given)


@pytest.mark.parametrize("given", [0.0, 1.0, 1.2, -0.1])
def test_init_active(given):
    with pytest.raises(ValueError, match=f"init_active must lie strictly between 0 and 1, got {given}"):
        build(init_active=given)


@pytest.mark.parametrize("given", [(0.0, 1.1), (-0.1, 1.0), (0.2, 0.8)])
def test_stretch(given):
    with pytest.raises(ValueError, match="stretch must be a pair") as caught:
        build(stretch=given)
    assert str(given) in str(caught.value)


@pytest.mark.parametrize("given", [0.0, -1.0])
def test_init_scale(given):
    with pytest.raises(ValueError, match=f"init_scale must be positive, got {given}"):
        build(init_scale=given)


def test_slab_family():
    with pytest.raises(ValueError, match="slab must be one of normal, delta; got 'laplace'"):
        build(slab="laplace")


@pytest.mark.parametrize(("args", "kwargs"), [((), None), ((X, Y, X), None), ((X,), {"z": 1})])
def test_arguments_that_do_not_bind_show_the_signature(args, kwargs):
    with pytest.raises(
        TypeError, match=r"the model's signature is \(x: 'Tensor', y: 'Tensor \| None' = None\)(.|\n)*args="
    ):
        AutoHardConcrete(regression, args, kwargs)


def test_arguments_may_be_given_by_name():
    by_name = AutoHardConcrete(regression, kwargs={"x": X, "y": Y})
    assert by_name.laws().keys() == build().laws().keys()


def test_a_module_is_checked_by_its_forward():
    class Model(torch.nn.Module):
        def forward(self, x):
            spike_and_slab("w", 0.5)

    with pytest.raises(TypeError, match=r"the model's signature is \(x\)"):
        AutoHardConcrete(Model())
    assert set(AutoHardConcrete(Model(), (X,)).laws()) == {"w.gate", "w.slab"}


def test_a_model_without_latents():
    def nothing():
        pyro.sample("y", dist.Normal(0.0, 1.0), obs=torch.tensor(0.0))

    with pytest.raises(ValueError, match="model has no latent site"):
        AutoHardConcrete(nothing)


def test_a_discrete_latent_that_is_no_gate():
    def discrete():
        pyro.sample("kind", dist.Categorical(torch.ones(3)))

    with pytest.raises(ValueError, match="'kind'"):
        AutoHardConcrete(discrete)


def test_a_sequential_plate():
    def sequential():
        for j in pyro.plate("steps", 3):
            spike_and_slab(f"w{j}", 0.5)

    with pytest.raises(NotImplementedError, match=r"site 'w0.gate' stands in a sequential plate"):
        AutoHardConcrete(sequential)


def test_a_batch_dimension_outside_every_plate():
    """Five inclusions on one weight would be five gates on it."""
    with pytest.raises(
        ValueError, match=r"site 'w.gate' has batch shape \(5,\), .* dimension -1 belongs to no plate"
    ):
        AutoHardConcrete(lambda: spike_and_slab("w", torch.full((5,), 0.1)))

    def covered():
        with pyro.plate("units", 5):
            spike_and_slab("w", torch.full((5,), 0.1))

    assert AutoHardConcrete(covered).gates()["w.gate"].batch_shape == (5,)


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (dist.Poisson(1.0), "discrete sample site 'w.slab'"),
        (dist.Dirichlet(torch.ones(3)), "independent weights, .* the weights of Dirichlet dep"),
    ],
)
def test_a_slab_that_no_guide_covers(prior, message):
    with pytest.raises(ValueError, match=message):
        AutoHardConcrete(lambda: spike_and_slab("w", 0.5, prior))


@pytest.mark.parametrize("prior", [dist.HalfNormal(1.0), dist.Beta(1.0, 1.0).expand([3]).to_event(1)])
def test_a_joint_guide_takes_slabs_on_the_real_line_alone(prior):
    with pytest.raises(ValueError, match=r"slab site 'w.slab' has support .*; slabs of AutoJointGates are"):
        AutoJointGates(lambda: spike_and_slab("w", 0.5, prior))


def test_a_gate_is_refused_by_guides_that_cannot_hold_it():
    guide = AutoNormal(regression)
    with pytest.raises(ValueError, match=r"site 'beta.gate' is a gate(.|\n)*AutoHardConcrete"):
        guide(X, Y)
