#!/usr/bin/env bash
# Surprise: nn.TransformerEncoderLayer never calls a layer that was put in the place of one of its own once it is in
# eval mode and no gradients are needed. Its fused path reads weight and bias of linear1, linear2, norm1 and norm2, so
# that the forward of a subclass of nn.Linear or nn.LayerNorm is left out without a word: the same weights and inputs
# give one output with gradients and another one under torch.no_grad(). A forward hook on the layer, which should change
# the output in the same way, is honoured.
# Who meets it: whoever puts an adapter (LoRA and its kin), a quantised or a gated Linear into an encoder layer and then
# evaluates it. Validation scores are those of the network without the adapter.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.2.6
"$folder/env/bin/python" - <<'PY'
import torch
from torch import nn

print("torch", torch.__version__)


class Adapted(nn.Linear):
    def forward(self, x):
        return 2.0 * super().forward(x)


class Doubled(nn.LayerNorm):
    def forward(self, x):
        return 2.0 * super().forward(x)


def layer():
    torch.manual_seed(0)
    return nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)


def gap(net, x):
    net.eval()
    with_gradients = net(x).detach()
    with torch.no_grad():
        return float((with_gradients - net(x)).abs().max())


x = torch.randn(4, 5, 8, generator=torch.Generator().manual_seed(1))
gaps = {"as it is": gap(layer(), x)}
for place, kind, sizes in (("linear1", Adapted, (8, 16)), ("linear2", Adapted, (16, 8)), ("norm2", Doubled, (8,))):
    net = layer()
    new = kind(*sizes)
    new.load_state_dict(getattr(net, place).state_dict())
    setattr(net, place, new)
    gaps[f"{place} a subclass of {kind.__base__.__name__}"] = gap(net, x)
hooked = layer()
hooked.linear1.register_forward_hook(lambda module, inputs, output: 2.0 * output)
gaps["a hook on linear1"] = gap(hooked, x)
for name, value in gaps.items():
    print(f"eval mode, {name}: outputs with and without gradients differ by {value:.3g}")
replaced = [value for name, value in gaps.items() if "subclass" in name]
assert gaps["as it is"] < 1e-5 and gaps["a hook on linear1"] < 1e-5, "changed: these agreed"
assert min(replaced) > 0.01, "changed: the replaced layers are called"
PY
