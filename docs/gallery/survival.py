# %% [markdown]
# # Survival times
#
# **Question.** Some people are still alive when the study ends. Which columns change the hazard?

# %%
import numpy as np
import pandas as pd

import l0bayes

rng = np.random.default_rng(0)
columns = pd.DataFrame(rng.normal(size=(150, 5)), columns=["age", "stage", "dose", "sport", "noise"])
lifetime = rng.exponential(np.exp(-0.8 * columns["stage"] + 0.5 * columns["dose"]))
end = rng.uniform(0.5, 3.0, 150)
time, died = np.minimum(lifetime, end), lifetime <= end
found = l0bayes.SpikeSlabCox(random_state=0).fit(columns, time, event=died)
print(f"{died.sum()} of {len(died)} died, {found.trust_.verdict}")
print(found.summary()[["pip", "cond_mean"]].round(2))
print(f"Harrell's C {found.score(columns, time, event=died):.2f}")
axes = l0bayes.plots.plot_conditional_effects(found.summary())

# %% [markdown]
# **Verdict.** Stage and dose do. The baseline hazard is never needed, as in Cox's regression.
