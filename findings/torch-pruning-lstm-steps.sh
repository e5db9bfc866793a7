#!/usr/bin/env bash
# Surprise: torch-pruning 1.6.1 takes the first example of a recurrent layer's input for the input. With batch_first=True
# one example of 40 steps and 16 features through an LSTM of 32 units is counted at 4,300,800 operations where 245,760
# multiplications run: the features are counted as steps once more. With the layout that is torch's default it is 2,688,
# and the longer the sequence, the less: 21,504 for 5 steps and 1,344 for 80.
# Who meets it: whoever reports how much smaller a pruned recurrent network is by count_ops_and_params, or asks for a share
# of its operations: features that are pruned away lower the count twice.
# Our side: recurrent layers are counted step by step, and tests compare the counts with formulas.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
printf 'torch==2.13.0\n' > "$folder/constraints.txt"
"$folder/env/bin/pip" install --quiet --constraint "$folder/constraints.txt" torch numpy==2.4.6
"$folder/env/bin/pip" install --quiet --no-deps torch-pruning==1.6.1
cd "$folder"
env/bin/python - <<'PY'
import importlib.metadata

import torch
import torch_pruning
from torch import nn

FEATURES, UNITS = 16, 32
for name in ("torch-pruning", "torch"):
    print(name, importlib.metadata.version(name))


class Last(nn.Module):
    def __init__(self, batch_first):
        super().__init__()
        self.recurrent = nn.LSTM(FEATURES, UNITS, batch_first=batch_first)
        self.batch_first = batch_first

    def forward(self, x):
        found = self.recurrent(x)[0]
        return found[:, -1] if self.batch_first else found[-1]


counted = {}
for batch_first in (True, False):
    for steps in (5, 40, 80):
        x = torch.randn(1, steps, FEATURES) if batch_first else torch.randn(steps, 1, FEATURES)
        found, _ = torch_pruning.utils.count_ops_and_params(Last(batch_first).eval(), x)
        counted[batch_first, steps] = found
        products = steps * 4 * UNITS * (FEATURES + UNITS)
        print(f"batch_first={batch_first}, {steps} steps: counted {found:,.0f}, multiplications that run {products:,}")
assert counted[True, 40] > 15 * 40 * 4 * UNITS * (FEATURES + UNITS), "changed: features are no longer counted as steps"
assert counted[False, 5] > counted[False, 80], "changed: longer sequences no longer cost less"
PY
