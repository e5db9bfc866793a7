r"""From a folder to the network that was saved in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.files.tensor_files import tensors_of_bytes
from l0bayes.network.preparation import copy_network
from l0bayes.network.saved.folder_contents import WEIGHTS, read_index
from l0bayes.network.saved.plain_values import NotPlainError
from l0bayes.network.saved.rebuilt_network import rebuilt
from l0bayes.network.saved.saved_errors import SavedNetworkError

__all__ = ["CERTIFICATE", "load_deployed", "read_certificate"]

CERTIFICATE = "certificate.json"

# What values of the wrong type or size raise in constructors, where the index itself was made up.
_WRONG = (KeyError, TypeError, ValueError, AttributeError, RuntimeError, IndexError, OverflowError)


def load_deployed(folder: str | Path, network: nn.Module | None = None) -> nn.Module:
    """The network that :func:`~l0bayes.save_deployed` wrote.

    Nothing in the folder is code, and nothing is unpickled. Classes that a file may name are those of torch's
    plain layers and containers, of layer kinds, and of
    :func:`~l0bayes.network.register_saved_class`; a network of any other class is made by the reader.

    Args:
        folder: The folder.
        network: A dense network of the class that was saved, as the reader's code makes it, with the sizes
            that the saved one had before anything was taken out. It is needed where a module's class cannot
            be built from a file, and stays as it is: smaller layers and values go into a copy.

    Returns:
        The network on the CPU, in evaluation mode, its modules and parameters by their names.

    Raises:
        FileNotFoundError: If there is no such folder.
        SavedNetworkError: If it holds no saved network, was cut short or altered, is of a newer format, needs
            ``network``, or ``network`` is another one; names what is wrong.

    Example::

        l0bayes.save_deployed(model.deploy(guide), "small")
        small = l0bayes.load_deployed("small")
    """
    index = read_index(folder)
    given = None if network is None else copy_network(network)
    try:
        return _network(Path(folder), index, given)
    except SavedNetworkError as error:
        raise SavedNetworkError(f"{str(folder)!r} cannot be loaded: {error}") from None
    except (NotPlainError, *_WRONG) as error:
        raise SavedNetworkError(
            f"{str(folder)!r} cannot be loaded: {type(error).__name__}: {str(error)[:300]}"
        ) from error


def read_certificate(folder: str | Path) -> dict[str, Any]:
    """What was measured of a saved network when it was saved.

    Args:
        folder: The folder.

    Raises:
        FileNotFoundError: If there is no such folder.
        SavedNetworkError: As for :func:`load_deployed`.
    """
    index = read_index(folder)
    if CERTIFICATE not in index["files"]:
        raise SavedNetworkError(f"{str(folder)!r} holds no {CERTIFICATE}")
    found: dict[str, Any] = json.loads((Path(folder) / CERTIFICATE).read_text(encoding="utf-8"))
    return found


def _network(folder: Path, index: dict[str, Any], given: nn.Module | None) -> nn.Module:
    wanted = {
        str(name): (one["dtype"], tuple(int(size) for size in one["shape"]))
        for name, one in index["tensors"].items()
    }
    tensors = tensors_of_bytes((folder / WEIGHTS).read_bytes(), WEIGHTS)
    for name in wanted.keys() ^ tensors.keys():
        raise SavedNetworkError(f"the tensor {name!r} is in one of {WEIGHTS} and the index, not in both")
    for name, value in tensors.items():
        if (str(value.dtype), tuple(value.shape)) != wanted[name]:
            raise SavedNetworkError(
                f"the tensor {name!r} is {value.dtype} of shape {tuple(value.shape)} in {WEIGHTS}, "
                f"{wanted[name][0]} of shape {wanted[name][1]} in the index"
            )
    ties = {str(name): str(first) for name, first in index["ties"].items()}
    for name, first in ties.items():
        if first not in tensors:
            raise SavedNetworkError(f"{name!r} shares the tensor {first!r}, which is not there")
        tensors[name] = tensors[first]
    net = rebuilt(index["network"], given, {name: tuple(value.shape) for name, value in tensors.items()})
    _fill(net, tensors)
    _tie(net, ties)
    frozen = set(index["frozen"])
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name not in frozen)
    return net.eval()


def _fill(net: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Load values; all names and shapes are compared, and nothing may stay without a value."""
    own = net.state_dict()
    for name in own.keys() ^ tensors.keys():
        word = "has no value in the file" if name in own else "belongs to no module of the network"
        raise SavedNetworkError(f"the tensor {name!r} {word}")
    for name, value in tensors.items():
        if own[name].shape != value.shape:
            raise SavedNetworkError(
                f"{name!r} has shape {tuple(value.shape)} in the file, {tuple(own[name].shape)} by the "
                "architecture"
            )
    for parameter in net.parameters():
        parameter.requires_grad_(False)  # so that a parameter of whole numbers can be put in its place
    net.load_state_dict(tensors, assign=True)
    for name, left in (*net.named_parameters(), *net.named_buffers()):
        if left.device == torch.device("meta"):
            raise SavedNetworkError(f"{name!r} has no value: it is no part of a saved state")


def _tie(net: nn.Module, ties: dict[str, str]) -> None:
    """Make one of what was one: a parameter that several layers share."""
    for name, first in ties.items():
        owner, _, key = name.rpartition(".")
        other, _, source = first.rpartition(".")
        holder, value = net.get_submodule(owner), net.get_submodule(other)
        if key in holder._parameters and source in value._parameters:
            holder._parameters[key] = value._parameters[source]
        elif key in holder._buffers and source in value._buffers:
            holder._buffers[key] = value._buffers[source]
        else:
            raise SavedNetworkError(f"{name!r} shares {first!r}, which is none of its like")
