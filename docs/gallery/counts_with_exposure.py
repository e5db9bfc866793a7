# %% [markdown]
# # Counts with exposure
#
# **Question.** Visits of people who were followed for different times. What raises the rate?

# %%
import numpy as np
import pandas as pd

import l0bayes

rng = np.random.default_rng(0)
columns = pd.DataFrame(rng.normal(size=(200, 5)), columns=["age", "bmi", "dose", "sport", "noise"])
days = rng.uniform(30.0, 365.0, 200)
visits = rng.poisson(days / 100.0 * np.exp(0.5 * columns["bmi"] - 0.4 * columns["dose"]))
found = l0bayes.SpikeSlabCountRegressor("poisson", random_state=0).fit(columns, visits, exposure=days)
print(found.trust_.verdict)
print(found.summary()[["pip", "cond_mean"]].round(2))
print(found.predict(columns[:2], exposure=[365.0, 365.0]).round(1), "visits a year")
axes = l0bayes.plots.plot_inclusion(found.summary())

# %% [markdown]
# **Verdict.** With an exposure the effects are on the rate, and a long observation is no effect. Counts
# that vary more than Poisson's take "negative_binomial".
