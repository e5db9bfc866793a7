"""Networks in ``channels_last`` have the units, costs and deployed network of contiguous ones."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from l0bayes.distributions import L0Penalty, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.models import SparseNetwork

IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.arange(4) % 3


def head(*middle, maps=6):
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), *middle, nn.Flatten(), nn.Linear(maps, 3))


class Enlarged(nn.Module):
    def __init__(self, mode):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 3), nn.Linear(4, 3)
        self.mode = mode

    def forward(self, x):
        x = F.interpolate(torch.relu(self.a(x)), scale_factor=2, mode=self.mode)
        return self.c(F.adaptive_avg_pool2d(torch.relu(self.b(x)), 1).flatten(1))


NETS = {
    "one mean": lambda: head(nn.ReLU(), nn.AdaptiveAvgPool2d(1)),
    "four means": lambda: head(nn.ReLU(), nn.AdaptiveAvgPool2d(2), maps=24),
    "largest": lambda: head(nn.ReLU(), nn.AdaptiveMaxPool2d(1)),
    "windows": lambda: head(nn.MaxPool2d(2), nn.ReLU(), nn.AvgPool2d(4)),
    "flattened": lambda: head(nn.ReLU(), maps=384),
    "batch norm": lambda: head(nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1)),
    "instance norm": lambda: head(nn.InstanceNorm2d(6, affine=True), nn.AdaptiveAvgPool2d(1)),
    "depthwise": lambda: head(nn.Conv2d(6, 6, 3, groups=6), nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1))),
    "transposed": lambda: head(nn.ConvTranspose2d(6, 4, 2, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), maps=4),
    "pixels and one map": lambda: head(nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 4, 1), nn.ReLU(), maps=4),
    "nearest": lambda: Enlarged("nearest"),
    "bilinear": lambda: Enlarged("bilinear"),
}


def deployed(make, memory_format, example_format):
    torch.manual_seed(0)
    net = make().double().eval().to(memory_format=memory_format)
    images = IMAGES.to(memory_format=memory_format)
    model = SparseNetwork(
        net, "output", L0Penalty(0.0), L2Penalty(0.0), example=IMAGES[:2].to(memory_format=example_format)
    )
    guide = AutoHardConcrete(model, (images, Y), slab="delta")
    with torch.no_grad():
        for site in model.plan.specs:
            logits = guide.gate_values(site)["log_alpha"]
            logits.copy_(torch.where(torch.arange(len(logits)) % 2 == 0, 20.0, -20.0))
    small = model.deploy(guide)
    return {
        "sites": sorted(model.plan.specs),
        "parameters": [tuple(p.shape) for p in small.parameters()],
        "costs": model.cost_table(guide).loc[["dense", "median"]].to_numpy().tolist(),
    }, small(images)


@pytest.mark.parametrize("name", NETS)
def test_they_are_those_of_contiguous_ones(name):
    facts, outputs = deployed(NETS[name], torch.contiguous_format, torch.contiguous_format)
    for example in (torch.channels_last, torch.contiguous_format):
        found, same = deployed(NETS[name], torch.channels_last, example)
        assert found == facts
        torch.testing.assert_close(same, outputs)
    assert facts["parameters"][0][0] == 3


class Strided(nn.Module):
    """Another reading of the same memory: entries change places."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        x = torch.relu(self.a(x)).contiguous()
        return self.b(x.as_strided((len(x), 6), (1, len(x))))


def test_strides_that_move_entries_still_mix_units():
    with pytest.raises(ValueError, match="mixed by as_strided"):
        SparseNetwork(Strided(), "output", example=torch.randn(2, 6))
