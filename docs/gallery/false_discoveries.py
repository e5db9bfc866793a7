# %% [markdown]
# # How many of the selected are false?
#
# **Question.** Of forty columns six act. How long a list can be had with at most one in ten false?

# %%
import numpy as np
import pandas as pd

import l0bayes

rng = np.random.default_rng(4)
columns = pd.DataFrame(rng.normal(size=(150, 40)), columns=[f"x{i}" for i in range(40)])
response = columns.iloc[:, :6] @ [0.8, 0.6, 0.5, 0.4, 0.3, 0.2] + rng.normal(size=150)
found = l0bayes.SpikeSlabRegressor(random_state=0).fit(columns, response)
print("chosen:", ", ".join(found.summary().query("bfdr_q < 0.1").index))
axes = l0bayes.plots.plot_fdr(found.summary())

# %% [markdown]
# **Verdict.** bfdr_q is the share of false ones to expect in the list that ends with that row: one of the
# six chosen is false here, and the smallest effect is not in the list. The rate is a promise on average, and
# a low PIP no proof of absence.
