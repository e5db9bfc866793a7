r"""The index of a saved network: which files there are, and that they are what was written."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from l0bayes.files.whole_files import as_usual, new_folder, remove_abandoned, settle
from l0bayes.network.saved.saved_errors import SavedNetworkError

__all__ = ["ARCHITECTURE", "FORMAT_VERSION", "WEIGHTS", "read_index", "replaced_folder", "write_index"]

ARCHITECTURE = "architecture.json"
WEIGHTS = "weights.safetensors"
FORMAT_VERSION = 1

_FORMAT = "l0bayes deployed network"
_LARGEST_INDEX = 256 * 2**20
_CHUNK = 2**20


def write_index(folder: Path, content: dict[str, Any]) -> Path:
    """Write the index of all files of a folder, with checksums of them and of itself.

    Args:
        folder: The folder; its other files are there already.
        content: What else the index holds.

    Returns:
        The file.
    """
    files = {
        file.name: {"bytes": file.stat().st_size, "sha256": _checksum(file)}
        for file in sorted(folder.iterdir())
        if file.is_file()
    }
    index = {"format": _FORMAT, "version": FORMAT_VERSION, **content, "files": files}
    index["sha256"] = _checksum_of(index)
    path = folder / ARCHITECTURE
    path.write_text(json.dumps(index, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


def read_index(folder: str | Path) -> dict[str, Any]:
    """The index of a saved network, once every file has been found to be what was written.

    Args:
        folder: The folder.

    Raises:
        FileNotFoundError: If there is no such folder.
        SavedNetworkError: If it is no saved network, of a newer format, cut short or altered.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {str(folder)!r}")
    path = folder / ARCHITECTURE
    if not path.is_file():
        inside = folder / "deployed" / ARCHITECTURE
        hint = f"; {str(inside.parent)!r} is one" if inside.is_file() else ""
        raise SavedNetworkError(
            f"{str(folder)!r} is no saved network: there is no {ARCHITECTURE} in it{hint}"
        )
    index = _parsed(path)
    for name, file in index["files"].items():
        _check_file(folder, str(name), file)
    return index


def _parsed(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _LARGEST_INDEX:
        raise SavedNetworkError(f"{path.name} of {str(path.parent)!r} is too large to be an architecture")
    try:
        index = json.loads(path.read_bytes().decode("utf-8"), parse_constant=_no_constant)
        checksum = index.pop("sha256", None) if isinstance(index, dict) else None
        own = _checksum_of(index)
    except (ValueError, RecursionError) as error:
        raise SavedNetworkError(
            f"{str(path.parent)!r} was cut short or altered: {path.name} is no JSON ({error})"
        ) from None
    if not isinstance(index, dict) or index.get("format") != _FORMAT:
        raise SavedNetworkError(f"{str(path.parent)!r} is no saved network: {path.name} is of something else")
    version = index.get("version")
    if isinstance(version, int) and not isinstance(version, bool) and version > FORMAT_VERSION:
        raise SavedNetworkError(
            f"{str(path.parent)!r} is of format {version}, newer than what this version of l0bayes reads "
            f"({FORMAT_VERSION}): pip install --upgrade l0bayes"
        )
    files = index.get("files")
    if version != FORMAT_VERSION or checksum != own or not isinstance(files, dict) or WEIGHTS not in files:
        raise SavedNetworkError(
            f"{str(path.parent)!r} was altered: {path.name} is not what its checksum stands for"
        )
    return index


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


def _check_file(folder: Path, name: str, wanted: Any) -> None:
    file = folder / name
    if Path(name).name != name or not isinstance(wanted, dict):
        raise SavedNetworkError(f"{str(folder)!r} was altered: {name[:60]!r} is no file of it")
    if not file.is_file():
        raise SavedNetworkError(f"{str(folder)!r} was cut short: {name} is missing; copy all of its files")
    size = file.stat().st_size
    if size != wanted.get("bytes"):
        raise SavedNetworkError(
            f"{str(folder)!r} was cut short or altered: {name} has {size} bytes in place of "
            f"{wanted.get('bytes')}; copy it again"
        )
    if _checksum(file) != wanted.get("sha256"):
        raise SavedNetworkError(f"{str(folder)!r} was altered: {name} is not what its checksum stands for")


def _checksum(file: Path) -> str:
    found = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def _checksum_of(index: Any) -> str:
    text = json.dumps(index, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """A new folder to write to, which takes the place of another one when all is done.

    An error leaves the old one as it was, and nothing beside it.

    Args:
        folder: Where it shall be. What is there must be empty, or a saved network.

    Raises:
        FileExistsError: If there is something else.
    """
    if folder.exists() and not (folder.is_dir() and (_is_saved(folder) or not any(folder.iterdir()))):
        raise FileExistsError(f"folder {str(folder)!r} exists and is no saved network; name another one")
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside it, as only there it is sure to be on the same disk.
    remove_abandoned(folder.parent, f".{folder.name}.part-")
    part = new_folder(folder.parent, f".{folder.name}.part-")
    try:
        yield part
        for file in part.iterdir():
            settle(file)
        settle(part)
        as_usual(part)
        _swap(part, folder)
        settle(folder.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _is_saved(folder: Path) -> bool:
    try:
        return bool(_parsed(folder / ARCHITECTURE))
    except (OSError, SavedNetworkError):
        return False


def _swap(part: Path, folder: Path) -> None:
    if not folder.exists():
        part.replace(folder)
        return
    old = new_folder(folder.parent, f".{folder.name}.old-")
    try:
        folder.replace(old / folder.name)
        try:
            part.replace(folder)
        except OSError:
            (old / folder.name).replace(folder)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
