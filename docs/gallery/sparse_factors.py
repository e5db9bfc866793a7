# %% [markdown]
# # Sparse factors
#
# **Question.** Eight measurements are driven by two hidden factors. Which measurement hangs on which?

# %%
import pyro
import pyro.distributions as dist
import torch

import l0bayes
from l0bayes.guides import AutoHardConcrete

torch.set_num_threads(1)
torch.manual_seed(1)
loadings = torch.zeros(2, 8)
loadings[0, :4], loadings[1, 4:] = 1.0, -1.0
data = torch.randn(150, 2) @ loadings + 0.4 * torch.randn(150, 8)


def model(y):
    slab = dist.Normal(0.0, 1.0).expand([2, 8]).to_event(2)
    weight = l0bayes.spike_and_slab("weight", inclusion=0.4, slab=slab)
    noise = pyro.sample("noise", dist.HalfNormal(1.0))
    with pyro.plate("rows", len(y)):
        factor = pyro.sample("factor", dist.Normal(torch.zeros(2), 1.0).to_event(1))
        pyro.sample("y", dist.Normal(factor @ weight, noise).to_event(1), obs=y)


guide = AutoHardConcrete(model, (data,), temperature=0.1)
fit = l0bayes.fit(model, guide, (data,), steps=1200, restarts=2, progress=False)
pip = guide.gates()["weight.gate"].prob_active.detach()
print(pip.round(decimals=2))
axes = l0bayes.plots.plot_gate_map(pip, (2, 8), title="P(measurement hangs on factor)")

# %% [markdown]
# **Verdict.** The blocks appear, up to the order and signs of the factors. Compare restarts before you
# read one of them: another may have them the other way round.
