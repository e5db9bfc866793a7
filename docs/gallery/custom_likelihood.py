# %% [markdown]
# # A likelihood of one's own
#
# **Question.** Waiting times with a constant hazard: can selection take a law that the library does not
# have?

# %%
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd

import l0bayes

file = Path("extending/exponential.py")  # sixty lines: law, derivatives, words
spec = importlib.util.spec_from_file_location("exponential", file)
spec.loader.exec_module(importlib.util.module_from_spec(spec))

rng = np.random.default_rng(0)
columns = pd.DataFrame(rng.normal(size=(150, 5)), columns=list("abcde"))
waiting = rng.exponential(np.exp(1.0 + 0.6 * columns["a"] - 0.4 * columns["c"]))
found = l0bayes.SpikeSlabGLM("exponential", random_state=0).fit(columns, waiting)
print(found.trust_.verdict)
print(found.summary()[["pip", "cond_mean"]].round(2))
axes = l0bayes.plots.plot_inclusion(found.summary())

# %% [markdown]
# **Verdict.** One class in one file, registered by its name. The page on extending has it, with the suite
# that tests it.
