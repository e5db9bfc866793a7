#!/usr/bin/env bash
# Surprise: pyro.plate("rows", N, subsample_size=B) draws a permutation of all N rows every time the model runs, also
# where the indices are not used because the batch comes from a loader. A step then takes time in proportion to N and not
# to B: at N = 10 million and B = 1,000 well over fifty times as long as with subsample=torch.arange(B), which says the
# same (the log likelihood is scaled by N / B) and draws nothing.
# Who meets it: whoever trains by SVI on minibatches of a large table and tells the plate its size and the batch's.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet pyro-ppl==1.9.2 torch==2.13.0 numpy==2.2.6
OMP_NUM_THREADS=1 "$folder/env/bin/python" - <<'PY'
import time

import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal

torch.set_num_threads(1)
print("pyro", pyro.__version__, "torch", torch.__version__)
BATCH = 1000
x = torch.randn(BATCH, 5, generator=torch.Generator().manual_seed(0))
y = x[:, 0]


def step_time(rows, **how):
    def model(x, y):
        slopes = pyro.sample("slopes", dist.Normal(torch.zeros(5), 1.0).to_event(1))
        with pyro.plate("rows", rows, **how):
            pyro.sample("y", dist.Normal(x @ slopes, 1.0), obs=y)

    pyro.clear_param_store()
    svi = SVI(model, AutoNormal(model), pyro.optim.Adam({"lr": 0.01}), Trace_ELBO())
    times = []
    for _ in range(8):
        begin = time.thread_time()
        svi.step(x, y)
        times.append(time.thread_time() - begin)
    return sorted(times)[4]


ratios = {}
for rows in (10**4, 10**7):
    drawn = step_time(rows, subsample_size=BATCH)
    given = step_time(rows, subsample=torch.arange(BATCH))
    ratios[rows] = drawn / given
    print(f"{rows:,} rows: {1e3 * drawn:.1f} ms with subsample_size, {1e3 * given:.1f} ms with subsample")
assert ratios[10**4] < 5, "changed: few rows are slow too"
assert ratios[10**7] > 20, "changed: the time no longer grows with the rows"
PY
