r"""Nested states in one file: tensors as safetensors, everything around them as JSON, and a checksum of both.

A state is made of dictionaries, lists, tuples, numbers, text, bytes, ``None`` and tensors. Its tensors are
numbered; in their place the JSON text holds ``{"$tensor": number}``, and what JSON lacks is written
likewise: tuples, bytes, dictionaries with keys that are no text, numbers that are not finite. Nothing in such
a file can run.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from l0bayes.files.whole_files import settle
from l0bayes.optional_packages import needed_for

__all__ = ["StateFileError", "as_plain_state", "read_state", "write_state"]

_FORMAT = "l0bayes state"
_VERSION = "1"
_TEXT = "structure"
_MARKS = ("$tensor", "$complex", "$tuple", "$bytes", "$dict", "$float")


class StateFileError(ValueError):
    """A file is no state, or not all of it is what was written."""


def as_plain_state(state: Any, where: str = "the state") -> Any:
    """A copy of a state in which tensors are detached copies of their own on the CPU.

    Args:
        state: The state.
        where: What messages call it.

    Raises:
        TypeError: If it holds something that no state file can hold, by its place.
    """
    if isinstance(state, dict):
        for key in state:
            if type(key) not in (type(None), bool, int, float, str, bytes):
                raise _of_kind(f"a key of {where}", key)
        return {key: as_plain_state(value, f"{where}[{key!r}]") for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(as_plain_state(one, f"{where}[{index}]") for index, one in enumerate(state))
    if isinstance(state, Tensor):
        if state.layout != torch.strided or state.is_quantized:
            raise TypeError(f"{where} must be a dense tensor, got one of layout {state.layout}")
        return state.detach().to("cpu", copy=True)
    if type(state) not in (type(None), bool, int, float, str, bytes):
        raise _of_kind(where, state)
    return state


def _of_kind(where: str, value: Any) -> TypeError:
    return TypeError(
        f"{where} must hold numbers, text, tensors, lists and dictionaries alone, which a checkpoint "
        f"can hold; got {type(value).__name__}"
    )


def write_state(state: dict[str, Any], path: Path) -> None:
    """Write a state to a file and have the disk hold it.

    Args:
        state: A state, as :func:`as_plain_state` gives it.
        path: The file, which must not be the one that is there already: a write may fail half way.

    Raises:
        OSError: If there is no room for it.
    """
    with needed_for("A file of a state"):
        from safetensors import SafetensorError
        from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    text = json.dumps(_structure(state, tensors), allow_nan=False, separators=(",", ":"))
    tensors[_TEXT] = torch.frombuffer(bytearray(text.encode("ascii")), dtype=torch.uint8)
    about = {"format": _FORMAT, "version": _VERSION, "sha256": _checksum(tensors)}
    try:
        save_file(tensors, path, metadata=about)
    except SafetensorError as error:  # errors of the disk come as its own, in words
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None
    settle(path)


def read_state(path: Path) -> dict[str, Any]:
    """Read a state, once it has been found to be what was written.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If there is no such file.
        StateFileError: If it is no state, of another format, cut short or altered.
    """
    with needed_for("A file of a state"):
        from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if about.get("format") != _FORMAT:
                raise StateFileError("it is of another kind")
            if (version := about.get("version")) != _VERSION:
                raise StateFileError(f"it was written by another version of l0bayes, in format {version!r}")
            # Copies: what is mapped into memory would change with the file.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, RuntimeError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise StateFileError(f"it is no state file, or was cut short ({error})") from None
    if _TEXT not in tensors or about.get("sha256") != _checksum(tensors):
        raise StateFileError("it was altered: it is not what its checksum stands for")
    text = tensors.pop(_TEXT).numpy().tobytes()
    try:
        state = _state(json.loads(text), tensors)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StateFileError(f"it was altered: {error}") from None
    if not isinstance(state, dict):
        raise StateFileError("it holds no state")
    return state


def _structure(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The state as JSON holds it; its tensors are added to the others."""
    if isinstance(value, Tensor):
        number = str(len(tensors))
        tensors[number] = (torch.view_as_real(value) if value.is_complex() else value).contiguous()
        return {"$complex" if value.is_complex() else "$tensor": number}
    if isinstance(value, dict):
        if all(type(key) is str and key not in _MARKS for key in value):
            return {key: _structure(one, tensors) for key, one in value.items()}
        return {"$dict": [[_structure(key, tensors), _structure(one, tensors)] for key, one in value.items()]}
    if isinstance(value, tuple):
        return {"$tuple": [_structure(one, tensors) for one in value]}
    if isinstance(value, list):
        return [_structure(one, tensors) for one in value]
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    return value


def _state(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_state(one, tensors) for one in value]
    if not isinstance(value, dict):
        return value
    mark = next(iter(value), None)
    if len(value) != 1 or mark not in _MARKS:
        return {key: _state(one, tensors) for key, one in value.items()}
    inside = value[mark]
    back: dict[Any, Callable[[], Any]] = {
        "$tensor": lambda: tensors[inside],
        "$complex": lambda: torch.view_as_complex(tensors[inside]),
        "$tuple": lambda: tuple(_state(one, tensors) for one in inside),
        "$bytes": lambda: bytes.fromhex(inside),
        "$dict": lambda: {_state(key, tensors): _state(one, tensors) for key, one in inside},
        "$float": lambda: float(inside),
    }
    return back[mark]()


def _checksum(tensors: dict[str, Tensor]) -> str:
    """Of names, types, shapes and contents."""
    found = hashlib.sha256()
    for part in _parts(tensors):
        found.update(part)
    return found.hexdigest()


def _parts(tensors: dict[str, Tensor]) -> Iterator[Any]:
    for name in sorted(tensors):
        value = tensors[name]
        yield f"{name} {value.dtype} {tuple(value.shape)};".encode()
        if value.numel():
            yield value.reshape(-1).view(torch.uint8).numpy().data
