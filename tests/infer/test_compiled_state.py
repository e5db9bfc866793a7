"""A captured step keeps the state of the modules as eager steps do."""

import shutil

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import GradientStep, MeanFieldELBO
from l0bayes.sites import spike_and_slab

X = torch.randn(12, 4, generator=torch.Generator().manual_seed(5))
Y = X[:, 0] - X[:, 2]


class Standardising(nn.Module):
    """A model with a running mean of its inputs, as batch normalisation has."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("count", torch.tensor(0))

    def forward(self, x, y):
        self.count.add_(1)
        self.mean.mul_(0.9).add_(0.1 * x.mean(0))
        beta = spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([4]).to_event(1))
        pyro.sample("y", dist.Normal(((x - self.mean) * beta).sum(-1), 0.5).to_event(1), obs=y)


def steps(mode):
    model = Standardising()
    guide = AutoHardConcrete(model, (X, Y)).perturb(1)
    step = GradientStep(MeanFieldELBO()(model, guide), mode)
    torch.manual_seed(3)
    losses = [step((X + shift, Y))[0].item() for shift in range(3)]
    assert step.mode == mode
    return losses, model


needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["graph", pytest.param("inductor", marks=needs_compiler)])
def test_a_model_that_updates_its_buffers(mode):
    with torch._inductor.config.patch(fallback_random=True):  # draws of torch's own generators
        losses, model = steps(mode)
    wanted, reference = steps("eager")
    assert losses == pytest.approx(wanted, rel=1e-5)
    torch.testing.assert_close(model.mean, reference.mean)
    assert model.count == reference.count


def test_a_module_converted_between_steps_while_the_data_stay():
    """The noise is then drawn in the new precision too."""
    model = Standardising()
    objective = MeanFieldELBO()(model, AutoHardConcrete(model, (X, Y)).perturb(1))
    graph, eager = GradientStep(objective, "graph"), GradientStep(objective, "eager")
    graph((X, Y))
    objective.double()
    losses = []
    for step in (graph, eager):
        model.mean.zero_()
        torch.manual_seed(2)
        losses.append(step((X, Y))[0])
    assert losses[0].dtype == torch.float64
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-12, atol=0.0)


def test_a_module_set_to_evaluation_between_steps():
    """What is captured in training is not run in evaluation, and both are kept."""
    model = nn.ModuleList([nn.Dropout(0.5), Standardising()])
    model.forward = lambda x, y: model[1](model[0](x), y)
    objective = MeanFieldELBO()(model, AutoHardConcrete(model, (X, Y)).perturb(1))
    graph, eager = GradientStep(objective, "graph"), GradientStep(objective, "eager")
    for mode in (True, False, True):
        objective.train(mode)
        losses = []
        for step in (graph, eager):
            model[1].mean.zero_()
            torch.manual_seed(2)
            losses.append(step((X, Y))[0])
        torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=0.0)
    assert graph.mode == "graph"
    assert len(graph._graphs) == 2
