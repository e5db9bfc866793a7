# %% [markdown]
# # From BAS, BMS and BayesFactor
#
# **Question.** The same numbers as in R: which argument is which?

# %%
from sklearn.datasets import load_diabetes

import l0bayes

table = load_diabetes(as_frame=True, scaled=False).frame
columns, response = table.drop(columns="target"), table["target"]
elsewhere = {"g": "BAS g-prior, BMS UIP", "hyper-g": "BAS hyper-g, BMS hyper=3", "jzs": "BayesFactor"}
for slab, name in elsewhere.items():
    found = l0bayes.SpikeSlabRegressor(slab=slab, inclusion=0.5).fit(columns, response)
    print(f"{name:25}", found.summary()["pip"][["s1", "s2", "s3", "s4"]].round(3).to_dict())
axes = l0bayes.plots.plot_model_size(found.posterior_)

# %% [markdown]
# **Verdict.** The slab is the prior of the coefficients, the inclusion that of the models. The page on
# selection has the whole table.
