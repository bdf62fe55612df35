"""Targets without a loop: framing, messages, types."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

import katcp_codec

from katcp.client import _runs
from katcp.errors import KatcpSyntaxError, LineTooLong
from katcp.kattypes import (
    Address,
    Bool,
    Bytes,
    Discrete,
    DiscreteMulti,
    FailReply,
    Float,
    Int,
    KatcpType,
    Lru,
    Regex,
    Str,
    StrictTimestamp,
    Struct,
    Timestamp,
    TimestampOrNow,
    request,
    unpack_types,
)
from katcp.protocol import (
    Message,
    MessageParser,
    StreamParser,
    escape,
    to_message,
    unescape,
    wire_mid,
)
from katcp.sensors import Sensor, parse_strategy
from tests.fuzz._source import Source, chunks

_SYMBOLS = {"REQUEST": b"?", "REPLY": b"!", "INFORM": b"#"}
GOOD = b"?watchdog[9] a\\_b"


def plain(event: Any) -> Any:
    """Return an event as something that compares."""
    if isinstance(event, LineTooLong):
        return LineTooLong
    if isinstance(event, KatcpSyntaxError):
        text = str(event)
        return KatcpSyntaxError, "too many" if "arguments discarded" in text else text
    symbol = str(event.mtype).rpartition(".")[2]
    return _SYMBOLS[symbol], event.name, wire_mid(event.mid), list(event.arguments)


class Refusing:
    """A codec that takes nothing, so that all is read by the fall-back in Python."""

    def __init__(self, limit: int) -> None:
        pass

    def append(self, lines: bytes) -> list[ValueError]:
        """Refuse lines."""
        texts = re.split(rb"[\r\n]", lines)
        return [ValueError("refused") for line in texts if line.strip(b" \t")]


def reference(stream: bytes, max_line: int, max_arguments: int) -> list[Any]:
    """Return what splitting and the parser of single lines make of a stream."""
    events: list[Any] = []
    *lines, rest = re.split(rb"[\r\n]", stream)
    for line in lines:
        if len(line) > max_line:
            events.append(LineTooLong)
        elif line.strip(b" \t"):
            events.append(_reference_event(line, max_arguments))
    if len(rest) > max_line:
        events.append(LineTooLong)
    return events


def _reference_event(line: bytes, max_arguments: int) -> Any:
    words = re.split(rb"[ \t]+", line)
    if words[0] and len(words) - 1 - (not words[-1]) > max_arguments:
        return KatcpSyntaxError, "too many"
    try:
        message = MessageParser().parse(line)
    except KatcpSyntaxError as error:
        return KatcpSyntaxError, str(error)
    symbol = Message.TYPE_SYMBOLS[message.mtype]
    return symbol, message.name.encode(), message.mid, message.arguments


def _parsers(max_line: int, max_arguments: int) -> dict[str, StreamParser]:
    runs = _runs.RunParser(max_line, max_arguments)
    for name, mid in ((b"sensor-status", None), (b"sensor-list", 5), (b"a", None)):
        runs.take_runs(name, mid)
    return {
        "chosen": StreamParser(max_line, max_arguments=max_arguments),
        "public": StreamParser(max_line, katcp_codec.Parser, max_arguments),
        "python": StreamParser(max_line, Refusing, max_arguments),
        "runs": runs,
    }


def framing(data: bytes) -> None:
    """All parsers make the same of a stream however it is cut, hold little, and go on."""
    source = Source(data)
    max_line = source.choice([100_000, 20, 60, 600])
    max_arguments = source.choice([65_536, 1, 3, 20])
    cut = source.byte()
    stream = source.rest()
    expected = reference(stream, max_line, max_arguments)
    for name, parser in _parsers(max_line, max_arguments).items():
        found: list[Any] = []
        for chunk in chunks(stream, cut):
            for event in _runs.one_by_one(parser.feed(chunk)):
                found.append(plain(event))
                if name == "chosen" and not isinstance(event, KatcpSyntaxError):
                    _check_identity(event)
            assert parser.buffered <= max_line, (name, parser.buffered)
        assert found == expected, (name, found, expected)
        if max_line >= len(GOOD):
            *_, last = parser.feed(b"\n" + GOOD + b"\n")
            good = b"?", b"watchdog", b"9", [b"a b"]
            assert plain(last) == good, name
            assert not parser.overrun
            assert not parser.buffered


def _check_identity(event: Any) -> None:
    """What is written of a message reads as the same message."""
    written = to_message(event)
    (again,) = StreamParser().feed(bytes(written) + b"\n")
    assert plain(again) == plain(event)
    assert MessageParser().parse(bytes(written)) == written
    assert repr(written)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def message(data: bytes) -> None:
    """A message can be made or is refused; a line parses or is refused; each reads back."""
    source = Source(data)
    kind = source.byte() % 4
    name = _text(source.piece())
    mid: Any = source.choice([None, 1, "7", b"8", _text(source.piece()), source.byte() - 3])
    arguments: list[Any] = []
    for _ in range(source.byte() % 8):
        piece = source.piece()
        as_int = int.from_bytes(piece[:40], "big")
        arguments.append(source.choice([piece, _text(piece), as_int, -as_int / 7e9, piece == b"1"]))
    try:
        made = Message(kind, name, arguments, mid)
    except KatcpSyntaxError:
        pass
    else:
        if made.mid is None or len(made.mid) <= 20:
            assert MessageParser().parse(bytes(made)) == made
        assert made == Message(kind, name, made.arguments, made.mid)
        assert made.copy().arguments == made.arguments
        assert repr(made)
    line = source.rest()
    assert unescape(escape(line)) == line
    assert not re.search(rb"[\0\n\r\x1b\t ]", escape(line))
    try:
        parsed = MessageParser().parse(line)
    except KatcpSyntaxError as error:
        _check_text(error, 1000)
        return
    assert MessageParser().parse(bytes(parsed)) == parsed
    assert repr(parsed)
    try:
        assert str(parsed).encode() == bytes(parsed)
    except UnicodeDecodeError:
        pass  # as it says


_TYPES: list[KatcpType] = [
    Int(),
    Int(min=-5, max=10**30),
    Float(),
    Float(min=-1.0, max=1e300),
    Bool(),
    Str(),
    Bytes(),
    Discrete(("on", "off", "ünknown", "")),
    DiscreteMulti(["a", "b"]),
    Lru(),
    Timestamp(),
    TimestampOrNow(),
    StrictTimestamp(),
    Address(),
    Struct(">hIB"),
    Regex(r"\d\d:\d\d"),
    Str(default="x"),
    Int(optional=True),
]

_SENSORS = {
    "integer": Sensor.integer("i", "I.", "", [-5, 5]),
    "float": Sensor.float("f", "F.", "", [-5.0, 5.0]),
    "boolean": Sensor.boolean("b", "B."),
    "discrete": Sensor.discrete("d", "D.", "", ["on", "off"]),
    "lru": Sensor.lru("l", "L."),
    "string": Sensor.string("s", "S."),
    "timestamp": Sensor.timestamp("t", "T."),
    "address": Sensor.address("a", "A."),
}


_STRATEGIES = (
    b"none",
    b"auto",
    b"event",
    b"period",
    b"event-rate",
    b"differential",
    b"differential-rate",
)


@request(Int(), Float(optional=True), Bool(default=True), Str(multiple=True))
def _handler(device: Any, req: Any, *values: Any) -> Any:
    """Take values."""
    return values


def _check_text(error: Exception, longest: int = 5000) -> None:
    """An error text does not repeat megabytes."""
    assert len(str(error)) < longest


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    return bool(one == other) and type(one) is type(other)


def types(data: bytes) -> None:
    """An argument reads as a value or raises `ValueError`; what is written of it reads the same."""
    source = Source(data)
    major = source.choice([5, 4])
    pieces = [source.piece() for _ in range(source.byte() % 6)]
    raw = source.rest()
    for kattype in _TYPES:
        try:
            value = kattype.unpack(raw, major)
        except ValueError as error:
            _check_text(error)
            continue
        again = kattype.unpack(kattype.pack(value, True, major), major)
        if isinstance(kattype, (TimestampOrNow, Timestamp)) and isinstance(value, float):
            # Written with microseconds, or in whole milliseconds.
            close = math.isclose(value, again, rel_tol=1e-14, abs_tol=1e-6 if major > 4 else 1e-3)
            assert close or _same(value, again), (kattype, value, again)
            continue
        if isinstance(kattype, StrictTimestamp) and major < 5:
            # Written in milliseconds, down to the nanosecond.
            assert math.isclose(value, again, rel_tol=1e-14, abs_tol=1e-9), (value, again)
            continue
        assert _same(value, again), (kattype, value, again)
    for name, sensor in _SENSORS.items():
        try:
            sensor.set_formatted(pieces[0] if pieces else b"1", b"nominal", raw, major)
        except ValueError:
            pass
        sensor.read_formatted(major)
        for strategy in (raw, *_STRATEGIES):
            try:
                plan = parse_strategy(strategy, pieces, sensor, major)
            except ValueError:
                continue
            assert plan.name == strategy
        try:
            sensor_type = Sensor.parse_type(name)
            Sensor(sensor_type, "x", "X.", "", Sensor.parse_params(sensor_type, pieces, major))
        except ValueError:
            pass
    try:
        Sensor.parse_type(raw)
    except KatcpSyntaxError:
        pass
    try:
        unpack_types([Int(), Str(multiple=True)], pieces, [], major)
    except (ValueError, FailReply):
        pass
    try:
        _handler(None, None, Message.request("x", *pieces))
    except FailReply as error:
        _check_text(error)


def replies_expected(
    stream: bytes, max_line: int, max_arguments: int, max_name: int
) -> Counter[Any]:
    """Return which replies the requests in a stream are to get: how many of (name, id)."""
    return Counter(
        (event[1], event[2])
        for event in reference(stream, max_line, max_arguments)
        if event is not LineTooLong and event[0] == b"?" and len(event[1]) <= max_name
    )
