# %% [markdown]
# # Two columns that say the same
#
# **Question.** Only one of two nearly equal columns acts on the response. Can the data say which?

# %%
import numpy as np
import pandas as pd

import l0bayes

rng = np.random.default_rng(0)
columns = pd.DataFrame(rng.normal(size=(120, 4)), columns=["left", "other", "third", "fourth"])
columns.insert(1, "right", columns["left"] + 0.1 * rng.normal(size=120))
response = 0.6 * columns["left"] + 0.5 * columns["other"] + rng.normal(size=120)
found = l0bayes.SpikeSlabRegressor(random_state=0).fit(columns, response)
pip, both = found.summary()["pip"], found.joint_inclusion().loc["left", "right"]
print(f"left {pip['left']:.2f}, right {pip['right']:.2f}, both {both:.2f}")
print(f"at least one of them {pip['left'] + pip['right'] - both:.3f}")
axes = l0bayes.plots.plot_joint_inclusion(found.posterior_, list(columns))

# %% [markdown]
# **Verdict.** No: neither PIP is near 0 or 1. That one of the two is needed is certain all the same. Ask
# about the pair.
