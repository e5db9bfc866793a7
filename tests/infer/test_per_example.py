"""Gates drawn for each example: the same expectation, less variance."""

import pyro
import pyro.distributions as dist
import pytest
import torch

import l0bayes
from l0bayes.distributions import Gate
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import GradientStep, MeanFieldELBO
from l0bayes.sites import gate, slab

X = torch.randn(16, 3, generator=torch.Generator().manual_seed(2))
Y = X @ torch.tensor([1.0, -1.0, 0.0])
SHAPES = []


class Regression(torch.nn.Module):
    """The gate multiplies the inputs, so that it may differ from row to row."""

    supports_per_example_gates = True

    def forward(self, x, y):
        z = gate("z", Gate(0.3), [3])
        SHAPES.append(tuple(z.value.shape))
        w = slab("w", dist.Normal(0.0, 1.0).expand([3]).to_event(1), [z])
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal((x * z.value) @ w, 0.5), obs=y)


def guide_of(model):
    return AutoHardConcrete(model, (X, Y), slab="delta").perturb(3, locs=0.7)


def gradients(per_example, draws, seed):
    """Draws of the gates' gradient, of shape (draws, 3), and of the KL."""
    model = Regression()
    guide = guide_of(model)
    step = GradientStep(MeanFieldELBO(per_example_gates=per_example)(model, guide), "graph")
    torch.manual_seed(seed)
    (parameter,) = guide.gate_parameters()
    found, kls = [], []
    for _ in range(draws):
        kls.append(step((X, Y))[2])
        found.append(parameter.grad.clone())
    return torch.stack(found), torch.stack(kls)


def test_the_mean_gradient_is_the_same_and_its_variance_lower():
    """Means differ by more than 5 standard errors with a probability of 2e-6 (3 gates)."""
    draws = 1500
    (shared, shared_kl), (own, own_kl) = gradients(False, draws, 1), gradients(True, draws, 2)
    torch.testing.assert_close(shared_kl, own_kl)  # analytic
    error = ((shared.var(0) + own.var(0)) / draws).sqrt()
    assert ((shared.mean(0) - own.mean(0)).abs() < 5.0 * error).all()
    assert (own.var(0) < 0.5 * shared.var(0)).all()


def test_the_value_has_the_examples_first():
    model = Regression()
    guide = guide_of(model)
    SHAPES.clear()
    MeanFieldELBO(per_example_gates=True)(model, guide)(X, Y)
    assert SHAPES == [(16, 3)]
    done = l0bayes.fit(model, guide, (X, Y), steps=2, per_example_gates=True, progress=False, compile="eager")
    assert SHAPES[-1] == (16, 3)
    assert done.config["per_example_gates"] is True


def test_a_model_that_does_not_say_so_is_refused():
    def shared(x, y):
        Regression()(x, y)

    guide = AutoHardConcrete(shared, (X, Y))
    with pytest.raises(ValueError, match=r"supports_per_example_gates = True; shared does not"):
        l0bayes.fit(shared, guide, (X, Y), steps=1, per_example_gates=True)
    with pytest.raises(ValueError, match="shared does not"):
        MeanFieldELBO(per_example_gates=True)(shared, guide)(X, Y)


def test_a_gate_in_a_plate_is_refused():
    class InPlate(torch.nn.Module):
        supports_per_example_gates = True

        def forward(self, x):
            with pyro.plate("columns", 3):
                gate("z", Gate(0.3))

    model = InPlate()
    guide = AutoHardConcrete(model, (X,))
    with pytest.raises(ValueError, match=r"gate site 'z' stands in a plate, of batch shape \(3,\)"):
        MeanFieldELBO(per_example_gates=True)(model, guide)(X)


def test_without_examples_there_is_nothing_to_draw_for():
    class Alone(torch.nn.Module):
        supports_per_example_gates = True

        def forward(self):
            gate("z", Gate(0.3), [2])

    model = Alone()
    with pytest.raises(ValueError, match="needs a tensor of examples"):
        MeanFieldELBO(per_example_gates=True)(model, AutoHardConcrete(model))()


def test_it_does_not_go_with_vectorised_particles():
    with pytest.raises(ValueError, match="does not go with vectorize_particles=True"):
        MeanFieldELBO(per_example_gates=True, vectorize_particles=True)
