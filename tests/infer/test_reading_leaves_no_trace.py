"""Reading a fit changes nothing of the model: no running statistics, no modes, no random numbers."""

import pytest
import torch
from torch import nn

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Fit, pruning_forecast
from l0bayes.models import SparseNetwork
from l0bayes.posterior import importance_weighted, predict, predict_probabilities

X = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
DATA = (X, (X[:, 0] > 0).long())


def pair():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))
    model = SparseNetwork(net)
    return model, AutoHardConcrete(model, DATA)


READERS = {
    "Fit.of": lambda model, guide: Fit.of(model, guide, DATA),
    "to_arviz": lambda model, guide: l0bayes.to_arviz(Fit.of(model, guide, DATA), num_draws=2),
    "hardened_elbo": lambda model, guide: l0bayes.hardened_elbo(model, guide, DATA, num_draws=2),
    "importance_weighted": lambda model, guide: importance_weighted(model, guide, DATA, num_draws=4),
    "pruning_forecast": lambda model, guide: pruning_forecast(model, guide, DATA, steps=2, gate_lr=0.1),
    "predict": lambda model, guide: predict(model, guide, DATA, num_draws=2),
    "predict_probabilities": lambda model, guide: predict_probabilities((model, guide), X, num_draws=2),
    "layer_table": lambda model, guide: model.layer_table(guide, DATA),
    "cost_table": lambda model, guide: model.cost_table(guide),
    "deployed": lambda model, guide: model.deployed_log_likelihood(guide, [DATA]),
    "deploy": lambda model, guide: model.deploy(guide, recalibrate=X),
}


@pytest.mark.parametrize("reader", READERS)
def test_the_model_is_as_it_was(reader):
    model, guide = pair()
    state = {name: value.clone() for name, value in (model.state_dict() | guide.state_dict()).items()}
    modes, random = [one.training for one in model.modules()], torch.get_rng_state()
    READERS[reader](model, guide)
    after = model.state_dict() | guide.state_dict()
    assert all(torch.equal(state[name], after[name]) for name in state)
    assert [one.training for one in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)


def test_nothing_is_dropped_while_it_is_read():
    model, guide = pair()
    first = l0bayes.hardened_elbo(model, guide, DATA, num_draws=4).value
    model.eval()
    assert l0bayes.hardened_elbo(model, guide, DATA, num_draws=4).value == first
