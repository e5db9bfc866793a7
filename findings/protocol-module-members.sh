#!/usr/bin/env bash
# Surprise: whether a torch module satisfies a runtime-checkable Protocol with a data member depends on the Python that
# runs it. A submodule, parameter or buffer is no attribute in the module's __dict__; nn.Module.__getattr__ finds it.
# isinstance asks hasattr up to Python 3.11 and says True; from 3.12 on it looks attributes up statically and says False,
# though module.net works. typing_extensions has the newer rule on every Python, so that on 3.11 the two Protocols, written
# alike, disagree about one object. Plain attributes and methods are found by both.
# Who meets it: libraries that ask what a model can do by a Protocol ("has .backbone", "has .weight"). Their branch for such
# models is silently left out after an upgrade of Python, or when one file imports Protocol from typing_extensions.
# Our side: what models hand out for such checks is a method.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.2.6 typing_extensions==4.16.0
"$folder/env/bin/python" - <<'PY'
import sys
import typing
from importlib.metadata import version

import torch
import typing_extensions
from torch import nn


def protocols(module):
    @module.runtime_checkable
    class HasBackbone(module.Protocol):
        backbone: nn.Module

    @module.runtime_checkable
    class HasWeight(module.Protocol):
        weight: torch.Tensor

    @module.runtime_checkable
    class HasWidth(module.Protocol):
        width: int

    @module.runtime_checkable
    class CanReset(module.Protocol):
        def reset(self) -> None: ...

    return HasBackbone, HasWeight, HasWidth, CanReset


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(2, 2)
        self.weight = nn.Parameter(torch.zeros(2))
        self.width = 2

    def reset(self):
        pass


print("Python", sys.version.split()[0], "torch", torch.__version__, "typing_extensions", version("typing_extensions"))
model = Model()
found = {
    where: [isinstance(model, one) for one in protocols(module)]
    for where, module in (("typing", typing), ("typing_extensions", typing_extensions))
}
print("members: a submodule, a parameter, a plain attribute, a method")
for where, answers in found.items():
    print(f"{where}: {answers}")
assert isinstance(model.backbone, nn.Module)
assert found["typing_extensions"] == [False, False, True, True], "changed"
older = sys.version_info < (3, 12)
assert found["typing"] == ([True, True, True, True] if older else [False, False, True, True]), "changed"
PY
