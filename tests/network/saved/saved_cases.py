"""Small networks, gated and deployed with about half of their gates shut."""

from __future__ import annotations

import torch
from torch import nn

from l0bayes.guides import AutoHardConcrete
from l0bayes.models import SparseNetwork


def deployed(net, gates, example, *, open_share=0.5, logit=8.0, seed=0):
    """Model, guide and deployed network; gates are as good as decided where ``logit`` is large."""
    rows = example[0] if isinstance(example, tuple) else example
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SparseNetwork(
            net.eval(), gates=gates, example=example, likelihood="gaussian", noise_scale=1.0
        )
        inputs = example if isinstance(example, tuple) else (example,)
        with torch.no_grad():
            y = net(*inputs)
        guide = AutoHardConcrete(model, (*inputs, y), slab="delta", temperature=0.05)
        with torch.no_grad():
            for name, value in guide.named_parameters():
                if name.endswith("log_alpha") or "log_alpha" in name:
                    drawn = torch.rand(value.shape) < open_share
                    value.copy_(torch.where(drawn, logit, -logit))
                    if value.numel() > 1:
                        value.view(-1)[0] = logit
    assert len(rows) > 1
    return model, guide, model.deploy(guide)


def mlp():
    return nn.Sequential(nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 6), nn.Tanh(), nn.Linear(6, 3))


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(6 * 16, 8),
        nn.GELU(),
        nn.Linear(8, 3),
    )


class Encoder(nn.Module):
    """A user's class around torch's own transformer layer."""

    def __init__(self, dim=8, heads=4, hidden=12):
        super().__init__()
        self.scale = 0.5
        self.positions = nn.Parameter(torch.linspace(-1, 1, 5 * dim).reshape(5, dim))
        self.register_buffer("shift", torch.linspace(0, 1, dim))
        self.layer = nn.TransformerEncoderLayer(dim, heads, hidden, dropout=0.0, batch_first=True)
        self.head = nn.Linear(dim, 3)

    def forward(self, x):
        tokens = self.scale * x + self.positions + self.shift
        return self.head(self.layer(tokens).mean(1))


class TwoInputs(nn.Module):
    def __init__(self, hidden=10):
        super().__init__()
        self.left, self.right = nn.Linear(6, hidden), nn.Linear(4, hidden)
        self.out = nn.Linear(hidden, 2)

    def forward(self, a, b):
        return self.out(torch.relu(self.left(a) + self.right(b)))


def rows(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
