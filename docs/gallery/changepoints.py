# %% [markdown]
# # Changepoints
#
# **Question.** A series jumps now and then. Where?

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import l0bayes

rng = np.random.default_rng(0)
level = np.repeat([0.0, 2.0, 0.5], [40, 35, 45])
series = level + 0.7 * rng.normal(size=120)
stairs = np.tril(np.ones((120, 120)))[:, 1:]
jumps = pd.DataFrame(stairs, columns=[f"at {time}" for time in range(1, 120)])
found = l0bayes.SpikeSlabRegressor(inclusion=3 / 119, random_state=0).fit(jumps, series)
print(found.trust_.verdict)
print(found.summary()["pip"].head(5).round(2))
figure, axes = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
axes.plot(series, ".", color="#8c98a1", label="series")
axes.plot(found.predict(jumps), color="#1f5f8b", label="posterior mean")
axes.bar(np.arange(1, 120), found.pip_, color="#c2573f", label="PIP of a jump")
axes.set(xlabel="time", title="A jump is a gated column of a staircase")
legend = figure.legend(loc="outside lower center", frameon=False, ncols=3, fontsize="small")

# %% [markdown]
# **Verdict.** Both jumps are found. Where their place is not sure, neighbouring times share the
# probability.
