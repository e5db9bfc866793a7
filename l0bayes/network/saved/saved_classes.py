r"""The classes that a file may name: nothing else is ever built, and nothing is imported by a name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from l0bayes.network.block_stand_ins import Scaled, Skip
from l0bayes.network.kinds import LayerKind, SelectedInput, registered_kinds
from l0bayes.network.kinds.written_form import constructor_form

__all__ = ["BuiltClass", "class_name", "known_classes", "made_of_parts", "register_saved_class"]

# Where classes are found under a name that lasts, whatever file they stand in.
_PUBLIC = ("torch.nn", "l0bayes.network", "l0bayes.models")

_PLAIN = (
    *("ReLU", "ReLU6", "LeakyReLU", "RReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish", "Hardswish"),
    *("Hardsigmoid", "Hardtanh", "Hardshrink", "Softshrink", "Tanhshrink", "Tanh", "Sigmoid", "LogSigmoid"),
    *("Softplus", "Softsign", "Softmax", "Softmax2d", "LogSoftmax", "Softmin", "GLU", "Threshold"),
    *("Identity", "Flatten", "Unflatten", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout"),
    *("FeatureAlphaDropout", "MaxPool1d", "MaxPool2d", "MaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d"),
    *("AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d"),
    *("AdaptiveMaxPool2d", "AdaptiveMaxPool3d", "LPPool1d", "LPPool2d", "LPPool3d", "LocalResponseNorm"),
    *("CrossMapLRN2d", "RMSNorm", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d", "ZeroPad1d"),
    *("ZeroPad2d", "ZeroPad3d", "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d"),
    *("ReplicationPad1d", "ReplicationPad2d", "ReplicationPad3d", "CircularPad1d", "CircularPad2d"),
    *("CircularPad3d", "PixelShuffle", "PixelUnshuffle", "ChannelShuffle", "Upsample"),
    *("UpsamplingNearest2d", "UpsamplingBilinear2d", "Fold", "Unfold", "Bilinear", "CosineSimilarity"),
    *("PairwiseDistance", "EmbeddingBag", "RNNCell", "LSTMCell", "GRUCell"),
)
_RECURRENT = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional")
_MOST_LAYERS = 10_000
_PARTS: dict[type[nn.Module], None] = {}


@dataclass(frozen=True)
class BuiltClass:
    """A class that is built by what its constructor takes.

    Attributes:
        cls: The class.
        form: From a module to plain values.
        build: From these to a module.
        kind: Its kind, where it is a layer.
    """

    cls: type[nn.Module]
    form: Callable[[nn.Module], Mapping[str, Any]]
    build: Callable[[Mapping[str, Any]], nn.Module]
    kind: LayerKind | None = None


def register_saved_class(cls: type[nn.Module]) -> type[nn.Module]:
    """Let a class of networks be built from files, of its parts and without its constructor.

    A network of this class is loaded without an instance of it then: its modules, parameters, buffers and
    plain attributes (numbers, text, tuples of these) are all that its ``forward`` may need. Can be used as a
    decorator.

    Args:
        cls: The class. Its subclasses are other classes.

    Returns:
        The class itself.

    Raises:
        TypeError: If it is no class of modules.
    """
    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        raise TypeError(f"cls must be a class of nn.Module, got {cls!r}")
    _PARTS[cls] = None
    return cls


def class_name(cls: type) -> str:
    """What files call a class: by the public package that has it, or by its module.

    Args:
        cls: The class.
    """
    for package in _PUBLIC:
        if getattr(sys.modules.get(package), cls.__name__, None) is cls:
            return f"{package}.{cls.__name__}"
    return f"{cls.__module__}.{cls.__qualname__}"


def made_of_parts() -> dict[str, type[nn.Module]]:
    """Classes that are built of their parts, by name."""
    return {class_name(cls): cls for cls in _PARTS}


def known_classes() -> dict[str, BuiltClass]:
    """Classes that are built by their constructor, by name: of the layer kinds, and plain ones."""
    found = [
        BuiltClass(cls, partial(kind.form, cls=cls), partial(kind.build, cls), kind)
        for kind in registered_kinds()
        for cls in kind.types
    ]
    plain = [getattr(nn, name) for name in _PLAIN if name in vars(nn)]  # some are of newer versions of torch
    found += [BuiltClass(cls, partial(constructor_form, cls=cls), partial(_call, cls)) for cls in plain]
    for cls, more in ((nn.RNN, "nonlinearity"), (nn.LSTM, "proj_size"), (nn.GRU, None)):
        names = (*_RECURRENT, more) if more else _RECURRENT
        found.append(BuiltClass(cls, partial(_attributes, names=names), partial(_layers, cls)))
    return {class_name(one.cls): one for one in reversed(found)}  # what is a layer is one first


def _call(cls: type[nn.Module], form: Mapping[str, Any]) -> nn.Module:
    return cls(**form)


def _layers(cls: type[nn.Module], form: Mapping[str, Any]) -> nn.Module:
    if not 1 <= form["num_layers"] <= _MOST_LAYERS:
        raise ValueError(f"{cls.__name__} of {form['num_layers']} layers")
    return cls(**form)


def _attributes(module: nn.Module, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(module, name) for name in names}


for _cls in (
    *(nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer),
    *(nn.TransformerEncoder, nn.TransformerDecoder, nn.Transformer, Skip, Scaled, SelectedInput),
):
    register_saved_class(_cls)
