r"""How a text file of a table is written: its encoding, and what separates its fields."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

__all__ = ["Dialect", "recognise_dialect"]

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_UNPACK: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_SAID = re.compile(r'\ufeff?"?sep=(.)"?[ ]*\r?(?:\n|$)', re.IGNORECASE)
_HEAD = 65_536
_MOST_LINES = 50
# By the bytes that a file may begin with, the longer ones first.
_MARKS = [
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]

_AS_WINDOWS = (
    "the file is not UTF-8 and was read as Windows-1252: see that letters with accents look right, or save "
    "it as UTF-8",
)
# What the first bytes of files say that are no text.
_NO_TEXT = {
    b"PK\x03\x04": "a zip archive, as spreadsheets (.xlsx, .ods) are",
    b"\xd0\xcf\x11\xe0": "a spreadsheet of the old kind (.xls)",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF",
}
_AS_CSV = "Save it as CSV from the program that made it"


@dataclass(frozen=True)
class Dialect:
    """How a file is written.

    Attributes:
        encoding: As Python names it.
        separator: What separates fields.
        notes: What is not as the ending of its name says, in words.
        guessed: What was guessed of the file as a whole, in sentences for a warning.
        skipped: Lines before the header: one where the first says what separates fields, as Excel has it.
    """

    encoding: str
    separator: str
    notes: tuple[str, ...] = ()
    skipped: int = 0
    guessed: tuple[str, ...] = ()


def recognise_dialect(path: Path, separator: str) -> Dialect:
    """Read how a file is written off the file itself.

    Text that is no UTF-8 is taken for Windows-1252. Another separator than the usual one is taken where it
    cuts the first lines into equally many fields, and the usual one does not.

    Args:
        path: A text file, compressed or not.
        separator: What usually separates fields in such a file.

    Raises:
        ValueError: If the bytes are no text, or fields are separated by spaces.
        OSError: If it cannot be read. A broken archive raises what its kind of compression does.
    """
    encoding, head, whole = _decode(path)
    notes = []
    guessed = _AS_WINDOWS if encoding == "cp1252" else ()
    if guessed:
        notes.append("The file is not UTF-8; it was read as Windows-1252.")
    elif encoding in ("utf-16", "utf-32"):
        notes.append(f"The file was read as {encoding.upper()}.")
    if said := _SAID.match(head):
        notes.append(f"The first line says what separates fields: {said[1]!r}.")
        return Dialect(encoding, said[1], tuple(notes), 1, guessed)
    counts = {one: _fields(head, one, whole) for one in (separator, *_SEPARATORS)}
    right = [one for one, fields in counts.items() if len(set(fields)) == 1 and fields[0] > 1]
    if right and separator not in right:
        separator = max(right, key=lambda one: counts[one][0])
        notes.append(f"Fields are separated by {_SEPARATORS[separator]}.")
    elif not right and all(len(set(fields)) == 1 for fields in counts.values()):
        _refuse_spaces(head, whole)
    return Dialect(encoding, separator, tuple(notes), guessed=guessed)


def _decode(path: Path) -> tuple[str, str, bool]:
    """Encoding, the text of the first bytes, and whether that is all of it."""
    with _opened(path) as file:
        start = file.read(_HEAD)
        encoding = next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8")
        if encoding == "utf-8" and not _is_utf8(start, file):
            encoding = "cp1252"
    whole = len(start) < _HEAD
    if found := next((kind for mark, kind in _NO_TEXT.items() if start.startswith(mark)), None):
        raise ValueError(f"it is {found}, whatever its name says. {_AS_CSV}")
    # A letter may be cut in two at the end; anything else that cannot be decoded is no text.
    head = codecs.getincrementaldecoder(encoding)().decode(start, final=whole)
    if "\0" in head:
        raise ValueError("it holds zero bytes, as UTF-16 without its mark does: save it as UTF-8")
    return encoding, head, whole


def _is_utf8(start: bytes, rest: IO[bytes]) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    piece = start
    try:
        while piece:
            decoder.decode(piece)
            piece = rest.read(1 << 20)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked; nothing where only the reader itself can unpack it or name the fault."""
    kind = path.suffix.lower()
    if kind in _UNPACK:
        with _UNPACK[kind](path, "rb") as file:
            yield file
    elif kind == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            with archive.open(names[0]) if len(names) == 1 else io.BytesIO() as file:
                yield file
    elif kind in (".tar", ".zst"):
        yield io.BytesIO()
    else:
        with path.open("rb") as file:
            yield file


def _fields(head: str, separator: str, whole: bool) -> list[int]:
    """Numbers of fields of the first lines that are whole and not empty."""
    lines = head.splitlines(keepends=True)
    if not whole and lines:
        lines.pop()
    try:
        rows = [row for row in csv.reader(lines, delimiter=separator) if row]
    except csv.Error:
        return []
    return [len(row) for row in rows[:_MOST_LINES]]


def _refuse_spaces(head: str, whole: bool) -> None:
    lines = [line.split() for line in head.splitlines()[: None if whole else -1] if line.strip()]
    if len(lines) > 1 and len(lines[0]) > 1 and '"' not in head and len({len(line) for line in lines}) == 1:
        raise ValueError(
            f"its fields seem to be separated by spaces, {len(lines[0])} in each line: use commas"
        )
