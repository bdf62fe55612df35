"""Streams of bytes to messages and errors: framing, limits, and the codecs that do the work."""

from __future__ import annotations

import importlib.util
import itertools
import re
from typing import Any

import katcp_codec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from katcp.errors import KatcpSyntaxError, LineTooLong
from katcp.protocol import (
    DEFAULT_MAX_LINE,
    INFORM,
    REPLY,
    REQUEST,
    Message,
    MessageParser,
    StreamParser,
    _framing,
    to_message,
    wire_mid,
)
from tests.protocol.vectors import BAD_LINES, GOOD_LINES, Vector

#: The type byte of a message, whichever codec made it.
SYMBOLS = {"REQUEST": b"?", "REPLY": b"!", "INFORM": b"#"}


def plain(event: Any) -> Any:
    """Return an event as something that compares: messages as tuples, errors as type and text."""
    if isinstance(event, KatcpSyntaxError):
        return type(event), str(event)
    symbol = SYMBOLS[str(event.mtype).rpartition(".")[2]]
    return symbol, event.name, wire_mid(event.mid), list(event.arguments)


def feed(parser: StreamParser, *chunks: bytes) -> list[Any]:
    return [plain(event) for chunk in chunks for event in parser.feed(chunk)]


def reference(stream: bytes, max_line: int = DEFAULT_MAX_LINE) -> list[Any]:
    """Return what the Python parser and plain splitting make of a stream."""
    events: list[Any] = []
    *lines, rest = re.split(rb"[\r\n]", stream)
    for line in lines:
        if not line.strip(b" \t") and len(line) <= max_line:
            continue
        if len(line) > max_line:
            events.append(LineTooLong)
            continue
        try:
            message = MessageParser().parse(line)
        except KatcpSyntaxError as error:
            events.append((KatcpSyntaxError, str(error)))
        else:
            symbol = Message.TYPE_SYMBOLS[message.mtype]
            events.append((symbol, message.name.encode(), message.mid, message.arguments))
    if len(rest) > max_line:
        events.append(LineTooLong)
    return events


def without_excerpts(events: list[Any]) -> list[Any]:
    return [LineTooLong if event[0] is LineTooLong else event for event in events]


@pytest.fixture(scope="module")
def public_framing() -> Any:
    """The room, loaded once more as it is where the codec has no native parser within reach."""
    native = katcp_codec._lib
    del katcp_codec._lib
    try:
        spec = importlib.util.spec_from_file_location("katcp_framing_public", _framing.__file__)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        katcp_codec._lib = native
    return module


# -- vectors -----------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
@pytest.mark.parametrize("vector", GOOD_LINES, ids=lambda vector: vector.label)
def test_codec_vector(vector: Vector, end: bytes) -> None:
    (event,) = StreamParser().feed(vector.line + end)
    assert not isinstance(event, KatcpSyntaxError)
    message = to_message(event)
    assert message == Message(vector.mtype, vector.name, vector.arguments, vector.mid)
    assert event.mtype is {0: REQUEST, 1: REPLY, 2: INFORM}[vector.mtype]


@pytest.mark.parametrize("line", BAD_LINES)
def test_bad_codec_vector(line: bytes) -> None:
    with pytest.raises(KatcpSyntaxError) as caught:
        MessageParser().parse(line)
    assert feed(StreamParser(), line + b"\n") == [(KatcpSyntaxError, str(caught.value))]


@pytest.mark.parametrize("byte", range(256))
def test_every_byte_round_trips_in_an_argument(byte: int) -> None:
    message = Message.request("x", bytes([byte]), b"a" + bytes([byte]) + b"z")
    (event,) = StreamParser().feed(bytes(message) + b"\n")
    assert not isinstance(event, KatcpSyntaxError)
    assert to_message(event) == message


@pytest.mark.parametrize("mid", [b"1", b"2147483647", b"0", b"007", b"2147483648", b"9" * 20])
def test_ids_in_and_outside_the_range_come_through(mid: bytes) -> None:
    (event,) = StreamParser().feed(b"?x[" + mid + b"] a\n")
    assert not isinstance(event, KatcpSyntaxError)
    assert wire_mid(event.mid) == mid
    assert bytes(to_message(event)) == b"?x[" + mid + b"] a"


@pytest.mark.parametrize("symbol", [b"?", b"!", b"#"])
def test_types_of_messages_that_only_python_reads(symbol: bytes) -> None:
    (event,) = StreamParser().feed(symbol + b"x[0]\n")
    assert not isinstance(event, KatcpSyntaxError)
    assert event.mtype is {b"?": REQUEST, b"!": REPLY, b"#": INFORM}[symbol]
    assert event.name == b"x"
    assert bytes(to_message(event)) == symbol + b"x[0]"


# -- lines -------------------------------------------------------------------------------


def test_several_lines_in_one_chunk_and_one_line_in_several() -> None:
    parser = StreamParser()
    assert len(parser.feed(b"?a\n?b\r?c\r\n")) == 3
    assert parser.feed(b"?wat") == []
    assert parser.buffered == 4
    assert parser.feed(b"chdog[") == []
    assert feed(parser, b"5]\n") == [(b"?", b"watchdog", b"5", [])]
    assert parser.buffered == 0


def test_a_line_without_an_end_is_held() -> None:
    parser = StreamParser()
    assert feed(parser, b"?a\n?b") == [(b"?", b"a", None, [])]
    assert parser.buffered == 2
    assert feed(parser, b"\r") == [(b"?", b"b", None, [])]


@pytest.mark.parametrize(
    "blank", [b"\n", b"\r", b"\r\n", b"\n\n\n", b"   \n", b" \t \r", b"\t\n \n\n"]
)
def test_blank_lines_vanish(blank: bytes) -> None:
    parser = StreamParser()
    assert parser.feed(blank) == []
    assert feed(parser, blank + b"?a\n" + blank) == [(b"?", b"a", None, [])]
    assert feed(parser, b"?bad_\n" + blank + b"?b\n")[1:] == [(b"?", b"b", None, [])]
    assert [parser.feed(blank[i : i + 1]) for i in range(len(blank))] == [[]] * len(blank)


def test_an_empty_chunk_is_nothing() -> None:
    parser = StreamParser()
    assert parser.feed(b"") == []
    parser.feed(b"?a")
    assert parser.feed(b"") == []
    assert feed(parser, b"\n") == [(b"?", b"a", None, [])]


def test_errors_stand_in_their_place() -> None:
    events = feed(StreamParser(), b"?a\nhello\n?b[0]\n?c\\_\n#d x\n")
    assert [event[0] for event in events] == [b"?", KatcpSyntaxError, b"?", KatcpSyntaxError, b"#"]
    assert events[1][1] == "Bad type character 'h'."
    assert events[2] == (b"?", b"b", b"0", [])


# -- limits ------------------------------------------------------------------------------


def test_the_limit_must_be_positive() -> None:
    with pytest.raises(ValueError, match="max_line"):
        StreamParser(0)


@pytest.mark.parametrize("excess", [-1, 0, 1])
@pytest.mark.parametrize("size", [64, 5000, 70_000])
@pytest.mark.parametrize("way", ["whole", "end apart", "in pieces", "among others", "no end"])
def test_a_line_around_the_limit(size: int, excess: int, way: str) -> None:
    parser = StreamParser(size)
    line = b"?a " + b"x" * (size - 3 + excess)
    assert len(line) == size + excess
    message = (b"?", b"a", None, [line[3:]])
    other = (b"?", b"b", None, [])
    expected: list[Any] = [message] if excess <= 0 else [LineTooLong]
    if way == "whole":
        events = feed(parser, line + b"\n")
    elif way == "end apart":
        events = feed(parser, line, b"\n")
    elif way == "in pieces":
        step = size // 50
        events = feed(parser, *[line[i : i + step] for i in range(0, len(line), step)], b"\n")
    elif way == "among others":
        events = feed(parser, b"?b\n" + line + b"\n?b\n")
        expected = [other, *expected, other]
    else:
        events = feed(parser, line)
        expected = [LineTooLong] if excess > 0 else []
    assert without_excerpts(events) == expected
    if way != "no end":
        assert feed(parser, b"?b\n") == [other]


def test_the_end_of_line_does_not_count() -> None:
    parser = StreamParser(10)
    assert feed(parser, b"?a " + b"x" * 7 + b"\n") == [(b"?", b"a", None, [b"x" * 7])]
    assert feed(parser, b"?a " + b"x" * 7, b"\r") == [(b"?", b"a", None, [b"x" * 7])]


def test_many_short_lines_may_be_longer_than_the_limit_together() -> None:
    assert len(StreamParser(10).feed(b"?a\n" * 1000)) == 1000


def test_an_overlong_line_in_pieces_is_one_error_as_soon_as_it_is_known() -> None:
    parser = StreamParser(10)
    assert parser.feed(b"?a " + b"x" * 7) == []
    (error,) = parser.feed(b"x")
    assert isinstance(error, LineTooLong)
    assert parser.overrun == 11
    assert parser.buffered == 0
    assert parser.feed(b"x" * 1000) == []
    assert parser.overrun == 1011
    assert feed(parser, b"xx\n?b\n") == [(b"?", b"b", None, [])]
    assert parser.overrun == 0


def test_an_overlong_line_that_ends_with_its_chunk() -> None:
    parser = StreamParser(10)
    assert without_excerpts(feed(parser, b"?a " + b"x" * 20 + b"\n")) == [LineTooLong]
    assert parser.overrun == 0
    assert parser.feed(b"\n") == []


def test_two_overlong_lines_are_two_errors() -> None:
    parser = StreamParser(10)
    line = b"x" * 11
    assert without_excerpts(feed(parser, line + b"\n" + line + b"\n?b\n" + line)) == [
        LineTooLong,
        LineTooLong,
        (b"?", b"b", None, []),
        LineTooLong,
    ]
    assert parser.overrun == 11
    assert without_excerpts(feed(parser, b"\n" + line)) == [LineTooLong]


def test_what_is_said_of_an_overlong_line_is_short_and_says_its_beginning() -> None:
    (error,) = StreamParser(100_000).feed(b"?echo \xff" + b"x" * 200_000)
    assert isinstance(error, KatcpSyntaxError)
    assert str(error).startswith(r"Line longer than 100000 bytes discarded: '?echo \xffxxx")
    assert len(str(error)) < 150


def test_a_hundred_megabytes_without_an_end_are_not_kept() -> None:
    parser = StreamParser(1000)
    chunk = b"x" * 100_000
    events = [event for _ in range(1000) for event in parser.feed(chunk)]
    assert len(events) == 1
    assert parser.overrun == 100_000_000
    assert parser.buffered == 0


# -- splits ------------------------------------------------------------------------------

PIECES = (
    [b"?a", b"!b[7]", b"#c[0]", b"?x-1[2147483648]", b" ", b"\t", b"\n", b"\r", b"\r\n", b"\n\n"],
    [b"arg", b"\\@", b"\\_", b"\\q", b"\\", b"\0", b"\x1b", b"\xe9\xff", b"_", b"[", b"]", b"0"],
    [b"?watchdog[12] x\\_y \\@\n", b"!ok[1] ok\n", b"xxxxxxxxxxxxxxxx"],
)
pieces = st.sampled_from(list(itertools.chain(*PIECES)))
streams = st.lists(pieces, max_size=25).map(b"".join)


@st.composite
def split_streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    stream = draw(streams)
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    edges = [0, *cuts, len(stream)]
    return stream, [stream[a:b] for a, b in itertools.pairwise(edges)]


@given(split_streams(), st.sampled_from([5, 20, DEFAULT_MAX_LINE]))
@example((b"?aaaaaaaaaaaaaaaaaaaaaaa\n?b\n", [b"?aaaaaaaa", b"aaaaaaaaaaaaaaa\n?b\n"]), 5)
def test_every_split_yields_the_same_events_as_one_shot(
    case: tuple[bytes, list[bytes]], max_line: int
) -> None:
    stream, chunks = case
    whole, split = StreamParser(max_line), StreamParser(max_line)
    events = feed(whole, stream)
    assert feed(split, *chunks) == events
    assert split.buffered == whole.buffered
    assert bool(split.overrun) == bool(whole.overrun)
    assert without_excerpts(events) == reference(stream, max_line)


@settings(max_examples=50)
@given(streams)
def test_byte_by_byte_yields_the_same_events(stream: bytes) -> None:
    chunks = [stream[i : i + 1] for i in range(len(stream))]
    assert feed(StreamParser(), *chunks) == feed(StreamParser(), stream)


@given(st.binary(max_size=60))
def test_any_bytes_yield_messages_or_syntax_errors(stream: bytes) -> None:
    assert feed(StreamParser(), stream + b"\n") == reference(stream + b"\n")


# -- codecs ------------------------------------------------------------------------------


@given(split_streams(), st.sampled_from([20, DEFAULT_MAX_LINE]))
def test_the_native_codec_the_public_one_and_python_agree(
    public_framing: Any, case: tuple[bytes, list[bytes]], max_line: int
) -> None:
    stream, chunks = case
    native = feed(StreamParser(max_line), *chunks)
    public = feed(public_framing.StreamParser(max_line), *chunks)
    given_in = feed(StreamParser(max_line, codec=katcp_codec.Parser), *chunks)
    assert native == public == given_in
    assert without_excerpts(native) == reference(stream, max_line)


@pytest.mark.parametrize("vector", GOOD_LINES, ids=lambda vector: vector.label)
def test_codec_vector_through_the_public_codec(public_framing: Any, vector: Vector) -> None:
    (event,) = public_framing.StreamParser().feed(vector.line + b"\n")
    assert public_framing.to_message(event) == Message(
        vector.mtype, vector.name, vector.arguments, vector.mid
    )


def test_the_public_codec_stands_in_where_there_is_no_native_one(public_framing: Any) -> None:
    assert public_framing.REQUEST is katcp_codec.MessageType.REQUEST
    assert _framing._choose_codec() == (_framing._types, _framing._Parser)


class _Types:
    REQUEST, REPLY, INFORM = object(), object(), object()


class _Careless:
    """A native module that has changed its ways."""

    MessageType = _Types

    class Parser:
        def __init__(self, max_line: int) -> None:
            self.real = katcp_codec.Parser(max_line)

        def append(self, data: bytes) -> list[Any]:
            return self.real.append(data)


class _Silent(_Careless):
    class Parser(_Careless.Parser):
        def append(self, data: bytes) -> list[Any]:
            return []


@pytest.mark.parametrize("module", [None, _Careless, _Silent], ids=["none", "careless", "silent"])
def test_a_native_codec_that_does_not_behave_is_not_used(
    monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    monkeypatch.setattr(katcp_codec, "_lib", module)
    assert _framing._choose_codec() == (katcp_codec.MessageType, katcp_codec.Parser)


def test_a_wire_id_becomes_digits() -> None:
    assert wire_mid(None) is None
    assert wire_mid(12) == b"12"
    assert wire_mid(b"007") == b"007"
