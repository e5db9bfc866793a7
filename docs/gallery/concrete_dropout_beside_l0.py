# %% [markdown]
# # Concrete Dropout beside L0
#
# **Question.** Both put concrete gates on units. What does each of them learn?

# %%
import torch
from torch import nn

import l0bayes
from l0bayes.distributions import Gate, L2Penalty
from l0bayes.guides import AutoConcreteDropout, AutoHardConcrete
from l0bayes.infer import Minibatches
from l0bayes.models import SparseNetwork

torch.set_num_threads(1)
data = l0bayes.datasets.digits()
batches = Minibatches(data.train_x, data.train_y, batch_size=77)
priors = {"Concrete Dropout": Gate(0.5), "L0": Gate(log_odds=-3.0)}
for name, prior in priors.items():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 40), nn.ReLU(), nn.Linear(40, 10))
    prices = {"inclusion": prior, "slab": L2Penalty(0.1)}
    model = SparseNetwork(net, gates="input", num_data=len(data.train_x), **prices)
    batch = next(iter(batches))
    dropout = name == "Concrete Dropout"
    guide = (
        AutoConcreteDropout(model, batch)
        if dropout
        else AutoHardConcrete(model, batch, slab="delta", init_active=0.9)
    )
    l0bayes.fit(model, guide, batches, epochs=30, lr=3e-3, gate_lr=5e-2, progress=False)
    pip = guide.gates()["0.gate"].prob_active.detach()
    print(f"{name}: P(pixel is used) from {pip.min():.2f} to {pip.max():.2f}")
axes = l0bayes.plots.plot_gate_map(pip, (8, 8), title="L0: one probability a pixel")

# %% [markdown]
# **Verdict.** Concrete Dropout learns one probability for a layer, for noise of the right size. L0 learns
# one for every unit, and those that shut can be taken out.
