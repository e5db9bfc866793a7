# %% [markdown]
# # Which pixels does a network read?
#
# **Question.** A network for digits of 8 by 8 pixels: which pixels can be left out?

# %%
import torch
from torch import nn

import l0bayes
from l0bayes.distributions import L0Penalty, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Minibatches
from l0bayes.models import SparseNetwork

torch.set_num_threads(1)
torch.manual_seed(0)
data = l0bayes.datasets.digits()
net = nn.Sequential(nn.Linear(64, 60), nn.ReLU(), nn.Linear(60, 10))
batches = Minibatches(data.train_x, data.train_y, batch_size=77)
prices = {"inclusion": L0Penalty(0.0), "slab": L2Penalty(0.0)}
model = SparseNetwork(net, gates={"0": "input"}, num_data=len(data.train_x), **prices)
guide = AutoHardConcrete(model, next(iter(batches)), slab="delta", init_active=0.95)
l0bayes.fit(model, guide, batches, epochs=40, lr=3e-3, target="units:0.5", shrink=True, progress=False)
small = model.deploy(guide)
error = (small(data.valid_x).argmax(-1) != data.valid_y).float().mean()
print(f"{small[0].in_features} of 64 pixels, validation error {error:.1%}")
axes = l0bayes.plots.plot_gate_map(guide.gates()["0.gate"].prob_active, (8, 8))

# %% [markdown]
# **Verdict.** Half of them will do: those at the sides are nearly always empty.
