"""The Python parser: codec vectors, the grammar, and the texts of errors."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from katcp.errors import KatcpSyntaxError, KatcpTypeError
from katcp.protocol import Message, MessageParser
from tests.protocol.vectors import BAD_LINES, GOOD_LINES, Vector

parse = MessageParser().parse


@pytest.mark.parametrize("vector", GOOD_LINES, ids=lambda vector: vector.label)
def test_codec_vector(vector: Vector) -> None:
    message = parse(vector.line)
    assert message.mtype == vector.mtype
    assert message.name == vector.name
    assert message.mid == vector.mid
    assert message.arguments == vector.arguments
    assert parse(bytes(message)) == message


@pytest.mark.parametrize("line", BAD_LINES)
def test_bad_codec_vector(line: bytes) -> None:
    with pytest.raises(KatcpSyntaxError):
        parse(line)


def test_a_parsed_message_has_the_types_that_users_rely_on() -> None:
    message = parse(b"?add[7] 1 2")
    assert type(message) is Message
    assert type(message.name) is str
    assert type(message.mid) is bytes
    assert all(type(argument) is bytes for argument in message.arguments)


@pytest.mark.parametrize("byte", range(256))
def test_every_byte_round_trips_in_an_argument(byte: int) -> None:
    message = Message.request("x", bytes([byte]), b"a" + bytes([byte]) + b"z")
    assert parse(bytes(message)) == message


@pytest.mark.parametrize("mid", [b"0", b"007", b"2147483648", b"9" * 20, b"0" * 20])
def test_ids_outside_the_range_are_kept_as_they_are(mid: bytes) -> None:
    message = parse(b"?x[" + mid + b"]")
    assert message.mid == mid
    assert bytes(message) == b"?x[" + mid + b"]"


@pytest.mark.parametrize("digits", [21, 100, 1_000_000])
def test_an_id_has_twenty_digits_at_most(digits: int) -> None:
    with pytest.raises(KatcpSyntaxError) as caught:
        parse(b"?x[" + b"9" * digits + b"]")
    assert str(caught.value).startswith("Bad message name (and possibly id) 'x[999")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"", "Empty message received."),
        (b"bad msg", "Bad type character 'b'."),
        (b" ?watchdog", "Bad type character ' '."),
        (b"   ", "Bad type character ' '."),
        (b"\t", r"Bad type character '\t'."),
        (b"\xe9", "Bad type character 'é'."),
        (b"?", "Bad message name (and possibly id) ''."),
        (b"? foo", "Bad message name (and possibly id) ''."),
        (b"?1foo", "Bad message name (and possibly id) '1foo'."),
        (b"?-foo", "Bad message name (and possibly id) '-foo'."),
        (b"?foo_bar", "Bad message name (and possibly id) 'foo_bar'."),
        (b"?foo.bar", "Bad message name (and possibly id) 'foo.bar'."),
        (b"?foo[abc]", "Bad message name (and possibly id) 'foo[abc]'."),
        (b"?foo[]", "Bad message name (and possibly id) 'foo[]'."),
        (b"?foo[1", "Bad message name (and possibly id) 'foo[1'."),
        (b"?foo[1]x", "Bad message name (and possibly id) 'foo[1]x'."),
        (b"?foo[-1]", "Bad message name (and possibly id) 'foo[-1]'."),
        ("?wéb".encode(), "Bad message name (and possibly id) 'wéb'."),
        (b"?echo nul\0here", r"Un-escaped special b'\x00'."),
        (b"?echo esc\x1bhere", r"Un-escaped special b'\x1b'."),
        (b"?echo cr\rhere", r"Un-escaped special b'\r'."),
        (b"?echo lf\nhere", r"Un-escaped special b'\n'."),
        (b"?echo \\z", "Invalid escape character b'z'."),
        (b"?echo \\\xff", r"Invalid escape character b'\xff'."),
        (b"?echo a\\", "Escape slash at end of argument."),
        (b"?echo \\", "Escape slash at end of argument."),
        (b"?echo b\\ c", "Escape slash at end of argument."),
    ],
)
def test_error_texts_say_what_is_wrong(line: bytes, text: str) -> None:
    with pytest.raises(KatcpSyntaxError) as caught:
        parse(line)
    assert str(caught.value) == text


def test_w4_a_name_that_is_not_utf_8_is_a_syntax_error() -> None:
    with pytest.raises(KatcpSyntaxError) as caught:
        parse(b"?w\xffb")
    assert str(caught.value) == r"Bad message name (and possibly id) 'w\xffb'."


def test_a_long_bad_name_is_repeated_in_part() -> None:
    with pytest.raises(KatcpSyntaxError) as caught:
        parse(b"?_" + b"x" * 10_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("line", ["?watchdog", None, 5, bytearray(b"?watchdog")])
def test_text_is_not_parsed(line: Any) -> None:
    with pytest.raises(KatcpTypeError, match="must be bytes"):
        parse(line)


def test_tables_are_public() -> None:
    assert MessageParser.TYPE_SYMBOL_LOOKUP == Message.TYPE_SYMBOL_LOOKUP
    assert MessageParser.ESCAPE_LOOKUP == Message.ESCAPE_LOOKUP
    assert MessageParser.WHITESPACE_RE.split(b"a \t b") == [b"a", b"b"]
    assert MessageParser.SPECIAL_RE.findall(b"a\0b\x1bc\x0b") == [b"\0", b"\x1b"]
    assert MessageParser.UNESCAPE_RE.sub(b"!", b"a\\_b\\") == b"a!b!"
    match = MessageParser.NAME_RE.match(b"foo-bar[12]")
    assert match is not None
    assert match.groupdict() == {"name": b"foo-bar", "id": b"12"}
    assert MessageParser.NAME_RE.match(b"foo_bar") is None


# -- against the grammar of the guidelines, written down once more ------------------------

_PLAIN = rb"[^\x00\t\n\r\x1b \\]"
_ARGUMENT = rb"(?:" + _PLAIN + rb"|\\[\\_0nret@])+"
#: KATCP guidelines, message grammar; ids as this package takes them.
MESSAGE = re.compile(
    rb"[?!#][A-Za-z][A-Za-z0-9-]*(?:\[[0-9]{1,20}\])?(?:[ \t]+" + _ARGUMENT + rb")*[ \t]*"
)

PIECES = (
    [b"?", b"!", b"#", b"a", b"Z9", b"-", b"_", b".", b"[", b"1", b"0", b"]", b" ", b"\t", b"\\"],
    [b"\\@", b"\\n", b"\\0", b"\0", b"\x1b", b"\x0b", b"\xe9", b"\x7f", b"@", b"n", b"help", b"\r"],
)
pieces = st.sampled_from(list(itertools.chain(*PIECES)))
lines = st.lists(pieces, max_size=12).map(b"".join)


@given(lines | st.binary(max_size=20) | lines.map(b"?a".__add__) | lines.map(b"!b[7] ".__add__))
@example(b"?a[1]b")
@example(b"?a \\@\\@")
@example(b"?a\x0b")
@example(b"?a\r")
def test_the_parser_takes_what_the_grammar_has_and_nothing_else(line: bytes) -> None:
    try:
        message = parse(line)
    except KatcpSyntaxError:
        assert MESSAGE.fullmatch(line) is None
    else:
        assert MESSAGE.fullmatch(line) is not None
        assert parse(bytes(message)) == message
