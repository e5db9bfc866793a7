#!/usr/bin/env bash
# Surprise: a method that Lightning Fabric was told to treat like forward (mark_forward_method) runs without Fabric's
# precision where there is one device: under "bf16-mixed" it computes in float32 and outside autocast, under "bf16-true"
# it fails on inputs that forward takes. Under the strategy "ddp", with the same single device, both are as in forward.
# Who meets it: whoever trains by a method other than forward, such as a loss, an ELBO or a generation step of a
# module, and tries it on one machine first: its time, memory and numbers there are those of float32, without a word.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.2.6 lightning-fabric==2.6.6
OMP_NUM_THREADS=1 "$folder/env/bin/python" - <<'PY'
import logging

import lightning_fabric
import torch
from lightning_fabric import Fabric
from torch import nn

logging.disable(logging.INFO)
print("lightning-fabric", lightning_fabric.__version__, "torch", torch.__version__)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x):
        return self.loss(x)

    def loss(self, x):
        self.computed_in = self.layer(x).dtype
        return self.layer(x).square().mean()


def computed_in(strategy, precision, method):
    fabric = Fabric(accelerator="cpu", devices=1, strategy=strategy, precision=precision)
    fabric.launch()
    inner = Net()
    net = fabric.setup(inner)
    net.mark_forward_method("loss")
    try:
        getattr(net, method)(torch.ones(2, 8))
    except RuntimeError as error:
        return f"RuntimeError ({error})"
    return str(inner.computed_in).removeprefix("torch.")


seen = {}
for precision in ("bf16-mixed", "bf16-true"):
    for strategy in ("auto", "ddp"):
        for method in ("forward", "loss"):
            found = computed_in(strategy, precision, "__call__" if method == "forward" else method)
            seen[precision, strategy, method] = found
            print(f"{precision}, strategy {strategy}, {method}: {found}")
for key, found in seen.items():
    if key[1:] != ("auto", "loss"):
        assert found == "bfloat16", f"changed: {key} computes in {found}"
assert seen["bf16-mixed", "auto", "loss"] == "float32", "changed: the precision reaches the marked method"
assert "same dtype" in seen["bf16-true", "auto", "loss"], "changed: the precision reaches the marked method"
PY
