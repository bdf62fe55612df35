"""Escaping of arguments (KATCP guidelines, escape sequences)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.errors import KatcpSyntaxError
from katcp.protocol import escape, unescape

TABLE = [
    (b"\\", b"\\\\"),
    (b" ", b"\\_"),
    (b"\0", b"\\0"),
    (b"\n", b"\\n"),
    (b"\r", b"\\r"),
    (b"\x1b", b"\\e"),
    (b"\t", b"\\t"),
    (b"", b"\\@"),
]


@pytest.mark.parametrize(("value", "wire"), TABLE)
def test_each_escape_both_ways(value: bytes, wire: bytes) -> None:
    assert escape(value) == wire
    assert unescape(wire) == value


@pytest.mark.parametrize("byte", range(256))
def test_every_byte_round_trips(byte: int) -> None:
    value = bytes([byte])
    assert unescape(escape(value)) == value
    assert unescape(escape(b"x" + value + b"y")) == b"x" + value + b"y"


@pytest.mark.parametrize("byte", sorted(set(range(256)) - {ord(v) for v, _ in TABLE if v}))
def test_nothing_else_is_escaped(byte: int) -> None:
    assert escape(bytes([byte])) == bytes([byte])


@given(st.binary())
def test_every_value_round_trips(value: bytes) -> None:
    wire = escape(value)
    assert wire
    assert re.search(rb"[ \0\n\r\x1b\t]", wire) is None
    assert unescape(wire) == value


def test_the_empty_escape_vanishes_wherever_it_stands() -> None:
    assert unescape(b"1\\@2") == b"12"
    assert unescape(b"\\@x\\@") == b"x"
    assert unescape(b"\\@\\@") == b""


def test_unescaping_is_one_pass() -> None:
    assert unescape(b"\\\\n") == b"\\n"
    assert unescape(b"\\\\\\n") == b"\\\n"


@pytest.mark.parametrize("letter", [b"q", b"z", b"N", b"E", b"x", b'"', b"\xff", b"1"])
def test_an_unknown_letter_is_an_error(letter: bytes) -> None:
    with pytest.raises(KatcpSyntaxError) as caught:
        unescape(b"a\\" + letter)
    assert str(caught.value) == f"Invalid escape character {letter!r}."


@pytest.mark.parametrize("wire", [b"\\", b"a\\", b"\\\\\\"])
def test_a_slash_at_the_end_is_an_error(wire: bytes) -> None:
    with pytest.raises(KatcpSyntaxError, match=r"^Escape slash at end of argument\.$"):
        unescape(wire)


@pytest.mark.parametrize("special", [b"\0", b"\n", b"\r", b"\x1b", b"\t", b" "])
def test_a_special_byte_as_it_is_is_an_error(special: bytes) -> None:
    with pytest.raises(KatcpSyntaxError) as caught:
        unescape(b"a" + special + b"b")
    assert str(caught.value) == f"Un-escaped special {special!r}."
