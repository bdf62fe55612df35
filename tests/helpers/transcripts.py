"""Recordings of another implementation, read and replayed against a server.

A recording is a list of steps, in order of time: lines that clients send, lines that they see,
connections that come and go, and remarks that tell what was done on the server's side. Replaying
keeps the order and what depends on what: everything that was seen before a step is waited for
before the step is made. Times are not kept, since they are the recorder's.

What is to be different from the recording is listed in a table; nothing else may be, and what is
listed has to be so, line by line. `Changed` is a line that reads otherwise (or is not sent),
`Extra` one that the recording does not have.
"""

from __future__ import annotations

import ast
import asyncio
import dataclasses
import fnmatch
import functools
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from katcp import __version__
from katcp.protocol import Message
from katcp.sensors import Sensor
from tests.helpers.wire import WireClient

FOLDER = Path(__file__).parent.parent / "transcripts"

#: The version that was recorded; the server tells its own.
RECORDED_LIBRARY = "katcp-python-0.9.3"
RECORDED_VERSION = "0.9.3"

#: Nothing that is waited for takes longer [s].
PATIENCE = 10.0

_LINE = re.compile(r" *(?P<time>\d+\.\d+) (?P<kind>>|<|--)(?P<conn>\w*) ?(?P<text>.*)")
_CONNECTION = re.compile(r"(?P<what>.*?) \((?P<conn>\w+)\)(?P<more>.*)")
_BYTE = re.compile(r"\{([0-9A-F]{2})\}")
_PLACE = re.compile(
    r"<DOC \d+ bytes as escaped on the wire>|<FRAMES>|<NOW>|<PID>|<PORT\d*>| ?<\d+ bytes in all>"
    r"|17951755\d\d\.\d{6}"
)


class Step(NamedTuple):
    """One line of a recording."""

    kind: str  # "send", "see", "event" or "remark"
    connection: str
    text: str
    number: int  # of the line in its file

    def __str__(self) -> str:
        sign = {"send": ">", "see": "<", "event": "--", "remark": ";;"}[self.kind]
        return f"{sign}{self.connection} {self.text}"


def read(name: str) -> list[Step]:
    """Read a recording, such as ``katcp-02-help``."""
    return list(_read((FOLDER / f"{name}.txt").read_text(encoding="utf-8")))


def _read(text: str) -> Iterator[Step]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith(";;"):
            yield Step("remark", "", line[2:].strip(), number)
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            assert not line, f"line {number} is not understood: {line!r}"
            continue
        kind = {">": "send", "<": "see", "--": "event"}[match["kind"]]
        connection, said = match["conn"], match["text"]
        if kind == "event":
            named = _CONNECTION.fullmatch(said)
            if named is not None:
                connection, said = named["conn"], named["what"] + named["more"]
        yield Step(kind, connection, said, number)


def raw(text: str) -> bytes:
    """Return the bytes that a line of a recording stands for."""
    return b"".join(
        bytes([int(piece, 16)]) if odd else piece.encode("ascii")
        for odd, piece in ((i % 2, p) for i, p in enumerate(_BYTE.split(text)))
    )


# -- differences ---------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Difference:
    r"""Something that is meant to be otherwise than recorded.

    Lines are given in the notation of the recordings. A word in braces, such as ``{text}``, stands
    for anything; where it comes up again it is the same.

    Attributes
    ----------
    reason : str
        Why: a number of a wart of katcp-python, or a rule of the protocol guidelines.
    files : str
        Pattern of the recordings that it is in, without ``katcp-``; several with ``|``.
    mode : str or None
        Mode of the server that it is for, if not for all.
    """

    reason: str
    files: str
    mode: str | None = dataclasses.field(default=None, kw_only=True)

    def concerns(self, name: str, mode: str) -> bool:
        """Tell whether it is in a recording, replayed in a mode."""
        patterns = [f"katcp-{pattern}" for pattern in self.files.split("|")]
        known = any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
        return known and self.mode in (None, mode)


@dataclasses.dataclass(frozen=True)
class Changed(Difference):
    """A line that reads otherwise, or is not sent.

    Attributes
    ----------
    recorded : str
        The recorded line; or an event, such as the end of the stream.
    ours : str or None
        What it is to be; several lines with LF between them. None: it does not come.
    asked : str or None
        What the client has sent before, if the recorded line alone does not tell.
    """

    recorded: str
    ours: str | None
    asked: str | None = dataclasses.field(default=None, kw_only=True)

    def apply(self, text: str, asked: str) -> str | None:
        """Return what is to come for a recorded line; raises `KeyError` if it is another line."""
        match = _wild(self.recorded).fullmatch(text)
        if match is None or (self.asked is not None and not _wild(self.asked).fullmatch(asked)):
            raise KeyError(text)
        if self.ours is None:
            return None
        return _WORD.sub(lambda word: match[word[1]], self.ours)


@dataclasses.dataclass(frozen=True)
class Extra(Difference):
    """A line that the recording does not have.

    Attributes
    ----------
    after : str
        The step before it, with its sign, such as ``>1 ?watchdog``. ``{conn}`` is the connection.
    line : str
        The line.
    to : str
        ``same`` connection, or all ``others``.
    anywhere : bool
        Whether other lines may come before it.
    since : str or None
        A step that must have been made, for the line to come.
    """

    after: str
    line: str
    to: str = dataclasses.field(default="same", kw_only=True)
    anywhere: bool = dataclasses.field(default=False, kw_only=True)
    since: str | None = dataclasses.field(default=None, kw_only=True)

    def apply(self, steps: list[str]) -> str:
        """Return the line to come after the last step; raises `KeyError` if there is none."""
        *before, last = steps
        match = _wild(self.after).fullmatch(last)
        if match is None or (
            self.since is not None and not any(map(_wild(self.since).fullmatch, before))
        ):
            raise KeyError(last)
        return _WORD.sub(lambda word: match[word[1]], self.line)


_WORD = re.compile(r"\{([a-z]+)\}")


@functools.cache
def _wild(text: str) -> re.Pattern[str]:
    pattern = ""
    for index, piece in enumerate(_WORD.split(text)):
        pattern += f"(?P<{piece}>.*?)" if index % 2 else re.escape(piece)
    return re.compile(pattern)


# -- replaying -----------------------------------------------------------------------------


class Mismatch(AssertionError):
    """The server did otherwise than recorded."""


@dataclasses.dataclass
class _Peer:
    """One connection of the replay."""

    client: WireClient
    #: The last line that was sent.
    asked: str = ""
    #: Lines that are still to come, among others.
    floating: list[str] = dataclasses.field(default_factory=list)


class Player:
    """Replays one recording.

    Parameters
    ----------
    name : str
        Of the recording.
    device : DeviceServer
        Started, and in the state that the recording begins with.
    mode : str
        Mode of the server, to choose differences by.
    differences : list of Difference
        The whole table; those of other recordings are left out.
    actions : dict, optional
        How remarks begin -> what is then done on the server's side, called with (player, remark).
        Remarks of the usual forms (a sensor is set, something is logged, ...) need none.
    repeated : bytes, optional
        A line that comes any number of times, at times that are the server's: a period's. It is
        counted and otherwise passed over.
    """

    def __init__(
        self,
        name: str,
        device: Any,
        mode: str,
        differences: list[Difference],
        actions: dict[str, Callable[[Player, str], Awaitable[None]]] | None = None,
        repeated: bytes | None = None,
    ) -> None:
        self.name = name
        self.device = device
        self.mode = mode
        self.differences = [d for d in differences if d.concerns(name, mode)]
        self.used: set[Difference] = set()
        self.actions = actions or {}
        self.repeated = repeated
        #: Whatever was received, with its connection, in order.
        self.log: list[tuple[str, bytes]] = []
        self.made: list[str] = []
        self.peers: dict[str, _Peer] = {}
        self.ports: dict[str, int] = {}
        self.began = time.time()

    async def play(self) -> None:
        """Replay.

        Raises
        ------
        Mismatch
            If something is otherwise than recorded, or not otherwise that was to be.
        """
        host, port = self.device.bind_address
        self.address = (host, port)
        step = None
        try:
            for step in read(self.name):  # used below
                await self._make(step)
                self.made.append(str(step))
                await self._expect_extras(step)
        except (Mismatch, asyncio.TimeoutError) as error:
            received = "\n".join(f"  <{conn} {line[:300]!r}" for conn, line in self.log[-12:])
            raise Mismatch(
                f"{self.name}, line {step and step.number} ({step}), mode {self.mode}: "
                f"{error or 'nothing came'}\nreceived last:\n{received}"
            ) from None
        finally:
            for peer in self.peers.values():
                await peer.client.close()
        unused = [difference for difference in self.differences if difference not in self.used]
        if unused:
            raise Mismatch(f"{self.name}: these differences do not occur: {unused}")

    async def _make(self, step: Step) -> None:
        if step.kind in ("send", "remark"):
            for connection in self.peers:
                await self._catch_floating(connection)
        if step.kind in ("see", "event"):
            await self._see(step)
        elif step.kind == "send":
            peer = self.peers[step.connection]
            peer.asked = step.text
            await peer.client.raw(to_send(step.text))
        else:
            await self._remark(step.text)

    # -- lines --------------------------------------------------------------------------

    async def _see(self, step: Step) -> None:
        text: str | None = step.text
        peer = self.peers.get(step.connection)
        for difference in self.differences:
            if isinstance(difference, Changed):
                try:
                    text = difference.apply(step.text, peer.asked if peer else "")
                except KeyError:
                    continue
                self.used.add(difference)
                break
        if text is None:
            return
        if step.kind == "event":
            await self._event(step._replace(text=text))
        else:
            for line in text.split("\n"):
                await self._receive(step.connection, line)

    async def _receive(self, connection: str, expected: str) -> None:
        """Wait for a line that matches `expected`."""
        if self.repeated is not None and raw(expected) == self.repeated:
            return
        peer = self.peers[connection]
        while True:
            line = await self._next(connection)
            if line is None:
                raise Mismatch(f"the stream ended where {expected!r} was to come")
            if self.matches(expected, line):
                return
            if not self._was_floating(peer, line):
                raise Mismatch(f"{line[:500]!r} came where {expected[:500]!r} was to come")

    async def _next(self, connection: str) -> bytes | None:
        """Return the next line of a connection; None at the end of the stream."""
        reader = self.peers[connection].client.reader
        while True:
            line = await asyncio.wait_for(reader.readline(), PATIENCE)
            if not line.endswith(b"\n"):
                if line:
                    raise Mismatch(f"the stream ended within a line: {line!r}")
                return None
            self.log.append((connection, line[:-1]))
            if line[:-1] != self.repeated:
                return line[:-1]

    def _was_floating(self, peer: _Peer, line: bytes) -> bool:
        for expected in peer.floating:
            if self.matches(expected, line):
                peer.floating.remove(expected)
                return True
        return False

    def matches(self, expected: str, line: bytes) -> bool:
        """Tell whether a line is as recorded, but for what the recorder had to leave open."""
        pattern = b""
        total = None
        position = 0
        expected = expected.replace(RECORDED_LIBRARY, f"katcp-python-{__version__}")
        expected = re.sub(
            rf"(#version-list\S* katcp-library \S+) {re.escape(RECORDED_VERSION)}",
            rf"\g<1> {__version__}",
            expected,
        )
        if expected == "(empty line)":
            return line == b""
        for place in _PLACE.finditer(expected):
            pattern += re.escape(raw(expected[position : place.start()]))
            position = place.end()
            what = place.group().strip()
            if what.endswith("in all>"):
                total = int(what.split()[0][1:])
                pattern += rb"\S*"
            elif what.startswith("<PORT"):
                pattern += b"%d" % self.ports[what[5:-1]]
            elif what.startswith("<DOC"):
                pattern += rb"\S+"
            elif what == "<FRAMES>":
                pattern += rb"\S*?"
            elif what == "<PID>":
                pattern += rb"\d+"
            else:
                pattern += rb"(?P<now%d>\d+\.\d{6})" % position
        pattern += re.escape(raw(expected[position:]))
        match = re.fullmatch(pattern, line)
        if match is None or (total is not None and len(line) != total):
            return False
        return all(
            self.began - 1 <= float(value) <= time.time() + 1
            for value in match.groupdict().values()
        )

    async def _expect_extras(self, step: Step) -> None:
        for difference in self.differences:
            if not isinstance(difference, Extra):
                continue
            try:
                line = difference.apply(self.made)
            except KeyError:
                continue
            connections = [step.connection]
            if difference.to == "others":
                connections = [conn for conn in self.peers if conn != step.connection]
            for connection in connections:
                self.used.add(difference)
                if difference.anywhere:
                    self.peers[connection].floating.append(line)
                else:
                    await self._receive(connection, line)

    # -- connections --------------------------------------------------------------------

    async def _event(self, step: Step) -> None:
        if step.text.startswith("connected"):
            await self._connect(step.connection)
        elif step.text == "client closes":
            # The sending side alone, so that what the server still sends is seen.
            peer = self.peers[step.connection]
            await self._catch_floating(step.connection)
            if peer.client.writer.can_write_eof():
                peer.client.writer.write_eof()
        elif step.text == "end of stream from server":
            await self._catch_floating(step.connection)
            line = await self._next(step.connection)
            if line is not None:
                raise Mismatch(f"{line[:500]!r} came where the stream was to end")
            await self.peers.pop(step.connection).client.close()
        elif step.text == "connecting again: ConnectionRefusedError":
            try:
                intruder = await WireClient.connect(self.address, greeting=None)
            except ConnectionRefusedError:
                return
            await intruder.close()
            raise Mismatch("a new connection was accepted")
        else:
            raise Mismatch(f"no idea how to make {step.text!r}")

    async def _connect(self, connection: str) -> None:
        client = await WireClient.connect(self.address, greeting=None)
        port = client.writer.get_extra_info("sockname")[1]
        self.peers[connection] = _Peer(client)
        self.ports[connection] = port

    async def _catch_floating(self, connection: str) -> None:
        peer = self.peers[connection]
        while peer.floating:
            line = await self._next(connection)
            if line is None or not self._was_floating(peer, line):
                raise Mismatch(f"{line!r} came where {peer.floating} was to come")

    # -- the server's side ----------------------------------------------------------------

    async def _remark(self, text: str) -> None:
        for beginning, action in self.actions.items():
            if text.startswith(beginning):
                await action(self, text)
                return
        setting = re.fullmatch(r"at [\d.]+ server: (.*)", text)
        if setting is not None:
            self._set_sensor(setting[1])
        elif text.startswith("log."):
            self._log(text)

    def _set_sensor(self, code: str) -> None:
        """Do what a remark such as ``demo.int.set_value(4, NOMINAL)`` says."""
        match = re.fullmatch(r"(demo\.[\w.-]+)\.set_value\((.*)\)", code)
        assert match is not None, f"no idea how to make {code!r}"
        args, kwargs = _arguments(match[2])
        self.device.get_sensor(match[1]).set_value(*args, **kwargs)

    def _log(self, text: str) -> None:
        """Do what a remark such as ``log.error("oops", timestamp=1.5)`` says."""
        match = re.match(r"log\.(\w+)\(", text)
        assert match is not None
        for end in (i for i, char in enumerate(text) if char == ")"):
            try:
                args, kwargs = _arguments(text[match.end() : end])
            except SyntaxError:
                continue
            getattr(self.device.log, match[1])(*args, **kwargs)
            return
        raise Mismatch(f"no idea how to make {text!r}")

    def mass_inform(self, *words: str) -> None:
        """Send an inform to all clients."""
        self.device.mass_inform(Message.inform(*words))


def _arguments(code: str) -> tuple[list[Any], dict[str, Any]]:
    """Read the arguments of a call that is written down; statuses go by their names."""
    call = ast.parse(f"f({code})", mode="eval").body
    assert isinstance(call, ast.Call)

    def value(node: ast.expr) -> Any:
        return getattr(Sensor, node.id) if isinstance(node, ast.Name) else ast.literal_eval(node)

    return [value(arg) for arg in call.args], {
        str(keyword.arg): value(keyword.value) for keyword in call.keywords
    }


def to_send(text: str) -> bytes:
    """Return the bytes that a client sends, with the end of line if there is one."""
    for note in (" (no end of line yet)", " (no end of line)"):
        if text.endswith(note):
            return raw(text.removesuffix(note))
    long = re.fullmatch(
        r"(?P<head>\?\w+ )(?P<fill>\w)\w*(?: \.\.\.|\.\.\.) <(?P<size>\d+) bytes"
        r"(?P<end> in all|, no end of line)>",
        text,
    )
    if long is not None:
        size = int(long["size"]) - len(long["head"])
        if long["end"] == " in all":
            return raw(long["head"]) + long["fill"].encode() * (size - 1) + b"\n"
        return raw(long["head"]) + long["fill"].encode() * size
    data = raw(text)
    return data if data.endswith((b"\r", b"\n")) else data + b"\n"
