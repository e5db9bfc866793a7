"""The architectures of the literature: shapes, sizes, where their gates stand, what they refuse."""

from fnmatch import fnmatchcase

import pytest
import torch
from torch import nn

from l0bayes.models import LeNet5Caffe, LeNet300100, VisionTransformer, WideResNet

NETS = {
    "lenet-300-100": (lambda: LeNet300100(), (1, 28, 28)),
    "lenet-5": (lambda: LeNet5Caffe(), (1, 28, 28)),
    "wrn-10-1": (lambda: WideResNet(10, 1), (3, 32, 32)),
    "vit": (lambda: VisionTransformer(16, 4, 3, dim=24, depth=2, heads=3, hidden=32), (3, 16, 16)),
}


def count(net):
    return sum(parameter.numel() for parameter in net.parameters())


def output_shapes(net, x):
    """Shape of what each layer with weights computes, by name, without the batch."""
    shapes = {}

    def note(name):
        return lambda module, inputs, output: shapes.update({name: tuple(output.shape[1:])})

    layers = (nn.Linear, nn.Conv2d)
    hooks = [m.register_forward_hook(note(name)) for name, m in net.named_modules() if isinstance(m, layers)]
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    return shapes


def gated(net):
    """Names of the modules that ``default_gates`` names, with their placement."""
    names = [name for name, _ in net.named_modules()]
    return {
        n: where for pattern, where in net.default_gates.items() for n in names if fnmatchcase(n, pattern)
    }


@pytest.mark.parametrize("name", NETS)
def test_images_become_ten_logits_that_all_parameters_have_a_part_in(name):
    make, shape = NETS[name]
    net = make()
    logits = net(torch.randn(4, *shape))
    assert logits.shape == (4, 10)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert all(p.grad.abs().sum() > 0 for n, p in net.named_parameters() if not n.endswith("in_proj_bias"))


@pytest.mark.parametrize("name", NETS)
def test_images_do_not_see_each_other_in_eval_mode(name):
    make, shape = NETS[name]
    net, x = make().eval(), torch.randn(3, *shape)
    with torch.no_grad():
        torch.testing.assert_close(net(x)[:1], net(x[:1]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NETS)
def test_default_gates_name_modules_that_exist(name):
    net = NETS[name][0]()
    names = [n for n, _ in net.named_modules()]
    assert all(any(fnmatchcase(n, pattern) for n in names) for pattern in net.default_gates)
    assert set(net.default_gates.values()) <= {"input", "output", "weight", "heads"}


def test_lenet_300_100():
    net = LeNet300100()
    assert [name for name, _ in net.named_children()] == ["flatten", "fc1", "relu1", "fc2", "relu2", "fc3"]
    assert count(net) == 266_610
    assert sum(m.weight.numel() for m in net if isinstance(m, nn.Linear)) == 266_200
    assert gated(net) == {"fc1": "input", "fc2": "input", "fc3": "input"}


def test_lenet_300_100_in_other_sizes():
    net = LeNet300100(inputs=12, widths=(7, 6, 5), classes=3)
    assert [tuple(p.shape) for p in net.parameters() if p.dim() == 2] == [(7, 12), (6, 7), (5, 6), (3, 5)]
    assert net(torch.zeros(2, 3, 4)).shape == (2, 3)


def test_lenet_5_has_the_papers_sizes():
    net = LeNet5Caffe()
    assert count(net) == 431_080
    assert output_shapes(net, torch.zeros(1, 1, 28, 28)) == {
        "conv1": (20, 24, 24),
        "conv2": (50, 8, 8),
        "fc1": (500,),
        "fc2": (10,),
    }
    assert net.fc1.in_features == 800
    assert gated(net) == {"conv1": "output", "conv2": "output", "fc1": "input", "fc2": "input"}


def test_lenet_5_in_other_sizes():
    net = LeNet5Caffe(widths=(2, 3, 4), channels=3, classes=5)
    assert net.fc1.in_features == 48
    assert net(torch.zeros(2, 3, 28, 28)).shape == (2, 5)


def test_wrn_28_10_has_36_and_a_half_million_parameters():
    with torch.device("meta"):
        net = WideResNet(28, 10)
    assert count(net) == 36_479_194
    assert len(gated(net)) == 12
    assert all(name.endswith(".conv1") for name in gated(net))


def test_wrn_groups():
    net = WideResNet(16, 2)
    shapes = output_shapes(net.eval(), torch.zeros(1, 3, 32, 32))
    assert shapes["stem"] == (16, 32, 32)
    assert shapes["layer1.0.conv1"] == shapes["layer1.1.conv2"] == (32, 32, 32)
    assert shapes["layer2.0.conv1"] == shapes["layer2.0.shortcut"] == (64, 16, 16)
    assert shapes["layer3.1.conv2"] == (128, 8, 8)
    assert net.layer2[1].shortcut is None
    # d counts the stem and the two convolutions of a block, and the three shortcuts.
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert len(convolutions) + 3 == 16


def test_a_block_with_dead_convolutions_is_its_input():
    block = WideResNet(16, 1).layer1[1]
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 16, 8, 8)
    assert torch.equal(block(x), x)


def test_wrn_starts_as_he_et_al_say():
    net = WideResNet(10, 4)
    weight = net.layer3[0].conv2.weight
    assert weight.std().item() == pytest.approx((2.0 / (256 * 9)) ** 0.5, rel=0.01)
    assert net.fc.bias.abs().sum() == 0


@pytest.mark.parametrize("depth", [0, 4, 9, 12, 29, -2])
def test_wrn_depth(depth):
    with pytest.raises(ValueError, match=rf"depth must be 6n \+ 4 with n at least 1.*got {depth}"):
        WideResNet(depth, 1)


def test_vit_sizes():
    net = VisionTransformer(28, 7, 1, dim=32, depth=3, heads=4, hidden=48, classes=5)
    assert net.positions.shape == (16, 32)
    assert output_shapes(net, torch.zeros(2, 1, 28, 28))["layers.2.linear1"] == (16, 48)
    layer = 4 * 32 * 32 + 4 * 32 + 2 * 32 * 48 + 48 + 32 + 4 * 32
    assert count(net) == (49 * 32 + 32) + 16 * 32 + 3 * layer + 2 * 32 + (32 * 5 + 5)
    expected = {f"layers.{i}.self_attn": "heads" for i in range(3)}
    assert gated(net) == expected | {f"layers.{i}.linear2": "input" for i in range(3)}


def test_vit_reads_patches_in_place_and_knows_where_they_are():
    net = VisionTransformer(8, 4, 1, dim=8, depth=1, heads=2, hidden=8).eval()
    x = torch.zeros(1, 1, 8, 8)
    left, right = x.clone(), x.clone()
    left[0, 0, 0, 0], right[0, 0, 0, 4] = 1.0, 1.0
    with torch.no_grad():
        tokens = net.patches(left).flatten(2).mT - net.patches(x).flatten(2).mT
        assert tokens.abs().sum(-1).nonzero().tolist() == [[0, 0]]
        assert not torch.allclose(net(left), net(right), atol=1e-6)
        net.positions.zero_()  # without positions a mean over tokens cannot tell the two apart
        torch.testing.assert_close(net(left), net(right))


def test_vit_eval_mode_computes_what_training_mode_does():
    """There is no dropout, and torch's fused path of eval mode is the same function."""
    net, x = NETS["vit"][0](), torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(net(x), net.eval()(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LeNet300100(widths=()), r"widths must hold at least one .* got \(\)"),
        (lambda: LeNet300100(widths=(3, 0)), r"widths must hold .* 1 or more, got \(3, 0\)"),
        (lambda: LeNet300100(inputs=0), "inputs must be at least 1, got 0"),
        (lambda: LeNet300100(classes=0), "classes must be at least 1, got 0"),
        (lambda: LeNet5Caffe(widths=(1, 2)), r"widths must be three sizes, each 1 or more, got \(1, 2\)"),
        (lambda: LeNet5Caffe(widths=(1, 2, 0)), "widths must be three sizes"),
        (lambda: LeNet5Caffe(channels=-1), "channels must be at least 1, got -1"),
        (lambda: WideResNet(10, 0), "width must be at least 1, got 0"),
        (lambda: WideResNet(10, 1, classes=0), "classes must be at least 1, got 0"),
        (lambda: VisionTransformer(depth=0), "depth must be at least 1, got 0"),
        (lambda: VisionTransformer(30, 4), "patch_size must divide image_size 30, got 4"),
        (lambda: VisionTransformer(dim=30, heads=4), "dim must be a multiple of heads 4, got 30"),
    ],
)
def test_sizes_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()
