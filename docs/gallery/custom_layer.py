# %% [markdown]
# # A layer of one's own
#
# **Question.** A layer that keeps its weight the other way round: can it be gated and cut?

# %%
import importlib.util
from pathlib import Path

import torch
from torch import nn

import l0bayes
from l0bayes.distributions import L0Penalty, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Minibatches
from l0bayes.models import SparseNetwork

torch.set_num_threads(1)
spec = importlib.util.spec_from_file_location("projection", Path("extending/projection.py"))
projection = importlib.util.module_from_spec(spec)
spec.loader.exec_module(projection)  # registers its kind of layer

torch.manual_seed(0)
data = l0bayes.datasets.digits()
net = nn.Sequential(projection.Projection(64, 60), nn.ReLU(), projection.Projection(60, 10))
batches = Minibatches(data.train_x, data.train_y, batch_size=77)
prices = {"inclusion": L0Penalty(0.0), "slab": L2Penalty(0.0)}
example = data.train_x[:2]
model = SparseNetwork(net, gates="input", num_data=len(data.train_x), example=example, **prices)
guide = AutoHardConcrete(model, next(iter(batches)), slab="delta", init_active=0.95)
fit = l0bayes.fit(model, guide, batches, epochs=30, lr=5e-3, target="macs:0.3", progress=False)
table = model.layer_table(guide, next(iter(batches)))
print(table[["gates", "deployed open", "dense MACs", "deployed MACs"]])
axes = l0bayes.plots.plot_units(fit.history.to_frame())

# %% [markdown]
# **Verdict.** A few methods say how its parameters hang on units; gates, costs and cutting follow from
# that.
