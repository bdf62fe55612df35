"""Chunks of bytes to messages: the stream side of the parser.

Operations wanted: take chunks as they come off a socket, split anywhere; give back messages
and, in their place in the stream, errors; hold no more than one line's worth of bytes.

Plan: whole lines go to the native parser of katcp-codec in one call (0.2 µs a message). Its
errors do not say which text was wrong, and it refuses ids that this package answers (``[0]``,
``[007]``), so a chunk with an error in it is read again line by line in Python. A chunk without
errors, which is nearly every chunk, never meets Python code.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

import katcp_codec

from katcp.errors import KatcpSyntaxError, LineTooLong
from katcp.protocol._constants import DEFAULT_MAX_ARGUMENTS, DEFAULT_MAX_LINE
from katcp.protocol._message import Message
from katcp.protocol._parser import MessageParser, shown

_EOL = re.compile(rb"[\r\n]")
_ARGUMENT = re.compile(rb"[ \t]+[^ \t]")
_BLANK = b" \t"
#: No line handed to the native parser can reach this: framing has cut it before.
_NO_LIMIT = 2**31 - 1


class WireMessage(Protocol):
    """What the stream parser yields for a well-formed line."""

    @property
    def mtype(self) -> Any:
        """One of `REQUEST`, `REPLY`, `INFORM` of this module (compare with ``is``)."""

    @property
    def name(self) -> bytes:
        """Message name."""

    @property
    def mid(self) -> int | bytes | None:
        """Message id: an int in 1..2**31-1, or the digits where they are anything else."""

    @property
    def arguments(self) -> list[bytes]:
        """Arguments, unescaped."""


class _PythonMessage:
    """A message read by the Python parser."""

    __slots__ = ("arguments", "mid", "mtype", "name")

    def __init__(
        self, mtype: Any, name: bytes, mid: int | bytes | None, arguments: list[bytes]
    ) -> None:
        self.mtype = mtype
        self.name = name
        self.mid = mid
        self.arguments = arguments


def _choose_codec() -> tuple[Any, Any]:
    """Return (message types, parser class) of the fastest codec that behaves as expected.

    The native classes under ``katcp_codec`` are private to it, so they are tried before they
    are trusted; the public ones, which build a dataclass for every message, do otherwise.
    """
    public = (katcp_codec.MessageType, katcp_codec.Parser)
    try:
        native = katcp_codec._lib  # noqa: SLF001  # see above
        types, parser = native.MessageType, native.Parser
        events: Any = parser(1000).append(b"?ab[12] x\\_y \\@\n \n?bad_name\r!r ok\n#i\n")
        request, error, reply, inform = events
        behaves = (
            request.mtype is types.REQUEST
            and reply.mtype is types.REPLY
            and inform.mtype is types.INFORM
            and (request.name, request.mid, request.arguments) == (b"ab", 12, [b"x y", b""])
            and type(error) is ValueError
        )
    except Exception:  # whatever a future version of a private module may do
        return public
    return (types, parser) if behaves else public


_types, _Parser = _choose_codec()
REQUEST: Any = _types.REQUEST
REPLY: Any = _types.REPLY
INFORM: Any = _types.INFORM

# The native types cannot be hashed, hence no dict.
_WIRE_TYPES = {Message.REQUEST: REQUEST, Message.REPLY: REPLY, Message.INFORM: INFORM}


def wire_mid(mid: int | bytes | None) -> bytes | None:
    """Return the id of a wire message as digits, as `Message.mid` has it."""
    return b"%d" % mid if type(mid) is int else mid  # type: ignore[return-value]


def to_message(wire: WireMessage) -> Message:
    """Make a `Message` of what the stream parser yielded."""
    kind = wire.mtype
    mtype = (
        Message.REQUEST if kind is REQUEST else Message.REPLY if kind is REPLY else Message.INFORM
    )
    return Message.from_wire(mtype, wire.name.decode("ascii"), wire.arguments, wire_mid(wire.mid))


class StreamParser:
    """Takes the bytes of one connection and gives back its messages.

    Parameters
    ----------
    max_line : int
        Longest line taken, without its end [bytes].
    codec : class, optional
        Parser class to use in place of the one chosen at import; for tests.
    max_arguments : int
        Most arguments of a message.

    Attributes
    ----------
    overrun : int
        How many bytes of the present line have been discarded because it is too long; 0 when
        the line is (still) short enough.
    troubled : bool
        Whether there were lines that take long, such as bad ones; to be reset by the reader.
    """

    __slots__ = ("_append", "_few", "_held", "max_arguments", "max_line", "overrun", "troubled")

    def __init__(
        self,
        max_line: int = DEFAULT_MAX_LINE,
        codec: Callable[[int], Any] | None = None,
        max_arguments: int = DEFAULT_MAX_ARGUMENTS,
    ) -> None:
        if max_line < 1:
            raise ValueError(f"max_line must be positive, not {max_line}.")
        if max_arguments < 1:
            raise ValueError(f"max_arguments must be positive, not {max_arguments}.")
        self.max_line = max_line
        self.max_arguments = max_arguments
        # Each takes a space and a byte: a line of up to this length has no more of them. What is
        # read at once is shorter, so only lines that came in pieces are ever looked at.
        self._few = 2 * max_arguments + 2
        self.overrun = 0
        self.troubled = False
        self._append: Callable[[bytes], list[Any]] = (codec or _Parser)(_NO_LIMIT).append
        # The beginning of a line whose end has not come yet. One array, for a line may come in a
        # million pieces, each of which would take far more memory than its bytes.
        self._held = bytearray()

    @property
    def buffered(self) -> int:
        """Number of bytes held of a line that has not ended."""
        return len(self._held)

    @property
    def beginning(self) -> bytes:
        """The first bytes of a line that has not ended."""
        return bytes(self._held[:16])

    def feed(self, data: bytes) -> list[WireMessage | KatcpSyntaxError]:
        """Take a chunk; return the messages and errors that it completes, in order.

        Blank lines vanish. A line over the limit yields one `LineTooLong` as soon as it is known
        to be, and nothing more.
        """
        # The usual case: nothing held, whole lines only.
        if (
            not self._held
            and not self.overrun
            and data[-1:] == b"\n"
            and len(data) <= self.max_line
        ):
            return self._parse(data)
        return self._feed_pieces(data)

    def _feed_pieces(self, data: bytes) -> list[WireMessage | KatcpSyntaxError]:
        result: list[WireMessage | KatcpSyntaxError] = []
        first = _EOL.search(data)
        if first is None:
            self._hold(data, result)
            return result
        head_end = first.end()
        if self.overrun:  # the line that was too long ends here
            self.overrun = 0
        else:
            self._hold(data[: first.start()], result)
            if self._held:
                self._held += b"\n"
                line = bytes(self._held)
                self._held = bytearray()
                result.extend(self._parse(line))
            self.overrun = 0
        last = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if last > head_end:
            result.extend(self._parse_bounded(data[head_end:last]))
        if last < len(data):
            self._hold(data[last:], result)
        return result

    def _hold(self, piece: bytes, result: list[WireMessage | KatcpSyntaxError]) -> None:
        """Keep the beginning of a line, or give the line up if it is too long."""
        if not piece:
            return
        if self.overrun:
            self.overrun += len(piece)
        elif len(self._held) + len(piece) > self.max_line:
            self.overrun = len(self._held) + len(piece)
            # No more of it than is there however the line was cut into pieces.
            beginning = bytes(self._held[:60] + piece[:60])[: min(60, self.max_line)]
            self._held = bytearray()
            result.append(
                LineTooLong(
                    f"Line longer than {self.max_line} bytes discarded: {shown(beginning)}..."
                )
            )
        else:
            self._held += piece

    def _parse_bounded(self, lines: bytes) -> list[WireMessage | KatcpSyntaxError]:
        if len(lines) <= self.max_line:
            return self._parse(lines)
        return self._parse_slowly(lines)

    def _parse(self, lines: bytes) -> list[WireMessage | KatcpSyntaxError]:
        if len(lines) > self._few and max(map(len, lines.split(b"\n"))) > self._few:
            return self._parse_slowly(lines)
        events = self._append(lines)
        for event in events:
            # This class itself, or it was not chosen; `isinstance` takes 2.5 times as long.
            if event.__class__ is ValueError:
                return self._parse_again(lines, events)
        return events

    def _parse_again(self, lines: bytes, events: list[Any]) -> list[WireMessage | KatcpSyntaxError]:
        """Read in Python the lines that the codec has refused."""
        texts = [line for line in _EOL.split(lines) if line.strip(_BLANK)]
        if len(texts) != len(events):  # a codec that takes other lines for blank
            return self._parse_slowly(lines)
        self.troubled = True
        return [
            _parse_in_python(line) if event.__class__ is ValueError else event
            for line, event in zip(texts, events, strict=True)
        ]

    def _parse_slowly(self, lines: bytes) -> list[WireMessage | KatcpSyntaxError]:
        self.troubled = True
        result: list[WireMessage | KatcpSyntaxError] = []
        for line in _EOL.split(lines):
            if not line or not line.strip(_BLANK):
                continue
            if len(line) > self.max_line:
                self._hold(line, result)
                self.overrun = 0
                continue
            if len(line) > self._few and self._has_too_many(line):
                result.append(
                    KatcpSyntaxError(
                        f"Message of more than {self.max_arguments} arguments discarded: "
                        f"{shown(line[:60])}..."
                    )
                )
                continue
            # One line at a time through the same codec; Python only for what it refuses, or a codec
            # to come may take for blank.
            events = self._append(line + b"\n")
            event = events[0] if events else None
            if event is None or isinstance(event, ValueError):
                event = _parse_in_python(line)
            result.append(event)
        return result

    def _has_too_many(self, line: bytes) -> bool:
        """Tell whether a line has too many arguments, without making any of them."""
        if line[0] in _BLANK or line.count(b" ") + line.count(b"\t") <= self.max_arguments:
            return False  # without a type it is no message, whatever follows
        return sum(1 for _ in _ARGUMENT.finditer(line)) > self.max_arguments


_parse_line = MessageParser().parse


def _parse_in_python(line: bytes) -> WireMessage | KatcpSyntaxError:
    try:
        message = _parse_line(line)
    except KatcpSyntaxError as error:
        # It is a result, of which there may be thousands in a chunk: the frames are not wanted.
        return error.with_traceback(None)
    return _PythonMessage(
        _WIRE_TYPES[message.mtype], message.name.encode("ascii"), message.mid, message.arguments
    )
