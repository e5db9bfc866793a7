# %% [markdown]
# # Products with their parents
#
# **Question.** Which products of columns matter, if a product may only enter with both of its parents?

# %%
import itertools

import numpy as np
import pandas as pd

import l0bayes

rng = np.random.default_rng(2)
columns = pd.DataFrame(rng.normal(size=(150, 4)), columns=list("abcd"))
for one, other in itertools.combinations("abcd", 2):
    columns[f"{one}:{other}"] = columns[one] * columns[other]
response = 0.5 * columns["a"] + 0.6 * columns["a:b"] + rng.normal(size=150)
for heredity in (None, "strong"):
    estimator = l0bayes.SpikeSlabRegressor(inclusion=0.3, heredity=heredity, random_state=0)
    found = estimator.fit(columns, response)
    print(heredity, found.summary()["pip"][["a", "b", "a:b", "c:d"]].round(2).to_dict())
axes = l0bayes.plots.plot_inclusion(found.summary())

# %% [markdown]
# **Verdict.** Without a rule the product enters alone. Under strong heredity its parent b comes in with
# it, and products of columns that do nothing are held back.
