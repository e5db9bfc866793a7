"""A 5-4-3-2 network and its sparse versions."""

import torch
from torch import nn

from l0bayes.guides import AutoHardConcrete

X = torch.randn(8, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
PLACEMENTS = [
    "input",
    "output",
    "weight",
    {"0": "input", "2": "weight", "4": "input"},
    {"0": "output", "4": "output"},
    {"2": "input", "4": "weight"},
    {},
]


def dense(activation=nn.ReLU, last=None):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        modules = [nn.Linear(5, 4), activation(), nn.Linear(4, 3), activation(), nn.Linear(3, 2)]
        return nn.Sequential(*modules, *([] if last is None else [last])).double()


def data_for(model):
    generator = torch.Generator().manual_seed(3)
    if model.likelihood.name == "categorical":
        return X, torch.randint(0, 2, (8,), generator=generator)
    if model.likelihood.name == "bernoulli":
        return X, torch.randint(0, 2, (8, 2), generator=generator).double()
    return X, torch.randn(8, 2, generator=generator, dtype=torch.float64)


def set_gates(guide, value):
    with torch.no_grad():
        for parameter in guide.gate_parameters():
            parameter.fill_(value)
    return guide


def values_of(model, seed=0):
    """A draw of every latent, from a guide that has moved."""
    guide = AutoHardConcrete(model, data_for(model)).perturb(seed, gates=1.0, locs=0.3)
    return {name: value.detach() for name, value in guide(*data_for(model)).items()}


def state_of(module):
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
