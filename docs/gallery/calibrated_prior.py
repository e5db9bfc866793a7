# %% [markdown]
# # Would this prior be right?
#
# **Question.** Before any response is seen: would PIPs come true on a design like this?

# %%
import numpy as np
import pandas as pd

import l0bayes

rng = np.random.default_rng(0)
design = pd.DataFrame(rng.normal(size=(60, 6)), columns=list("abcdef"))
design["f"] = 0.9 * design["a"] + 0.4 * design["f"]
told = l0bayes.SpikeSlabRegressor(inclusion=0.3, random_state=0).calibrate(design, num_datasets=25)
print(told.words)
axes = l0bayes.plots.plot_calibration(told)

# %% [markdown]
# **Verdict.** Data sets drawn from the model and its prior are fitted, and PIPs compared with what was
# open. That says nothing about a wrong likelihood.
