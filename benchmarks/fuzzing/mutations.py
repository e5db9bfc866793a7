"""Damage that disks, transfers and people do to files."""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["mutated"]

_WORDS = (
    b"0",
    b"-1",
    b"1e999",
    b"NaN",
    b"null",
    b"{}",
    b"[]",
    b'""',
    b"9" * 25,
    b",",
    b"\n",
    b"\x00",
    b"\xff",
)


def _flip(raw: bytearray, draw: random.Random) -> None:
    for _ in range(draw.choice((1, 1, 2, 8, 64))):
        raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)


def _cut(raw: bytearray, draw: random.Random) -> None:
    del raw[draw.randrange(len(raw)) :]


def _remove(raw: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(raw))
    del raw[start : start + draw.choice((1, 3, 16, 200))]


def _repeat(raw: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(raw))
    raw[start:start] = raw[start : start + draw.choice((1, 4, 50))]


def _number(raw: bytearray, draw: random.Random) -> None:
    width = draw.choice((1, 2, 4, 8))
    start = draw.randrange(len(raw))
    value = draw.choice((0, 1, 2 ** (8 * width - 1), 2 ** (8 * width) - 1))
    raw[start : start + width] = value.to_bytes(width, draw.choice(("little", "big")))


def _word(raw: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(raw))
    raw[start : start + draw.choice((0, 1, 4))] = draw.choice(_WORDS)


def _swap(raw: bytearray, draw: random.Random) -> None:
    length = draw.choice((1, 8, 40))
    one, other = draw.randrange(len(raw)), draw.randrange(len(raw))
    raw[one : one + length], raw[other : other + length] = (
        raw[other : other + length],
        raw[one : one + length],
    )


_KINDS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip,
    _cut,
    _remove,
    _repeat,
    _number,
    _word,
    _swap,
)


def mutated(raw: bytes, draw: random.Random) -> bytes:
    """A copy with one to three kinds of damage.

    Args:
        raw: The content of a file.
        draw: Where the choices come from.
    """
    found = bytearray(raw)
    for kind in draw.choices(_KINDS, k=draw.choice((1, 1, 2, 3))):
        if found:
            kind(found, draw)
    return bytes(found)
