#!/usr/bin/env bash
# Surprise: torch.utils.flop_counter.FlopCounterMode counts nothing at all for nn.LSTM in float32 on the CPU, for
# nn.TransformerEncoderLayer in eval mode without gradients, for nn.Bilinear and for torch.cdist, and raises or warns of
# nothing: the total is 0, as if they were free. nn.GRU and nn.LSTMCell of the same sizes are counted.
# Who meets it: whoever states the cost of a recurrent or attention network by the counter that comes with torch, most of
# all in eval mode, where one measures.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.2.6
"$folder/env/bin/python" - <<'PY'
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

print("torch", torch.__version__)


def flops(run):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


x = torch.randn(2, 3, 8)
encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
bilinear, lstm, gru, cell = nn.Bilinear(8, 8, 4), nn.LSTM(8, 16), nn.GRU(8, 16), nn.LSTMCell(8, 16)
found = {
    "nn.LSTM": flops(lambda: lstm(x)),
    "nn.TransformerEncoderLayer, eval mode": flops(lambda: encoder.eval()(x)),
    "nn.Bilinear": flops(lambda: bilinear(x, x)),
    "torch.cdist": flops(lambda: torch.cdist(x, x)),
    "nn.GRU": flops(lambda: gru(x)),
    "nn.LSTMCell": flops(lambda: cell(x[0])),
    "nn.TransformerEncoderLayer, train mode": flops(lambda: encoder.train()(x)),
}
for name, count in found.items():
    print(f"{name}: {count} floating-point operations counted")
counts = list(found.values())
assert counts[:4] == [0, 0, 0, 0], "changed: one of the first four is counted"
assert min(counts[4:]) > 0, "changed: one of the last three is not counted"
PY
