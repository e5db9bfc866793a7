r"""Tensors in safetensors files, which hold numbers and names and nothing that could run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from l0bayes.optional_packages import needed_for

__all__ = ["read_tensors", "tensors_of_bytes", "write_tensors"]


def write_tensors(tensors: Mapping[str, Tensor], path: str | Path) -> Path:
    """Write tensors to a file, which is there when it is whole.

    Args:
        tensors: Values by name; none shares anything with another one in the file.
        path: The file.

    Returns:
        The file.

    Raises:
        TypeError: If a tensor is sparse or quantised, or of a type that the format does not hold.
    """
    from l0bayes.files.whole_files import write_whole

    with needed_for("A file of tensors"):
        from safetensors.torch import save_file

    plain: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
            word = getattr(value, "layout", type(value).__name__)
            raise TypeError(f"{name!r} is no dense tensor ({word}) and cannot be saved")
        plain[name] = value.detach().cpu().contiguous().clone()

    def write(part: Path) -> None:
        save_file(plain, part)

    try:
        return write_whole(Path(path), write)
    except KeyError as error:  # a type that the format has no name for
        raise TypeError(f"tensors of type {error} cannot be saved") from None


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Tensors from a file that :func:`write_tensors` wrote.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such file, or not all of it is there.
    """
    return tensors_of_bytes(Path(path).read_bytes(), Path(path).name)


def tensors_of_bytes(content: bytes, name: str) -> dict[str, Tensor]:
    """Tensors from the content of a file.

    Args:
        content: All of it.
        name: What messages call it.

    Raises:
        ValueError: If it is no such file, or not all of it is there.
    """
    with needed_for("A file of tensors"):
        from safetensors import SafetensorError
        from safetensors.torch import load

    try:
        found: dict[str, Any] = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        raise ValueError(f"{name} is no safetensors file, or not all of it is there: {error}") from None
    return found
