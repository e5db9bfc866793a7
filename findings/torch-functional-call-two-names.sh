#!/usr/bin/env bash
# Surprise: torch.func.functional_call, documented to leave the module as it was, leaves it changed where one layer is
# registered under two names (self.second = self.first). After the call the tensor that was passed in stands in the place
# of the parameter: the module computes with it from then on, and an optimiser that was made before trains a parameter
# that nothing reads any more. The output of the call itself is right, nothing warns, and named_parameters() still lists
# the name. With tie_weights=False the module is restored; so is one in which two layers share a parameter.
# Who meets it: whoever takes gradients, Laplace approximations, ensembles or variational draws of a network that uses a
# block twice under two names, as recurrent refinements and weight-shared encoders do.
# Our side: networks are called with replaced parameters by a function of our own, which goes by identity.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.2.6
"$folder/env/bin/python" - <<'PY'
import torch
from torch import nn
from torch.func import functional_call

print("torch", torch.__version__)


class TwoNames(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 2, bias=False)
        self.second = self.first

    def forward(self, x):
        return self.second(self.first(x))


class SharedWeight(TwoNames):
    def __init__(self):
        super().__init__()
        self.second = nn.Linear(2, 2, bias=False)
        self.second.weight = self.first.weight


def restored(net, tie_weights):
    weight, x = net.first.weight, torch.ones(1, 2)
    before = net(x)
    functional_call(net, {"first.weight": 5.0 * torch.eye(2)}, (x,), tie_weights=tie_weights)
    return net.first.weight is weight and torch.equal(net(x), before)


found = {
    "a layer under two names": restored(TwoNames(), True),
    "a layer under two names, tie_weights=False": restored(TwoNames(), False),
    "two layers that share a weight": restored(SharedWeight(), True),
}
for name, value in found.items():
    print(f"{name}: the module is {'as it was' if value else 'changed'} after the call")
assert list(found.values()) == [False, True, True], "changed"
PY
