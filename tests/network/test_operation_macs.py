"""Products that torch's own counter leaves out, against formulas by hand and sums written out."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from l0bayes.models import SparseNetwork
from l0bayes.network import count_macs
from l0bayes.network.operation_macs import operation_macs
from tests.network.zoo import normal

pytestmark = pytest.mark.usefixtures("float64")


class Does(nn.Module):
    """A function as a network of one argument."""

    def __init__(self, run):
        super().__init__()
        self.run = run

    def forward(self, x):
        return self.run(x)


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.both, self.last = nn.Linear(4, 3), nn.Bilinear(3, 2, 5), nn.Linear(5, 2)

    def forward(self, x):
        x = self.first(x).relu()
        return self.last(self.both(x, x[..., :2]))


@pytest.mark.parametrize("shape", [(1, 4), (2, 4), (2, 7, 4)])
def test_a_bilinear_layer_multiplies_once_by_every_weight(shape):
    positions = torch.Size(shape[1:-1]).numel()
    assert count_macs(Pair(), (normal(*shape),)) == positions * (4 * 3 + 3 * 2 * 5 + 5 * 2)


def test_a_bilinear_layer_is_part_of_the_cost():
    model = SparseNetwork(Pair(), gates={"last": "input"})
    assert model.cost.dense["macs"] == 12 + 30 + 10


@pytest.mark.parametrize("expanded", [((1, 3), (0,), (1, 2)), ((2, 3), (), (1,)), ((), (0, 1), (0,))])
def test_terms_of_a_trilinear_sum(expanded):
    """As many as a tensor of all products has entries."""
    full = (4, 5, 3, 2)
    factors = [
        normal(*(size for dim, size in enumerate(full) if dim not in left)) if left else normal(*full)
        for left in expanded
    ]
    out = torch._trilinear(*factors, *map(list, expanded), [2, 3])
    unsqueezed = [
        x.reshape([1 if d in left else n for d, n in enumerate(full)])
        for x, left in zip(factors, expanded, strict=True)
    ]
    terms = unsqueezed[0] * unsqueezed[1] * unsqueezed[2]
    torch.testing.assert_close(out, terms.sum((2, 3)))
    args = (*factors, *map(list, expanded), [2, 3])
    assert operation_macs(torch.ops.aten._trilinear.default, args, {}, out) == terms.numel()


def attention(**options):
    return lambda q: functional.scaled_dot_product_attention(q, q[..., :3, :], q[..., :3, :], **options)


@pytest.mark.parametrize(
    ("run", "shape", "macs"),
    [
        (lambda x: torch.baddbmm(torch.ones(()), x, torch.ones(2, 4, 7)), (2, 5, 4), 5 * 4 * 7),
        (lambda x: torch.addbmm(torch.ones(5, 7), x, torch.ones(2, 4, 7)), (2, 5, 4), 5 * 4 * 7),
        (lambda x: torch.addmm(torch.ones(7), x, torch.ones(4, 7)), (2, 4), 4 * 7),
        (lambda x: torch.addmv(torch.ones(2), x, torch.ones(4)), (2, 4), 4),
        (lambda x: torch.cdist(x, torch.ones(6, 4)), (2, 4), 6 * 4),
        (lambda x: torch.cdist(x, torch.ones(30, 4)), (26, 5, 4), 5 * 30 * 4),
        (lambda x: torch.cdist(x, torch.ones(6, 4), p=1.0), (2, 4), 0),
        (functional.pdist, (2, 4), 4 / 2),
        (
            lambda x: torch.conv_tbc(x.transpose(0, 1).contiguous(), torch.ones(3, 4, 7), torch.ones(7)),
            (2, 5, 4),
            3 * 7 * 3 * 4,
        ),
        (attention(), (2, 3, 5, 4), 2 * 3 * 5 * 3 * 4),
        (attention(is_causal=True), (2, 3, 5, 4), 2 * 3 * 5 * 3 * 4),
        (attention(attn_mask=torch.ones(5, 3).bool()), (2, 3, 5, 4), 2 * 3 * 5 * 3 * 4),
        (lambda x: functional.affine_grid(x, [len(x), 3, 5, 6]), (2, 2, 3), 5 * 6 * 2 * 3),
        (lambda x: functional.affine_grid(x, [len(x), 3, 5, 6, 2]), (2, 3, 4), 5 * 6 * 2 * 3 * 4),
        (lambda x: functional.grid_sample(x, torch.zeros(len(x), 5, 6, 2)), (2, 3, 4, 4), 3 * 5 * 6 * 4),
        (
            lambda x: functional.grid_sample(x, torch.zeros(len(x), 5, 6, 2), mode="nearest"),
            (2, 3, 4, 4),
            0,
        ),
        (lambda x: functional.conv2d(x, torch.ones(3, 1, 3, 3), groups=3), (2, 3, 6, 6), 3 * 16 * 9),
    ],
)
@pytest.mark.filterwarnings("ignore:Default grid_sample and affine_grid behavior")
def test_products_by_hand(run, shape, macs):
    assert count_macs(Does(run), (normal(*shape),)) == macs


@pytest.mark.parametrize("p", [3.0, 2.5])
def test_powers_are_not_known(p):
    with pytest.warns(UserWarning, match="_cdist_forward are unknown"):
        count_macs(Does(lambda x: torch.cdist(x, torch.ones(6, 4), p=p)), (normal(2, 4),))


def test_bicubic_samples_are_not_known():
    grid = torch.zeros(1, 5, 6, 2)
    net = Does(lambda x: functional.grid_sample(x, grid, mode="bicubic", align_corners=False))
    with pytest.warns(UserWarning, match="grid_sampler_2d are unknown"):
        count_macs(net, (normal(1, 3, 4, 4),))


X, WEIGHT, OUT = (torch.empty(*shape, device="meta") for shape in ((2, 6, 8, 8), (4, 6, 3, 3), (2, 4, 6, 6)))
WIDE = torch.empty(2, 6, 10, 10, device="meta")


@pytest.mark.parametrize(
    ("name", "args", "out", "macs"),
    [
        ("slow_conv_dilated2d", (X, WEIGHT, [3, 3]), OUT, OUT.numel() * 54),
        ("cudnn_convolution_relu", (X, WEIGHT), OUT, OUT.numel() * 54),
        ("mkldnn_convolution", (X, WEIGHT), OUT, OUT.numel() * 54),
        ("slow_conv_transpose2d", (OUT, WEIGHT, [3, 3]), X, OUT.numel() * 54),
        ("_conv_depthwise2d", (X, torch.empty(6, 1, 3, 3)), torch.empty(2, 6, 6, 6), 2 * 6 * 36 * 9),
        ("_grouped_mm", (torch.empty(8, 4), torch.empty(2, 4, 5)), None, 8 * 4 * 5),
        ("_grouped_mm", (torch.empty(2, 8, 4), torch.empty(4, 6)), None, 8 * 4 * 6),
        ("_grouped_mm", (torch.empty(8, 4), torch.empty(4, 6)), None, 8 * 4 * 6),
        ("_grouped_mm", (torch.empty(2, 8, 4), torch.empty(2, 4, 6)), None, 2 * 8 * 4 * 6),
        ("_scaled_dot_product_fused_attention_overrideable", (WIDE, WIDE, WIDE), WIDE, 2 * 2 * 6 * 1000),
        ("miopen_convolution_relu", (X, WEIGHT), OUT, None),
        ("_scaled_grouped_mm", (X, WEIGHT), OUT, None),
        ("_foreach_mm", ([X], [X]), [X], None),
        ("linalg_cross", (X, X), X, 0.0),
    ],
)
def test_operations_of_other_machines(name, args, out, macs):
    """By their shapes alone."""
    func = getattr(torch.ops.aten, name)
    func = getattr(func, func.overloads()[0])
    assert operation_macs(func, args, {}, out) == macs


def test_every_attention_that_torch_counts_is_counted_alike():
    q = torch.empty(2, 3, 5, 4, device="meta")
    with FlopCounterMode(display=False) as counter:
        torch.ops.aten._scaled_dot_product_flash_attention(q, q, q)
    func = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
    assert operation_macs(func, (q, q, q), {}, q) == counter.get_total_flops() / 2 == 2 * 2 * 3 * 5 * 5 * 4


def test_products_under_inference_mode():
    """Torch hands on operations there that it takes apart elsewhere."""
    matrix, filters = normal(4, 5), normal(2, 1, 3)

    class Inference(nn.Module):
        def forward(self, x):
            with torch.inference_mode():
                return (
                    x @ matrix,
                    torch.einsum("bi,ij->bj", x, matrix),
                    functional.conv1d(x[:, None], filters),
                )

    assert count_macs(Inference(), (normal(2, 4),)) == 20 + 20 + 2 * 2 * 3
