"""Seeds for the fuzzer: sessions of the transcripts, in the form that each target takes."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

from katcp.errors import KatcpSyntaxError
from katcp.protocol import Message, MessageParser
from tests.expressions.test_expressions import MEANINGS, REFUSED
from tests.helpers.transcripts import FOLDER, raw, read

#: Inputs that have found something once.
FOUND = Path(__file__).parent / "found"


@functools.cache
def _sessions() -> tuple[tuple[bytes, bytes], ...]:
    """Return what was sent to a server, and what it said, in each recording."""
    sessions = []
    for path in sorted(FOLDER.glob("katcp-[0-9][1-9]-*.txt")) + sorted(
        FOLDER.glob("katcp-[1-3]0-*.txt")
    ):
        sent, seen = [], []
        for step in read(path.stem):
            try:
                line = raw(step.text)
            except UnicodeEncodeError:
                continue
            line = b"" if step.text == "(empty line)" else line
            if step.kind == "send":
                sent.append(line)
            elif step.kind == "see":
                seen.append(line)
        sessions.append((_stream(sent), _stream(seen)))
    return tuple(sessions)


def _stream(lines: Iterable[bytes]) -> bytes:
    return b"".join(line[:2000] + b"\n" for line in lines)


def _pieces(stream: bytes, size: int = 600) -> list[bytes]:
    """Cut a long session where lines end, for short seeds are worth more."""
    pieces, piece = [], b""
    for line in stream.splitlines(keepends=True):
        piece += line
        if len(piece) > size:
            pieces.append(piece)
            piece = b""
    return [*pieces, piece] if piece else pieces


def _unique(seeds: Iterable[bytes]) -> list[bytes]:
    return list(dict.fromkeys(seeds))


def framing() -> list[bytes]:
    """Return both directions, in one and in pieces."""
    return _unique(
        bytes([0, 0, cut]) + piece
        for session in _sessions()
        for stream in session
        for cut, piece in enumerate(_pieces(stream))
    )


def _messages() -> list[Message]:
    messages = []
    for session in _sessions():
        for stream in session:
            for line in stream.split(b"\n"):
                try:
                    messages.append(MessageParser().parse(line))
                except KatcpSyntaxError:
                    pass
    return messages


def _piece(data: bytes) -> bytes:
    return bytes([min(255, len(data))]) + data[:255]


def message() -> list[bytes]:
    """Return messages in parts, then as lines."""
    seeds = []
    for each in _messages():
        parts = bytes([each.mtype]) + _piece(each.name.encode()) + bytes([1, 0, 0])
        arguments = each.arguments[:7]
        parts += bytes([len(arguments)]) + b"".join(_piece(one) + b"\0" for one in arguments)
        seeds.append(parts + bytes(each))
    return _unique(seeds)[::7]


def types() -> list[bytes]:
    """Return every argument, with what stood behind it."""
    seeds = []
    for each in _messages():
        for index, argument in enumerate(each.arguments):
            others = each.arguments[index + 1 : index + 4]
            head = bytes([0, len(others)]) + b"".join(map(_piece, others))
            seeds.append(head + argument[:300])
    return _unique(seeds)[::3]


def expressions() -> list[bytes]:
    """Return formulas, good and bad, each with one of the values."""
    texts = [text for text, *_ in MEANINGS] + [text for text, *_ in REFUSED]
    return _unique(bytes([number % 11]) + text.encode() for number, text in enumerate(texts))


def server() -> list[bytes]:
    """Return what clients sent."""
    own = (
        b"?echo a b\n?text \\@\n?kinds 1 2.5 0\n?mode on\n?raw[3] x y z w\n?nap 3\n?side-nap[7] 2\n"
        b"?set an.int 5\n?sensor-sampling an.int event\n?set[9] an.int 6\n"
        b"?sensor-sampling a.float,an.int period 0.01\n?sensor-value[2] /an/\n?sensor-list[1]\n"
    )
    streams = [own, *(sent for sent, _ in _sessions())]
    return _unique(
        bytes([version, cut]) + piece
        for stream in streams
        for cut, piece in enumerate(_pieces(stream))
        for version in (0, 255)
    )


def client() -> list[bytes]:
    """Return what servers said."""
    own = (
        b"!echo[1] ok a\\_b\n#sensor-list[2] a A. \\@ integer\n#sensor-list[2] b B. V float 0 1\n"
        b"!sensor-list[2] ok 2\n#help[3] x X.\n!help[3] ok 1\n#plain x\n!plain ok\n!odd[007] ok\n"
        b"!watchdog[4] ok\n?who-are-you[5] me\n#noise x\n!late[99] fail x\n#disconnect bye\n"
    )
    status = b"".join(b"#sensor-status 1.5 1 a.b nominal %d\n" % i for i in range(40))
    streams = [own, status, *(seen for _, seen in _sessions())]
    return _unique(
        bytes([number % 4, number % 3, number % 5, number % 7]) + piece
        for stream in streams
        for number, piece in enumerate(_pieces(stream))
    )


def inspecting() -> list[bytes]:
    """Return lists of requests and sensors, good and bad, and what devices said of themselves."""
    good = (
        b"# help Help.\n# watchdog Pong.\n! ok 2\n\n# watchdog 5.0\n! ok 1\n\n"
        b"# a A. V integer 0 5\n# b B. \\@ discrete on off\n! ok 2\n\n"
        b"! ok a event\n#sensor-status 1.5 1 a nominal 3\n\n#interface-changed sensor b removed\n\n"
        b"! fail Unknown\\_sensor\\_name.\n\n#sensor-status 1.5 2 a nominal 3 b error on\n"
    )
    bad = (
        b"# help\n#\n# \\@ x\n! ok 7\n\n! fail no\n\n# a A. V complex 0 5\n# a\n# \xff x y z\n"
        b"# a A. V integer 9\n! ok 99\n\n#interface-changed\n#interface-changed x y z\n"
        b"#sensor-status nan 1 a nominal 3\n#sensor-status 1.5 5 a nominal 3\n"
        b"#sensor-status -1e999 1 a what 3\n#version-connect katcp-protocol 4.0\n#disconnect x\n"
    )
    lists = [
        piece.replace(b"\n#sensor-list", b"\n#").replace(b"\n!sensor-list", b"\n!")
        for _, seen in _sessions()
        for piece in _pieces(seen)
        if b"#sensor-list" in piece or b"#help" in piece
    ]
    return _unique(bytes([0, number & 1]) + text for number, text in enumerate([good, bad, *lists]))


def found(target: str) -> list[bytes]:
    """Return inputs that have found something once."""
    return [path.read_bytes() for path in sorted((FOUND / target).glob("*"))]


def write(seeds: Iterable[bytes], folder: Path) -> None:
    """Write seeds to files, as a fuzzer wants them."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (folder / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
