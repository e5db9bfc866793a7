"""Files that are whole or not there."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = [
    "Stopped",
    "as_usual",
    "folder_for",
    "new_folder",
    "remove_abandoned",
    "settle",
    "staged",
    "write_whole",
]


class Stopped(KeyboardInterrupt):
    """An interruption while files were written.

    Args:
        files: Those that were whole, and are left.
    """

    def __init__(self, files: list[Path]) -> None:
        super().__init__()
        self.files = files


def write_whole(path: Path, write: Callable[[Path], Any]) -> Path:
    """Write a file under a temporary name, and give it its own when it is done.

    Args:
        path: The file.
        write: Writes to the path that it is given.

    Returns:
        The file.
    """
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        write(part)
        as_usual(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def as_usual(path: Path) -> None:
    """Give a file or folder the rights that new ones have here, where its maker gave it to its owner alone.

    Args:
        path: The file, as safetensors writes it, or the folder, as ``tempfile`` makes it.
    """
    mask = os.umask(0)
    os.umask(mask)
    path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)


def new_folder(parent: Path, prefix: str) -> Path:
    """A folder to write to, whose name tells which process made it.

    Args:
        parent: Where.
        prefix: How its name begins.
    """
    return Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=parent))


def remove_abandoned(parent: Path, prefix: str, suffix: str = "") -> None:
    """Remove what processes of this machine left half written that were killed.

    Args:
        parent: Where it would be.
        prefix: How names begin, up to the number of the process.
        suffix: How names end; only files whose number stands right before it are taken then.
    """
    number = re.compile(re.escape(prefix) + r"(\d+)" + (re.escape(suffix) + "$" if suffix else "-"))
    for path in parent.iterdir() if parent.is_dir() else ():
        found = number.match(path.name)
        if found is None or _runs(int(found[1])):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    """Whether a process runs; where that can't be asked without touching it, it is taken to run."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's, or no number of a process
        return True
    return True


@contextmanager
def folder_for(out: Path) -> Iterator[None]:
    """A folder that is there; what had to be made for it goes again if it is left empty.

    Args:
        out: The folder.
    """
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        with suppress(OSError):  # the first that is not empty
            for folder in made:
                folder.rmdir()


@contextmanager
def staged(out: Path, names: Sequence[str]) -> Iterator[Path]:
    """A folder to write to, from which files are moved to their place when all are done.

    Files of these names that were in the folder before are taken away then: nothing in it shall be of
    another run. An error leaves them as they were, and nothing new beside them.

    Args:
        out: The folder in which the files shall be.
        names: Names that they may have.

    Raises:
        Stopped: At an interruption; what was whole by then has been moved.
    """
    # Within the folder, as only there it is sure to be on the same disk.
    remove_abandoned(out, ".unfinished-")
    folder = new_folder(out, ".unfinished-")
    whole: list[str] = []

    def move() -> list[Path]:
        """What is to be moved is settled once, so that an interruption of this can go on with it."""
        whole[:] = whole or [name for name in names if (folder / name).is_file()]
        for name in names if whole else ():
            if name not in whole:
                (out / name).unlink(missing_ok=True)
            elif (folder / name).is_file():
                (folder / name).replace(out / name)
        return [out / name for name in whole]

    try:
        yield folder
        move()
    except KeyboardInterrupt:
        raise Stopped(move()) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def settle(path: Path) -> None:
    """Have the disk hold what was written, so that a name is never there before its content.

    Args:
        path: A file, or a folder for the names in it.
    """
    if os.name != "posix" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
