# %% [markdown]
# # How small?
#
# **Question.** What does a smaller network cost in errors?

# %%
import matplotlib.pyplot as plt
import torch
from torch import nn

import l0bayes
from l0bayes.distributions import L0Penalty, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Minibatches
from l0bayes.models import SparseNetwork

torch.set_num_threads(1)
data = l0bayes.datasets.digits()
batches = Minibatches(data.train_x, data.train_y, batch_size=77)
prices = {"inclusion": L0Penalty(0.0), "slab": L2Penalty(0.0)}
errors = {}
for share in (0.5, 0.2, 0.05, 0.02):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10))
    model = SparseNetwork(net, gates="input", num_data=len(data.train_x), **prices)
    guide = AutoHardConcrete(model, next(iter(batches)), slab="delta", init_active=0.95)
    settings = {"epochs": 20, "lr": 5e-3, "shrink": True, "progress": False}
    l0bayes.fit(model, guide, batches, target=f"macs:{share}", **settings)
    small = model.deploy(guide)
    errors[share] = 100.0 * float((small(data.valid_x).argmax(-1) != data.valid_y).float().mean())
    print(f"macs:{share}: validation error {errors[share]:.1f} %")
figure, axes = plt.subplots(figsize=(4.8, 3.2), layout="constrained")
lines = axes.semilogx(list(errors), list(errors.values()), "o-", color="#1f5f8b")
texts = axes.set(xlabel="share of the dense multiplications", ylabel="validation error, %", ylim=(0, None))

# %% [markdown]
# **Verdict.** Errors rise slowly at first, and fast where hardly a unit is left. Runs are short here; longer
# ones err less. Choose on validation data.
