# %% [markdown]
# # Residual blocks
#
# **Question.** How deep must a residual network be?

# %%
import torch
from torch import nn

import l0bayes
from l0bayes.distributions import Gate, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Minibatches
from l0bayes.models import SparseNetwork

torch.set_num_threads(1)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(32, 32), nn.Linear(32, 32)

    def forward(self, x):
        return x + self.two(torch.relu(self.one(x)))


torch.manual_seed(0)
data = l0bayes.datasets.digits()
net = nn.Sequential(nn.Linear(64, 32), *(Block() for _ in range(4)), nn.ReLU(), nn.Linear(32, 10))
batches = Minibatches(data.train_x, data.train_y, batch_size=77)
prices = {"inclusion": Gate(log_odds=-300.0), "slab": L2Penalty(1.0)}
model = SparseNetwork(net, gates="block", num_data=len(data.train_x), **prices)
guide = AutoHardConcrete(model, next(iter(batches)), slab="delta", init_active=0.9)
fit = l0bayes.fit(model, guide, batches, epochs=25, lr=3e-3, gate_lr=0.1, progress=False)
small = model.deploy(guide)
print([type(part).__name__ for part in small])
error = (small(data.valid_x).argmax(-1) != data.valid_y).float().mean()
print(f"validation error {error:.1%}")
left, right = l0bayes.plots.plot_training(fit)

# %% [markdown]
# **Verdict.** Not deep: at a price of 300 nats, on all images together, none of the four blocks stays, and
# the network errs no more without them. A gate on a block carries a large decision: try several prices and
# seeds.
