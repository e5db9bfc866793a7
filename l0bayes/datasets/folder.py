"""The folder of local data, and files whose content is known."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import torch

__all__ = ["check_md5", "data_folder", "shuffled"]


def data_folder() -> Path:
    """The folder of local data: ``L0BAYES_DATA`` in the environment, else ``../shared/data``."""
    return Path(os.environ.get("L0BAYES_DATA", Path("..") / "shared" / "data"))


def check_md5(raw: bytes, expected: str, name: str, root: Path) -> None:
    """Refuse a file that is not the published one.

    Args:
        raw: Content of the file.
        expected: Its published md5.
        name: Name of the file.
        root: Folder of the file.

    Raises:
        ValueError: If the checksum differs.
    """
    found = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    if found != expected:
        raise ValueError(f"{name} in {str(root)!r} has md5 {found}, expected {expected}: the file is damaged")


def shuffled(count: int, validation: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices of training and of validation images.

    Args:
        count: Number of images.
        validation: Number of them set aside.
        seed: Seed of the choice.

    Returns:
        Indices of the rest and of those set aside.

    Raises:
        ValueError: If ``validation`` is not between 1 and ``count - 1``.
    """
    if not 0 < validation < count:
        raise ValueError(f"validation must lie between 1 and {count - 1:,}, got {validation!r}")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return order[validation:], order[:validation]
