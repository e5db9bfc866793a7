# %% [markdown]
# # Does it depend on the prior?
#
# **Question.** Would the same columns be found with a narrower or wider slab, and with other prior
# probabilities?

# %%
from sklearn.datasets import load_diabetes

import l0bayes

table = load_diabetes(as_frame=True, scaled=False).frame
found = l0bayes.SpikeSlabRegressor(random_state=0).fit(table.drop(columns="target"), table["target"])
changed = found.sensitivity(slab_scale=[0.25, 0.5, 1.0], inclusion=[0.2, 0.5, (1, 1)])
print(changed.attrs["words"][0])
axes = l0bayes.plots.plot_sensitivity(changed)

# %% [markdown]
# **Verdict.** What is certain under one prior is certain under all of them. What crosses one half is told
# by name: there the data leave it to the prior.
