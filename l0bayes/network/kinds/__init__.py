"""Kinds of layers: one file a kind, and the register of all."""

from l0bayes.network.kinds.attention_kind import AttentionKind
from l0bayes.network.kinds.batch_norm_kind import BatchNormKind
from l0bayes.network.kinds.convolution_3d_kind import Conv3dKind, SelectiveConv3d
from l0bayes.network.kinds.convolution_kind import (
    Conv1dKind,
    Conv2dKind,
    ConvolutionKind,
    SelectiveConv1d,
    SelectiveConv2d,
)
from l0bayes.network.kinds.cost_terms import CostTerms
from l0bayes.network.kinds.embedding_kind import EmbeddingKind
from l0bayes.network.kinds.group_norm_kind import GroupNormKind
from l0bayes.network.kinds.head_attention import HeadAttention
from l0bayes.network.kinds.instance_norm_kind import InstanceNormKind
from l0bayes.network.kinds.kind_registry import (
    kind_of,
    layers_of,
    left_alone,
    nearest_kind,
    no_layers,
    register_kind,
    registered_kinds,
)
from l0bayes.network.kinds.layer_kind import LayerKind, Shape, Units
from l0bayes.network.kinds.layer_norm_kind import LayerNormKind
from l0bayes.network.kinds.linear_kind import LinearKind, SelectiveLinear
from l0bayes.network.kinds.prelu_kind import PReLUKind
from l0bayes.network.kinds.recognition import GatePlacement
from l0bayes.network.kinds.selective import SelectedInput, Selective
from l0bayes.network.kinds.shuffle_kind import (
    ChannelShuffleKind,
    PixelShuffleKind,
    PixelUnshuffleKind,
    ShuffleKind,
)
from l0bayes.network.kinds.transposed_convolution_kind import (
    ConvTranspose1dKind,
    ConvTranspose2dKind,
    ConvTranspose3dKind,
    TransposedConvolutionKind,
)
from l0bayes.network.kinds.unit_axes import Presence, UnitAxes

__all__ = [
    "AttentionKind",
    "BatchNormKind",
    "ChannelShuffleKind",
    "Conv1dKind",
    "Conv2dKind",
    "Conv3dKind",
    "ConvTranspose1dKind",
    "ConvTranspose2dKind",
    "ConvTranspose3dKind",
    "ConvolutionKind",
    "CostTerms",
    "EmbeddingKind",
    "GatePlacement",
    "GroupNormKind",
    "HeadAttention",
    "InstanceNormKind",
    "LayerKind",
    "LayerNormKind",
    "LinearKind",
    "PReLUKind",
    "PixelShuffleKind",
    "PixelUnshuffleKind",
    "Presence",
    "SelectedInput",
    "Selective",
    "SelectiveConv1d",
    "SelectiveConv2d",
    "SelectiveConv3d",
    "SelectiveLinear",
    "Shape",
    "ShuffleKind",
    "TransposedConvolutionKind",
    "UnitAxes",
    "Units",
    "kind_of",
    "layers_of",
    "left_alone",
    "nearest_kind",
    "no_layers",
    "register_kind",
    "registered_kinds",
]

# In the order in which messages list them.
for _kind in (
    *(LinearKind(), Conv1dKind(), Conv2dKind(), LayerNormKind(), EmbeddingKind(), AttentionKind()),
    *(BatchNormKind(), Conv3dKind(), ConvTranspose1dKind(), ConvTranspose2dKind(), ConvTranspose3dKind()),
    *(GroupNormKind(), InstanceNormKind(), PReLUKind()),
    *(PixelShuffleKind(), PixelUnshuffleKind(), ChannelShuffleKind()),
):
    register_kind(_kind)
