#!/usr/bin/env bash
# Surprise: in pyro-ppl 1.9.2 a guide that is a normalising flow (AutoIAFNormal) can be copied before its first training
# step and not after it. Its transforms keep the tensors of their last call, which belong to the graph of that step, and
# copy.deepcopy refuses tensors of a graph. Emptying the transforms' caches by hand lets the copy through.
# Who meets it: whoever keeps the best guide of a run by copying it, as for early stopping or several restarts; a guide
# of Normals in its place is copied without trouble.
# Our side: readers and restarts empty the caches of flows before they copy a guide.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
printf 'torch==2.13.0\n' > "$folder/constraints.txt"
"$folder/env/bin/pip" install --quiet --constraint "$folder/constraints.txt" torch pyro-ppl==1.9.2 numpy==2.4.6
cd "$folder"
env/bin/python - <<'PY'
import copy
import importlib.metadata

import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoIAFNormal, AutoNormal

for name in ("pyro-ppl", "torch"):
    print(name, importlib.metadata.version(name))


def model():
    with pyro.plate("columns", 3):
        pyro.sample("weight", dist.Normal(0.0, 1.0))
    pyro.sample("noise", dist.HalfNormal(1.0))


def copied(guide):
    try:
        copy.deepcopy(guide)
    except RuntimeError as error:
        return str(error).split(".")[0]
    return "copied"


found = {}
for kind in (AutoNormal, AutoIAFNormal):
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    guide = kind(model)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.01}), Trace_ELBO())
    svi.step()
    found[kind.__name__] = copied(guide)
    print(f"{kind.__name__} after one step:", found[kind.__name__])
for module in guide.modules():
    if hasattr(module, "_cached_x_y"):
        module._cached_x_y = None, None
    if hasattr(module, "_cached_log_scale"):
        module._cached_log_scale = None
emptied = copied(guide)
print("with its caches emptied:", emptied)
assert found["AutoNormal"] == "copied", "changed: a guide of Normals is not copied"
assert found["AutoIAFNormal"] != "copied", "changed: a flow is copied after a step"
assert emptied == "copied", "changed: something else keeps a graph"
PY
