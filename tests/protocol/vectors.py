"""Codec vectors: lines, without their end, and what they say."""

from __future__ import annotations

from typing import NamedTuple

from katcp.protocol import Message

REQUEST, REPLY, INFORM = Message.REQUEST, Message.REPLY, Message.INFORM


class Vector(NamedTuple):
    label: str
    line: bytes
    mtype: int
    name: str
    mid: bytes | None
    arguments: list[bytes]


GOOD_LINES = [
    Vector("bare-request", b"?watchdog", REQUEST, "watchdog", None, []),
    Vector("trailing-white-space", b"?watchdog   \t", REQUEST, "watchdog", None, []),
    Vector("reply-with-id", b"!add[7] ok 12", REPLY, "add", b"7", [b"ok", b"12"]),
    Vector("empty-argument", b"#note \\@", INFORM, "note", None, [b""]),
    Vector("empty-escape-inside", b"#note a\\@b \\@c\\@", INFORM, "note", None, [b"ab", b"c"]),
    Vector(
        "every-escape",
        b"#note a\\_b\\t\\n\\r\\e\\0\\\\",
        INFORM,
        "note",
        None,
        [b"a b\t\n\r\x1b\x00\\"],
    ),
    Vector("escaped-slash-before-n", b"#note \\\\n", INFORM, "note", None, [b"\\n"]),
    Vector("runs-of-white-space", b"?A1-b\t\t\\@\t\\@ ", REQUEST, "A1-b", None, [b"", b""]),
    Vector("id-behind-a-space", b"?a [1]", REQUEST, "a", None, [b"[1]"]),
    Vector("odd-but-plain-bytes", b"?a x\x7f\x01\xe9", REQUEST, "a", None, [b"x\x7f\x01\xe9"]),
    Vector("name-ends-in-a-dash", b"?a-", REQUEST, "a-", None, []),
]

#: Lines that are syntax errors.
BAD_LINES = [b"?a[1]b", b"?a\\_b", b"?a b\\ c", b"?a \\", b"? a", b"?a\x0b x"]
