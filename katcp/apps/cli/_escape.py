r"""What a device says, made safe to show.

A device can send any bytes. On a terminal some of them are commands, so nothing of a device is
printed before it has been through `visible`; JSON is made by `to_json`, which leaves nothing but
printable ASCII.

Bytes that are no UTF-8 become ``\xNN``, in both. Characters that do not print (controls of both
sets, line separators, marks that reverse the direction of text, ...) become ``\n``, ``\t``,
``\r``, ``\xNN``, ``\uNNNN`` or ``\UNNNNNNNN`` in text, and the escapes of JSON there.
"""

from __future__ import annotations

import json
import math
from typing import Any

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def decode(raw: bytes) -> str:
    r"""Return bytes as text: UTF-8, or ``\xNN`` where they are none."""
    return raw.decode("utf-8", "backslashreplace")


def visible(text: str | bytes) -> str:
    r"""Return one line of text that only prints.

    Examples
    --------
    >>> visible(b"a\x1b[2Jb\n")
    'a\\x1b[2Jb\\n'
    """
    if isinstance(text, bytes):
        text = decode(text)
    if text.isprintable():  # also true of the empty one
        return text
    return "".join([c if c.isprintable() else _escaped(c) for c in text])


def quoted(text: str | bytes) -> str:
    """Return `text` as messages name it: made visible, in quotes."""
    return f"'{visible(text)}'"


def visible_lines(text: str | bytes) -> list[str]:
    """Return the lines of a text that has several on purpose, such as help; each only prints."""
    if isinstance(text, bytes):
        text = decode(text)
    return [visible(line.rstrip("\r")) for line in text.split("\n")]


def _escaped(character: str) -> str:
    short = _SHORT.get(character)
    if short is not None:
        return short
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def to_json(value: Any) -> str:
    """Return `value` as JSON in one line of printable ASCII.

    Bytes are decoded by `decode`; numbers that JSON has none of (``nan``, ``inf``, ``-inf``) are
    strings of these words.
    """
    text = json.dumps(_plain(value), ensure_ascii=True, allow_nan=False)
    # The one control character that JSON lets through.
    return text.replace("\x7f", "\\u007f")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return decode(value)
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
