# %% [markdown]
# # Which genes?
#
# **Question.** Sixty patients, 150 genes, four of which matter. Which, and how sure is that?

# %%
import numpy as np
import pandas as pd

import l0bayes

rng = np.random.default_rng(1)
genes = pd.DataFrame(rng.normal(size=(60, 150)), columns=[f"gene{i}" for i in range(150)])
effects = [1.5, -1.2, 1.0, 0.8]
response = genes[["gene3", "gene50", "gene120", "gene140"]] @ effects + rng.normal(size=60)
found = l0bayes.SpikeSlabRegressor(inclusion=5 / 150, random_state=0).fit(genes, response)
print(found.engine_, found.trust_.verdict)
print(found.summary()[["pip", "cond_mean"]].head(6).round(2))
axes = l0bayes.plots.plot_inclusion(found.summary(), max_rows=15)

# %% [markdown]
# **Verdict.** All four are found, and nothing else. All models cannot be
# listed here: they are sampled, and the verdict says with which error.
