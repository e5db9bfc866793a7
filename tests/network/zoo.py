"""Small networks of every kind that can be gated, each with a placement and a batch of data."""

import torch
from torch import nn
from torch.nn import functional

from l0bayes.network import GateGroup
from l0bayes.testing.laid_out_network import lay_out

__all__ = ["ZOO", "case", "lay_out", "normal", "seeded"]


def seeded(make, *args, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return make(*args, **options).double()


def normal(*shape, seed=2):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Residual(nn.Module):
    """A stem, two pre-activated residual blocks with normalisation, global pooling."""

    def __init__(self, width=4, inner=5, norm=nn.BatchNorm2d):
        super().__init__()
        self.stem = nn.Conv2d(2, width, 3, padding=1, bias=False)
        self.norm1, self.conv1 = norm(width), nn.Conv2d(width, inner, 3, padding=1)
        self.norm2, self.conv2 = norm(inner), nn.Conv2d(inner, width, 3, padding=1)
        self.conv3 = nn.Conv2d(width, width, 3, padding=1)
        self.norm3 = norm(width)
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.conv2(self.norm2(self.conv1(self.norm1(x).relu())).sigmoid())
        x = x + self.conv3(x)
        return self.head(self.norm3(x).relu().mean((2, 3)))


class Inside(nn.Module):
    """A block with its residual connection inside."""

    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x):
        return (x + self.norm(self.conv(x))).relu()


class Branch(nn.Module):
    """Its residual connection stands outside, in the network."""

    def __init__(self, width, hidden):
        super().__init__()
        self.up, self.down = nn.Conv2d(width, hidden, 1), nn.Conv2d(hidden, width, 1)

    def forward(self, x):
        return self.down(self.up(x).sigmoid())


class Blocks(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3)
        self.inside1, self.inside2 = Inside(4), Inside(4)
        self.branch1, self.branch2 = Branch(4, 3), Branch(4, 3)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = self.inside2(self.inside1(self.stem(x)))
        x = x + self.branch1(x)
        x = self.branch2(x) + x
        return self.head(x.mean((2, 3)))


class Branches(nn.Module):
    """Two branches joined by ``cat``, and the data beside them."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(5, 4), nn.Linear(5, 3)
        self.join, self.head = nn.Linear(12, 6), nn.Linear(6, 2)

    def forward(self, x):
        joined = torch.cat([self.left(x).tanh(), x, self.right(x).relu()], -1)
        return self.head(self.join(joined).sigmoid())


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.hidden, self.head = nn.Embedding(11, 6), nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.hidden(self.words(x).mean(1)).tanh())


class Tokens(nn.Module):
    """A transformer encoder layer between two linear layers."""

    def __init__(self, norm_first=False, batch_first=True, activation="gelu"):
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.layer = nn.TransformerEncoderLayer(
            8, 4, 6, 0.0, activation=activation, batch_first=batch_first, norm_first=norm_first
        )
        self.head = nn.Linear(8, 2)
        self.batch_first = batch_first
        for norm in (self.layer.norm1, self.layer.norm2):
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)

    def forward(self, x):
        x = self.embed(x)
        if not self.batch_first:
            return self.head(self.layer(x.transpose(0, 1)).mean(0))
        return self.head(self.layer(x).mean(1))


class Twice(nn.Module):
    """One layer called two times."""

    def __init__(self):
        super().__init__()
        self.first, self.again, self.head = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        x = self.first(x).tanh()
        return self.head(self.again(self.again(x).sigmoid()).relu())


class Excited(nn.Module):
    """Squeeze and excitation: maps multiplied by a function of their own means."""

    def __init__(self):
        super().__init__()
        self.conv, self.squeeze, self.excite = nn.Conv2d(2, 4, 3), nn.Linear(4, 3), nn.Linear(3, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.conv(x)
        x = x * self.excite(self.squeeze(x.mean((2, 3))).relu()).sigmoid()[..., None, None]
        return self.head(functional.adaptive_avg_pool2d(x, 1).flatten(1))


class ResidualUnits(nn.Module):
    """Residual Linear layers, whose "input" gates stand each on the same stream."""

    def __init__(self):
        super().__init__()
        self.first, self.one, self.two, self.head = (nn.Linear(*s) for s in [(2, 3), (3, 3), (3, 3), (3, 2)])

    def forward(self, x):
        x = self.first(x)
        x = x + self.one(x.tanh())
        return self.head(x + self.two(x.sigmoid()))


def mlp():
    sizes = [(5, 4), (4, 3), (3, 2)]
    first, second, third = (nn.Linear(*size) for size in sizes)
    return nn.Sequential(first, nn.Sigmoid(), second, nn.Tanh(), third)


def lenet():
    return nn.Sequential(
        *(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Sigmoid(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 3)),
    )


def separable():
    return nn.Sequential(
        *(nn.Conv2d(2, 5, 1), nn.BatchNorm2d(5), nn.SiLU()),
        *(nn.Conv2d(5, 5, 3, groups=5, padding=1), nn.BatchNorm2d(5), nn.Hardswish()),
        *(nn.Conv2d(5, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)),
    )


def grouped():
    return nn.Sequential(
        *(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3, groups=2, stride=2), nn.Sigmoid()),
        *(nn.Flatten(), nn.Linear(6, 3)),
    )


def one_dimensional():
    return nn.Sequential(
        *(nn.Conv1d(2, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ELU(), nn.MaxPool1d(2)),
        *(nn.Conv1d(4, 3, 2, stride=2), nn.Softplus(), nn.Flatten(), nn.Linear(6, 2)),
    )


def mlp_square():
    first, second, third = nn.Linear(5, 4), nn.Linear(4, 4), nn.Linear(4, 2)
    return nn.Sequential(first, nn.Sigmoid(), second, nn.Tanh(), third)


def square():
    return nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 2))


class Normed(nn.Sequential):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.act = nn.Linear(5, 4), nn.LayerNorm(4), nn.ReLU()
        self.head = nn.Linear(4, 2)


ROWS = GateGroup([[("0.weight", (slice(None), i)), ("0.bias", slice(i, i + 1))] for i in range(4)])

VECTORS, IMAGES, SERIES, SETS = normal(6, 5), normal(6, 2, 6, 6), normal(6, 2, 8), normal(6, 7, 3)
DIGITS = normal(6, 1, 14, 14)
SENTENCES = torch.randint(0, 11, (6, 7), generator=torch.Generator().manual_seed(0))
HEADS = {"layer.self_attn": "heads", "layer.linear2": "input"}

ZOO = {
    "mlp input": (mlp, "input", VECTORS),
    "mlp output": (mlp, "output", VECTORS),
    "mlp weight": (mlp, "weight", VECTORS),
    "mlp with gated output": (mlp, {"0": "output", "4": ["input", "output"]}, VECTORS),
    "mlp units and weights": (mlp, {"2": ["input", "weight"], "4": "weight"}, VECTORS),
    "lenet": (lenet, {"[03]": "output", "8": "input", "10": "input"}, DIGITS),
    "lenet input": (lenet, "input", DIGITS),
    "lenet weight": (lenet, {"0": "weight", "3": ["weight", "output"], "8": ["weight", "input"]}, DIGITS),
    "residual output": (Residual, "output", IMAGES),
    "residual inner": (Residual, {"conv1": "output", "head": "input"}, IMAGES),
    "residual input": (Residual, "input", IMAGES),
    "blocks": (Blocks, {"inside?": "block", "branch?": "block"}, IMAGES),
    "blocks and maps": (Blocks, {"inside?": "block", "branch?": "block", "*.up": "output"}, IMAGES),
    "separable": (separable, {"0": "output", "6": "output"}, IMAGES),
    "separable by depth": (separable, {"3": "output", "9": "input"}, IMAGES),
    "grouped": (grouped, {"0": "output", "2": "output"}, IMAGES),
    "grouped input": (grouped, {"2": "input", "5": "input"}, IMAGES),
    "grouped weight": (grouped, {"2": "weight"}, IMAGES),
    "series": (one_dimensional, {"0": "output", "4": ["output", "weight"], "7": "input"}, SERIES),
    "branches": (Branches, "output", VECTORS),
    "branches input": (Branches, "input", VECTORS),
    "words": (Words, {"words": "output", "head": "input"}, SENTENCES),
    "words input": (Words, "input", SENTENCES),
    "tokens": (Tokens, HEADS, SETS),
    "tokens norm first": (lambda: Tokens(True), HEADS, SETS),
    "tokens sequence first": (lambda: Tokens(batch_first=False), HEADS, SETS),
    "tokens input": (lambda: Tokens(activation="relu"), "input", SETS),
    "tokens heads": (Tokens, "heads", SETS),
    "tokens weight": (Tokens, {"layer.linear?": "weight", "head": ["weight", "input"]}, SETS),
    "twice": (Twice, {"first": "output", "head": "input"}, normal(6, 3)),
    "twice all": (Twice, {"first": "output"}, normal(6, 3)),
    "excited": (Excited, {"conv": "output", "excite": "input"}, IMAGES),
    "residual units": (ResidualUnits, "output", normal(6, 2)),
    "residual units input": (ResidualUnits, "input", normal(6, 2)),
    "units and weights": (ResidualUnits, {"*": ["output", "weight"]}, normal(6, 2)),
    "norm": (Normed, {"norm": "output"}, VECTORS),
    "passed": (mlp_square, {"2": "block", "0": "output"}, VECTORS),
    "passed data": (square, {"0": "block", "2": "input"}, VECTORS),
    "group": (mlp, {"rows": ROWS, "2": "input"}, VECTORS),
}


def case(name):
    make, gates, x = ZOO[name]
    net = seeded(make)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):  # as after training
            module.running_mean.copy_(normal(module.num_features, seed=3))
            module.running_var.copy_(normal(module.num_features, seed=4).exp())
    for parameter in net.parameters():
        if not parameter.any():
            nn.init.normal_(parameter)
    return lay_out(net, gates, x)
