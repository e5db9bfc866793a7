# %% [markdown]
# # Is a sparse network as sure as it is right?
#
# **Question.** A network with gates, averaged over draws of them, beside the dense one: how good
# are its probabilities?

# %%
import torch
from torch import nn

import l0bayes
from l0bayes.distributions import Gate, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Minibatches
from l0bayes.models import SparseNetwork
from l0bayes.posterior import predict

torch.set_num_threads(1)
torch.manual_seed(0)
data = l0bayes.datasets.digits()
batches = Minibatches(data.train_x, data.train_y, batch_size=77)
dense = nn.Sequential(nn.Linear(64, 50), nn.ReLU(), nn.Linear(50, 10))
optimizer = torch.optim.Adam(dense.parameters(), lr=5e-3)
for epoch in range(30):
    for x, y in batches.epoch(epoch):
        optimizer.zero_grad()
        nn.functional.cross_entropy(dense(x), y).backward()
        optimizer.step()
prices = {"inclusion": Gate(log_odds=-4.0), "slab": L2Penalty(1.0)}
model = SparseNetwork(dense, gates="input", num_data=len(data.train_x), **prices)
guide = AutoHardConcrete(model, next(iter(batches)), slab="delta", init_active=0.9)
l0bayes.fit(model, guide, batches, epochs=40, lr=3e-3, gate_lr=3e-2, progress=False)
with torch.no_grad():
    found = {"dense": dense(data.valid_x).softmax(-1)}
found["averaged"] = predict(model, guide, (data.valid_x,), num_draws=100).softmax(-1).mean(0)
for name, probabilities in found.items():
    print(f"{name}: error {(probabilities.argmax(-1) != data.valid_y).float().mean():.1%}")
axes = l0bayes.plots.plot_reliability(found, data.valid_y)

# %% [markdown]
# **Verdict.** The legend has both calibration errors. Averaging doubts where draws disagree, and may doubt
# too much: look at your own curve before you rely on it.
