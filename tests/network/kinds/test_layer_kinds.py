"""Every kind of the package against the suite that is shipped."""

import torch
from torch import nn

from l0bayes.network.kinds import (
    AttentionKind,
    BatchNormKind,
    ChannelShuffleKind,
    Conv1dKind,
    Conv2dKind,
    Conv3dKind,
    ConvTranspose1dKind,
    ConvTranspose2dKind,
    ConvTranspose3dKind,
    EmbeddingKind,
    GroupNormKind,
    InstanceNormKind,
    LayerNormKind,
    LinearKind,
    PixelShuffleKind,
    PixelUnshuffleKind,
    PReLUKind,
)
from l0bayes.testing.layer_kind_suite import LayerKindSuite


class TestLinear(LayerKindSuite):
    kind = LinearKind

    def make(self):
        return nn.Linear(6, 5)

    def inputs(self):
        return torch.randn(4, 6)


class TestLinearOnTokens(TestLinear):
    def make(self):
        return nn.Linear(6, 5, bias=False)

    def inputs(self):
        return torch.randn(4, 3, 6)


class TestSquareLinear(TestLinear):
    def make(self):
        return nn.Linear(6, 6)


class TestConv1d(LayerKindSuite):
    kind = Conv1dKind

    def make(self):
        return nn.Conv1d(4, 5, 3, stride=2, padding=1)

    def inputs(self):
        return torch.randn(3, 4, 7)


class TestConv2d(LayerKindSuite):
    kind = Conv2dKind

    def make(self):
        return nn.Conv2d(4, 5, (3, 2), padding=1)

    def inputs(self):
        return torch.randn(3, 4, 5, 4)


class TestConv2dThatWrapsAround(TestConv2d):
    def make(self):
        return nn.Conv2d(4, 5, 3, padding=1, dilation=2, padding_mode="circular", bias=False)


class TestDepthwiseConv2d(TestConv2d):
    def make(self):
        return nn.Conv2d(4, 4, 3, groups=4)


class TestDepthwiseConv1d(TestConv1d):
    def make(self):
        return nn.Conv1d(4, 4, 3, groups=4, bias=False)


class TestGroupedConv2d(TestConv2d):
    def make(self):
        return nn.Conv2d(4, 6, 3, groups=2, padding=1)


class TestConv2dThatMultipliesMaps(TestConv2d):
    def make(self):
        return nn.Conv2d(4, 8, 3, groups=4, padding=1)


class TestBatchNorm1d(LayerKindSuite):
    kind = BatchNormKind

    def make(self):
        return nn.BatchNorm1d(5)

    def inputs(self):
        return torch.randn(4, 5)


class TestBatchNorm1dOnSeries(TestBatchNorm1d):
    def inputs(self):
        return torch.randn(4, 5, 3)


class TestBatchNorm2d(TestBatchNorm1d):
    def make(self):
        return nn.BatchNorm2d(5)

    def inputs(self):
        return torch.randn(4, 5, 2, 3)


class TestBatchNorm2dOfTheBatchAlone(TestBatchNorm2d):
    def make(self):
        return nn.BatchNorm2d(5, affine=False, track_running_stats=False)


class TestBatchNorm3d(TestBatchNorm1d):
    def make(self):
        return nn.BatchNorm3d(5, momentum=None)

    def inputs(self):
        return torch.randn(4, 5, 2, 3, 2)


class TestLayerNorm(LayerKindSuite):
    kind = LayerNormKind

    def make(self):
        return nn.LayerNorm(5)

    def inputs(self):
        return torch.randn(4, 5)


class TestLayerNormOfTokens(TestLayerNorm):
    def make(self):
        return nn.LayerNorm((3, 5))

    def inputs(self):
        return torch.randn(4, 3, 5)


class TestEmbedding(LayerKindSuite):
    kind = EmbeddingKind

    def make(self):
        return nn.Embedding(7, 5)

    def inputs(self):
        return torch.randint(0, 7, (4, 3))

    def coupled(self):
        yield nn.Embedding(7, 5, max_norm=1.0).double(), "max_norm=1"


class TestAttention(LayerKindSuite):
    kind = AttentionKind
    counts_flops = False

    def make(self):
        return nn.MultiheadAttention(8, 4, batch_first=True)

    def inputs(self):
        return torch.randn(3, 5, 8)

    def call(self, layer, x):
        return layer(x, x, x, need_weights=False)[0]

    def with_heads(self, layer, gates):
        return {"out_proj.weight": layer.out_proj.weight * gates.repeat_interleave(layer.head_dim)}

    def coupled(self):
        for option in ("add_bias_kv", "add_zero_attn"):
            layer = nn.MultiheadAttention(8, 4, batch_first=True, **{option: True})
            yield layer.double().eval(), f"it has {option}"
        yield self.widths(), "kdim"
        layer = self.layer()
        nn.utils.parametrizations.weight_norm(layer.out_proj)
        yield layer, "out_proj"

    def widths(self):
        """Keys and values of widths that are given, and happen to be the queries'."""
        layer = nn.MultiheadAttention(8, 4, batch_first=True, kdim=7).double().eval()
        twin = nn.MultiheadAttention(8, 4, batch_first=True).double().eval()
        q, k, v = twin.in_proj_weight.detach().chunk(3)
        layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight = map(nn.Parameter, (q, k, v))
        layer.kdim = 8
        return layer


class TestConv3d(LayerKindSuite):
    kind = Conv3dKind

    def make(self):
        return nn.Conv3d(4, 5, (1, 2, 3), padding=1, stride=(1, 2, 1))

    def inputs(self):
        return torch.randn(3, 4, 2, 3, 4)


class TestDepthwiseConv3d(TestConv3d):
    def make(self):
        return nn.Conv3d(4, 4, 2, groups=4)


class TestGroupedConv3d(TestConv3d):
    def make(self):
        return nn.Conv3d(4, 6, 2, groups=2, bias=False)


class TestConvTranspose1d(LayerKindSuite):
    kind = ConvTranspose1dKind

    def make(self):
        return nn.ConvTranspose1d(4, 5, 3, stride=2)

    def inputs(self):
        return torch.randn(3, 4, 5)

    def coupled(self):
        yield nn.ConvTranspose1d(4, 6, 3, groups=2).double().eval(), "2 groups"


class TestConvTranspose2d(LayerKindSuite):
    kind = ConvTranspose2dKind

    def make(self):
        return nn.ConvTranspose2d(4, 5, 2, stride=2, output_padding=1, bias=False)

    def inputs(self):
        return torch.randn(3, 4, 3, 2)


class TestDepthwiseConvTranspose2d(TestConvTranspose2d):
    def make(self):
        return nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1, groups=4)


class TestConvTranspose3d(LayerKindSuite):
    kind = ConvTranspose3dKind

    def make(self):
        return nn.ConvTranspose3d(4, 5, 2)

    def inputs(self):
        return torch.randn(3, 4, 2, 1, 2)


class TestGroupNorm(LayerKindSuite):
    kind = GroupNormKind

    def make(self):
        return nn.GroupNorm(3, 6)

    def inputs(self):
        return torch.randn(3, 6, 3, 2)


class TestGroupNormOfOneGroup(TestGroupNorm):
    def make(self):
        return nn.GroupNorm(1, 6)


class TestGroupNormOfSingleMaps(TestGroupNorm):
    def make(self):
        return nn.GroupNorm(6, 6, affine=False)


class TestInstanceNorm1d(LayerKindSuite):
    kind = InstanceNormKind

    def make(self):
        return nn.InstanceNorm1d(5, affine=True)

    def inputs(self):
        return torch.randn(4, 5, 6)


class TestInstanceNorm2d(TestInstanceNorm1d):
    def make(self):
        return nn.InstanceNorm2d(5, affine=True, track_running_stats=True)

    def inputs(self):
        return torch.randn(4, 5, 3, 2)


class TestInstanceNorm3d(TestInstanceNorm1d):
    def make(self):
        return nn.InstanceNorm3d(5)

    def inputs(self):
        return torch.randn(4, 5, 3, 2, 2)


class TestPReLU(LayerKindSuite):
    kind = PReLUKind

    def make(self):
        return nn.PReLU(5)

    def inputs(self):
        return torch.randn(4, 5)


class TestPReLUOnMaps(TestPReLU):
    def inputs(self):
        return torch.randn(4, 5, 3, 2)


class TestPixelShuffle(LayerKindSuite):
    kind = PixelShuffleKind

    def make(self):
        return nn.PixelShuffle(2)

    def inputs(self):
        return torch.randn(3, 12, 2, 3)


class TestPixelUnshuffle(LayerKindSuite):
    kind = PixelUnshuffleKind

    def make(self):
        return nn.PixelUnshuffle(2)

    def inputs(self):
        return torch.randn(3, 3, 4, 2)


class TestChannelShuffle(LayerKindSuite):
    kind = ChannelShuffleKind

    def make(self):
        return nn.ChannelShuffle(2)

    def inputs(self):
        return torch.randn(3, 6, 2, 3)
