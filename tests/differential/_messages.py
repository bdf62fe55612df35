"""Lines and messages to compare codecs by: proper ones, changed ones, and noise."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.fuzz.corpus import _messages


class Fields(NamedTuple):
    """What a message is made of."""

    mtype: int
    name: str
    mid: int | None
    arguments: tuple[Any, ...]


_NAMES = ["watchdog", "sensor-value", "a", "Z9-", "help", "x" * 70]
_BAD_NAMES = ["", "9x", "-a", "a_b", "a.b", "a b", "caf\xe9", "a\n", "a\0", "\u0663", "a[1]", "a\\"]
_MIDS = [None, None, 1, 7, 12, 2**31 - 1]
_ODD_MIDS = [0, -1, 2**31, 2**32 + 1, 2**64, 10**20 - 1, 10**20, 10**30]
_TYPES = [b"?", b"!", b"#"]
#: What is likely to matter.
_SPICE = [
    *(bytes([c]) for c in b" \t\\?!#[]@_nret0\0\x1b\x7f\x80\xff-.:/0123456789aZ"),
    *(b"\\" + bytes([c]) for c in b"\\_0nret@q \0"),
    b"[1]",
    b"[0]",
    b"[007]",
    b"[2147483648]",
    b"[99999999999999999999]",
    b"[999999999999999999999]",
    b"[-1]",
    b"[]",
    b"  ",
    b" \t",
    "\u00e9".encode(),
    b"\xed\xa0\x80",
]
_TEXTS = ["", "ok", "a b", "\\", "\\@", "tab\t", "\r\n", "\0\x1b", "\u00e9", "\U0001f600", "\x85"]
_FLOATS = [0.0, -0.0, 1.5, 1e-7, 1e16, 123456789.123456789, 5e-324, float("inf"), float("nan")]


@functools.cache
def _proper() -> list[bytes]:
    return [bytes(message)[:400] for message in _messages()]


def lines(seed: int, count: int) -> Iterator[bytes]:
    """Return lines without their ends, the same for the same seed."""
    source = random.Random(seed)
    proper = _proper()
    for _ in range(count):
        kind = source.randrange(10)
        if kind == 0:
            line = source.randbytes(source.randrange(30))
        elif kind == 1:
            line = b"".join(source.choices(_SPICE, k=source.randrange(12)))
        elif kind < 5:
            line = _made(source)
        else:
            line = source.choice(proper) if kind < 8 else _made(source)
            for _ in range(source.randrange(1, 5)):
                line = _changed(line, source)
        yield line.replace(b"\r", b"").replace(b"\n", b"")


def _made(source: random.Random) -> bytes:
    name = source.choice(_NAMES).encode()
    line = source.choice(_TYPES) + name
    if source.random() < 0.5:
        line += b"[%d]" % source.choice([1, 7, 12, 2**31 - 1])
    for _ in range(source.randrange(5)):
        line += b" " + source.choice([b"ok", b"1.5", b"\\@", b"a\\_b", b"\\\\", b"\xff", b"x" * 50])
    return line


def _changed(line: bytes, source: random.Random) -> bytes:
    at = source.randrange(len(line) + 1)
    how = source.randrange(4)
    if how == 0:
        return line[:at] + line[at + 1 :]
    if how == 1:
        return line[:at] + source.choice(_SPICE) + line[at:]
    if how == 2:
        return line[:at] + source.choice(_SPICE) + line[at + 1 :]
    return line[:at] + bytes([source.randrange(256)]) + line[at + 1 :]


def fields(seed: int, count: int) -> Iterator[Fields]:
    """Return messages in parts, the same for the same seed."""
    source = random.Random(seed)
    for _ in range(count):
        bad = source.random() < 0.1
        odd = source.random() < 0.1
        yield Fields(
            source.randrange(3),
            source.choice(_BAD_NAMES if bad else _NAMES),
            source.choice(_ODD_MIDS if odd else _MIDS),
            tuple(_value(source) for _ in range(source.randrange(5))),
        )


def _value(source: random.Random) -> Any:
    kind = source.randrange(8)
    if kind < 3:
        return b"".join(source.choices(_SPICE, k=source.randrange(6)))
    if kind == 3:
        return source.randbytes(source.randrange(20))
    if kind == 4:
        return source.choice(_TEXTS)
    if kind == 5:
        return source.choice([0, -1, 7, 2**31, -(2**63), 10**30])
    if kind == 6:
        return source.choice(_FLOATS)
    return source.random() < 0.5
