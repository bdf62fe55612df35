"""Codecs under one face: a line to an outcome, and a message to an outcome.

The outcome of a line is the message in it, as (type, name, id, arguments), or an error, or nothing;
that of a message is its line, or an error. An error of another kind than is documented, which a
program that uses the codec does not expect, is another outcome.
"""

from __future__ import annotations

import enum
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import aiokatcp
import katcp_codec

from katcp.errors import KatcpSyntaxError
from katcp.protocol import Message, MessageParser, StreamParser, to_message
from tests.differential._messages import Fields


class NoResult(enum.Enum):
    """What came of it if not what was wanted; members, as bytes are not compared with text."""

    ERROR = "error"
    NOTHING = "nothing"
    OTHER_ERROR = "other error"


ERROR, NOTHING, OTHER_ERROR = NoResult

#: (type, name, digits of the id or None, arguments), or one of those above.
Outcome = Any

#: A Python that has katcp-python 0.9.3.
OLD = os.environ.get("KATCP_OLD_PYTHON")


def plain(fields: Fields) -> bool:
    """Tell whether all arguments are bytes."""
    return all(type(argument) is bytes for argument in fields.arguments)


class Ours:
    """This package: what a connection reads, and what is sent."""

    def __init__(self) -> None:
        self._stream = StreamParser()
        self._parse = MessageParser().parse

    def parse(self, line: bytes) -> Outcome:
        """Return the outcome of a line, in which both parsers must agree."""
        events = self._stream.feed(line + b"\n")
        assert len(events) < 2
        outcome = self._outcome(to_message(events[0]) if _is_message(events) else None)
        if not events:
            assert not line.strip(b" \t")
            return NOTHING
        try:
            alone = self._outcome(self._parse(line))
        except KatcpSyntaxError:
            alone = ERROR
        assert outcome == alone, line
        return outcome

    @staticmethod
    def _outcome(message: Message | None) -> Outcome:
        if message is None:
            return ERROR
        return message.mtype, message.name, message.mid, tuple(message.arguments)

    @staticmethod
    def format(fields: Fields) -> Outcome:
        """Return the outcome of a message."""
        try:
            return bytes(Message(*fields[:2], fields.arguments, fields.mid))
        except ValueError:
            return ERROR


def _is_message(events: list[Any]) -> bool:
    return bool(events) and not isinstance(events[0], KatcpSyntaxError)


class Aiokatcp:
    """aiokatcp 2.3.0."""

    name: ClassVar[str] = "aiokatcp"
    _TYPES: ClassVar[list[Any]] = [
        getattr(aiokatcp.Message.Type, n) for n in Message.TYPE_NAMES.values()
    ]

    def parse(self, lines: Sequence[bytes]) -> list[Outcome]:
        """Return the outcomes of lines."""
        return [self._parse(line) for line in lines]

    def _parse(self, line: bytes) -> Outcome:
        try:
            message = aiokatcp.Message.parse(line + b"\n")
        except aiokatcp.KatcpSyntaxError:
            return ERROR
        except Exception:
            return OTHER_ERROR
        mid = None if message.mid is None else b"%d" % message.mid
        mtype = self._TYPES.index(message.mtype)
        return mtype, message.name, mid, tuple(message.arguments)

    def format(self, messages: Sequence[Fields]) -> list[Outcome]:
        """Return the outcomes of messages."""
        return [self._format(*fields) for fields in messages]

    def _format(self, mtype: int, name: str, mid: int | None, arguments: Any) -> Outcome:
        try:
            line = bytes(aiokatcp.Message(self._TYPES[mtype], name, *arguments, mid=mid))
        except ValueError:
            return ERROR
        except Exception:
            return OTHER_ERROR
        assert line.endswith(b"\n")
        return line[:-1]


class Codec:
    """katcp-codec 0.2, by its public names."""

    name: ClassVar[str] = "katcp-codec"
    _TYPES: ClassVar[list[Any]] = [
        getattr(katcp_codec.MessageType, n) for n in Message.TYPE_NAMES.values()
    ]

    def parse(self, lines: Sequence[bytes]) -> list[Outcome]:
        """Return the outcomes of lines."""
        return [self._parse(line) for line in lines]

    def _parse(self, line: bytes) -> Outcome:
        events = katcp_codec.Parser(1_000_000).append(line + b"\n")
        if not events:
            return NOTHING
        (event,) = events
        if isinstance(event, Exception):
            return ERROR
        mid = None if event.mid is None else b"%d" % event.mid
        mtype = self._TYPES.index(event.mtype)
        return mtype, event.name.decode("ascii"), mid, tuple(event.arguments)

    def format(self, messages: Sequence[Fields]) -> list[Outcome]:
        """Return the outcomes of messages; it takes no arguments but bytes."""
        return [self._format(*fields) if plain(fields) else None for fields in messages]

    def _format(self, mtype: int, name: str, mid: int | None, arguments: Any) -> Outcome:
        try:
            message = katcp_codec.Message(self._TYPES[mtype], name.encode(), mid, list(arguments))
            line = bytes(message)
        except ValueError:
            return ERROR
        except Exception:
            return OTHER_ERROR
        assert line.endswith(b"\n")
        return line[:-1]


class Old:
    """katcp-python 0.9.3, in a process of its own."""

    name: ClassVar[str] = "katcp-python"

    def __init__(self, python: str) -> None:
        # Isolated, or it would import the package of this folder.
        self._process = subprocess.Popen(
            [python, "-I", str(Path(__file__).with_name("old_peer.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="ascii",
        )

    def _ask(self, what: str, values: list[Any]) -> list[Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, values]) + "\n")
        self._process.stdin.flush()
        answer: list[Any] = json.loads(self._process.stdout.readline())
        return answer

    def parse(self, lines: Sequence[bytes]) -> list[Outcome]:
        """Return the outcomes of lines."""
        answers = self._ask("parse", [line.decode("latin-1") for line in lines])
        return [
            NoResult(answer) if isinstance(answer, str) else _read(*answer) for answer in answers
        ]

    def format(self, messages: Sequence[Fields]) -> list[Outcome]:
        """Return the outcomes of messages."""
        values = [
            [mtype, name, mid, [_tagged(argument) for argument in arguments]]
            for mtype, name, mid, arguments in messages
        ]
        answers = self._ask("format", values)
        return [
            answer.encode("latin-1") if isinstance(answer, str) else NoResult(answer[0])
            for answer in answers
        ]

    def close(self) -> None:
        """End the process."""
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(30) == 0


def _read(mtype: int, name: str, mid: str | None, arguments: list[str]) -> Outcome:
    digits = None if mid is None else mid.encode("latin-1")
    return mtype, name, digits, tuple(argument.encode("latin-1") for argument in arguments)


def _tagged(value: Any) -> list[Any]:
    kind = type(value).__name__
    if kind == "bytes":
        return [kind, value.decode("latin-1")]
    return [kind, repr(value) if kind == "float" else value]
