# %% [markdown]
# # Rare events
#
# **Question.** A few of a hundred cases are positive. Which columns raise the odds?

# %%
import numpy as np
import pandas as pd

import l0bayes

rng = np.random.default_rng(0)
columns = pd.DataFrame(rng.normal(size=(600, 6)), columns=list("abcdef"))
odds = np.exp(-3.4 + 1.0 * columns["a"] - 0.7 * columns["b"])
event = rng.uniform(size=600) < odds / (1.0 + odds)
found = l0bayes.SpikeSlabClassifier(random_state=0).fit(columns, event)
print(f"{event.sum()} events, {found.engine_}, {found.trust_.verdict}")
print(found.summary()[["pip", "cond_mean", "cond_hdi_low", "cond_hdi_high"]].round(2))
axes = l0bayes.plots.plot_conditional_effects(found.summary())

# %% [markdown]
# **Verdict.** A few dozen events are enough for the two columns that act. It is the number of events that
# decides, not the number of cases.
