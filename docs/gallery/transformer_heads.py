# %% [markdown]
# # Heads of a small transformer
#
# **Question.** A layer has four heads of attention and 32 hidden units. What does the task need?

# %%
import torch
from torch import nn

import l0bayes
from l0bayes.distributions import L0Penalty, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Minibatches
from l0bayes.models import SparseNetwork

torch.set_num_threads(1)


class Reader(nn.Module):
    """The eight rows of a digit are eight tokens."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(8, 16)
        self.place = nn.Parameter(torch.zeros(8, 16))
        self.layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)
        self.read = nn.Linear(16, 10)

    def forward(self, x):
        return self.read(self.layer(self.embed(x.view(-1, 8, 8)) + self.place).mean(1))


torch.manual_seed(0)
data = l0bayes.datasets.digits()
batches = Minibatches(data.train_x, data.train_y, batch_size=77)
model = SparseNetwork(
    Reader(),
    gates={"layer.self_attn": "heads", "layer.linear2": "input"},
    inclusion=L0Penalty(0.0),
    slab=L2Penalty(0.0),
    num_data=len(data.train_x),
    example=data.train_x[:2],
)
guide = AutoHardConcrete(model, next(iter(batches)), slab="delta", init_active=0.95)
settings = {"epochs": 20, "lr": 5e-3, "shrink": True, "progress": False}
fit = l0bayes.fit(model, guide, batches, target="macs:0.6", **settings)
small = model.deploy(guide)
error = (small(data.valid_x).argmax(-1) != data.valid_y).float().mean()
print(model.layer_table(guide, next(iter(batches)))[["gates on", "gates", "deployed open"]])
print(f"validation error {error:.1%}")
axes = l0bayes.plots.plot_costs(fit.history.to_frame())

# %% [markdown]
# **Verdict.** Heads and hidden units are gated together, and the target shares out what may stay. The
# small one is an ordinary module with smaller parts.
