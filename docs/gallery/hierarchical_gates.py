# %% [markdown]
# # Effects that differ between clinics
#
# **Question.** Which effects are there at all, and which differ from clinic to clinic?

# %%
import torch

import l0bayes
from l0bayes.apps.demo.clinics_act import COLUMNS, clinics_data, clinics_model
from l0bayes.guides import AutoHardConcrete

torch.set_num_threads(1)
data = clinics_data(patients=240)
guide = AutoHardConcrete(clinics_model, data, temperature=0.1)
fit = l0bayes.fit(clinics_model, guide, data, steps=400, progress=False)
for site in ("effect.gate", "differs"):
    pip = guide.gates()[site].prob_active
    print(site, {name: round(float(value), 2) for name, value in zip(COLUMNS, pip, strict=True)})
print(l0bayes.trust(fit).verdict)
left, right = l0bayes.plots.plot_training(fit)

# %% [markdown]
# **Verdict.** Gates are sites of a Pyro model like any other: here one is shared by a plate of clinics.
# The verdict asks for more than this fit; l0bayes clinics refines it by all 256 models.
