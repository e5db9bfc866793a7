# %% [markdown]
# # Outliers
#
# **Question.** One row in twenty is off by a lot. Does that hide the effects?

# %%
import numpy as np
import pandas as pd

import l0bayes

rng = np.random.default_rng(3)
columns = pd.DataFrame(rng.normal(size=(100, 4)), columns=list("abcd"))
response = (0.5 * columns["a"] - 0.5 * columns["b"] + 0.5 * rng.normal(size=100)).to_numpy().copy()
response[::20] += 30.0
for kind in (l0bayes.SpikeSlabRegressor, l0bayes.SpikeSlabRobustRegressor):
    found = kind(random_state=0).fit(columns, response)
    print(kind.__name__, found.summary()["pip"][list("abcd")].round(2).to_dict())
axes = l0bayes.plots.plot_inclusion(found.summary())

# %% [markdown]
# **Verdict.** Under Normal noise it does, under Student-t noise it does not, and no row was dropped.
