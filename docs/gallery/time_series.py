# %% [markdown]
# # A time series with gated regressors
#
# **Question.** Sales wander, and several things might move them. Which do?

# %%
import pyro
import pyro.distributions as dist
import torch

import l0bayes
from l0bayes.guides import AutoHardConcrete

torch.set_num_threads(1)
torch.manual_seed(0)
weeks, names = 100, ["price", "holiday", "advert", "weather", "rival"]
x = torch.randn(weeks, 5)
y = 0.1 * torch.randn(weeks).cumsum(0) + x[:, :2] @ torch.tensor([-0.8, 0.6]) + 0.4 * torch.randn(weeks)


def model(x, y):
    variance = pyro.sample("variance", dist.InverseGamma(1.0, 1.0))
    beta = l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([5]).to_event(1))
    steps = pyro.sample("steps", dist.Normal(torch.zeros(weeks), 0.1).to_event(1))
    with pyro.plate("weeks", weeks):
        pyro.sample("y", dist.Normal(steps.cumsum(0) + x @ beta, variance.sqrt()), obs=y)


guide = AutoHardConcrete(model, (x, y), temperature=0.1)
fit = l0bayes.fit(model, guide, (x, y), steps=500, progress=False)
refined = l0bayes.refine(fit)
posterior = refined.to_arviz(coords={"column": names}, dims={"beta": ["column"]})
table = l0bayes.gate_table(posterior)
print(refined.engine, table["pip"].round(2).to_dict())
axes = l0bayes.plots.plot_effects(table)

# %% [markdown]
# **Verdict.** Price and holidays do. The wandering level is a part of the model without gates, and refine
# integrates it out.
