# %% [markdown]
# # Gradients of gates compared
#
# **Question.** Relaxed gates have gradients with a bias, binary gates ones with more variance. How much of
# each?

# %%
import torch

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.models import SparseRegression

torch.set_num_threads(1)
torch.manual_seed(0)
x = torch.randn(50, 6)
y = x[:, 0] - 0.5 * x[:, 1] + 0.5 * torch.randn(50)
model = SparseRegression(6, noise_scale=0.5)
guide = AutoHardConcrete(model, (x, y)).perturb(0, gates=1.0, locs=0.7)  # on its way
report = l0bayes.gradient_report(model, guide, (x, y), num_draws=1000)
print(report.table[["bias", "relative_variance"]].round(2))
left, right = l0bayes.plots.plot_gradients(report)

# %% [markdown]
# **Verdict.** Relaxations scatter less and are off by a part of the gradient; estimators of binary gates
# are right on average and scatter more.
