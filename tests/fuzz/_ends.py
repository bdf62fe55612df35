"""Targets with a loop: a server and clients that are real, and whose other end is in memory."""

from __future__ import annotations

import asyncio
import enum
import logging
import socket
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import async_solipsism
from tornado.gen import TimeoutError
from tornado.ioloop import IOLoop
from tornado.platform.asyncio import BaseAsyncIOLoop

from katcp.client import AsyncClient
from katcp.errors import FailReply, KatcpClientError
from katcp.fake_clients import _wire
from katcp.inspecting_client import InspectingClientAsync, _InformHookDeviceClient
from katcp.kattypes import concurrent_reply
from katcp.protocol import Message, MessageParser, ProtocolFlags
from katcp.server import AsyncDeviceServer, Sensor
from tests.fuzz._core import replies_expected
from tests.fuzz._source import Source, chunks

PATIENCE = 20.0
_NAMES = {"peername": ("127.0.0.1", 7147), "sockname": ("127.0.0.1", 50000)}


class Alarm(logging.Handler):
    """Remembers what should not have happened: tracebacks in the log, and trouble in the loop."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take a log record."""
        if record.exc_info is not None:
            self.seen.append(f"{record.getMessage()}: {record.exc_info[1]!r}")

    def trouble(self, loop: Any, context: dict[str, Any]) -> None:
        """Take what nobody took."""
        self.seen.append(str(context))

    def check(self) -> None:
        """Fail if there was anything."""
        seen, self.seen = self.seen, []
        assert not seen, seen


class _VirtualLoop(async_solipsism.EventLoop):  # type: ignore[misc]  # has no annotations
    """Takes callbacks before it runs, as Tornado hands them in."""

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:
        if not self.is_running():
            return self.call_soon(callback, *args, context=context)
        return super().call_soon_threadsafe(callback, *args, context=context)


class Target:
    """Runs one case after the other in a loop of its own."""

    virtual = False

    def __init__(self) -> None:
        loop: Any
        if self.virtual:
            loop = BaseAsyncIOLoop(_VirtualLoop(), make_current=False)
            loop.time = loop.asyncio_loop.time
        else:
            loop = IOLoop(make_current=False)
        self.ioloop = loop
        self.loop: asyncio.AbstractEventLoop = loop.asyncio_loop
        self.alarm = Alarm()
        self.loop.set_exception_handler(self.alarm.trouble)
        self._log = logging.getLogger("katcp")
        self._log.addHandler(self.alarm)
        self._propagated, self._log.propagate = self._log.propagate, False
        self.run(self.begin())

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run in the loop."""
        self.loop.run_until_complete(asyncio.wait_for(coroutine, PATIENCE * 100))

    def __call__(self, data: bytes) -> None:
        """Try a case."""
        self.run(self.one(data))
        self.alarm.check()

    def close(self) -> None:
        """End."""
        self.run(self.end())
        self.loop.run_until_complete(asyncio.sleep(0))
        self._log.removeHandler(self.alarm)
        self._log.propagate = self._propagated
        self.ioloop.close()
        self.alarm.check()

    def abandon(self) -> None:
        """End after a case that failed, whatever it has left."""
        self.loop.run_until_complete(self.end())
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0.01))
        self._log.removeHandler(self.alarm)
        self._log.propagate = self._propagated
        self.ioloop.close()

    async def begin(self) -> None:
        """Make what all cases need."""

    async def one(self, data: bytes) -> None:
        """Try a case."""

    async def end(self) -> None:
        """End what was begun."""


class Peer(asyncio.BufferedProtocol):
    """The other end of a connection in memory: keeps what comes, or hands lines on."""

    def __init__(self, heard: Callable[[bytes], object] | None = None) -> None:
        self.transport: Any = None
        self.data = bytearray()
        self.lost = False
        self._heard = heard
        self._line = bytearray()
        self._buffer = bytearray(65536)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (called by the transport)."""
        self.transport = transport

    def get_buffer(self, sizehint: int) -> Any:
        """Return where to read into (called by the transport)."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what has come (called by the transport)."""
        data = self._buffer[:nbytes]
        if self._heard is None:
            self.data += data
            return
        self._line += data
        *lines, rest = bytes(self._line).split(b"\n")
        self._line = bytearray(rest)
        for line in lines:
            self._heard(line)

    def eof_received(self) -> bool:
        """End (called by the transport)."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """End (called by the transport)."""
        self.lost = True

    def say(self, data: bytes) -> None:
        """Send."""
        if not self.lost and self.transport is not None:
            self.transport.write(data)

    def hang_up(self) -> None:
        """Close."""
        if self.transport is not None:
            self.transport.close()


def connect(loop: asyncio.AbstractEventLoop, near: Any, far: Any) -> None:
    """Connect two protocols."""
    one = _wire.MemoryTransport(loop, near, dict(_NAMES))
    other = _wire.MemoryTransport(loop, far, dict(_NAMES))
    _wire.join(one, other)
    near.connection_made(one)
    far.connection_made(other)


def _no_sockets() -> list[socket.socket]:
    return []


# -- the server ----------------------------------------------------------------------------


class Mode(enum.Enum):
    """Of a handler's argument."""

    ON = "on"
    OFF = "off"


class Fuzzed(AsyncDeviceServer):
    """Has a sensor of each type, and handlers of all ways to answer."""

    announces_clients = True

    def setup_sensors(self) -> None:
        for sensor in (
            Sensor.integer("an.int", "I.", "V", [-5, 5]),
            Sensor.float("a.float", "F."),
            Sensor.boolean("a.bool", "B."),
            Sensor.discrete("a.discrete", "D.", "", ["on", "off"]),
            Sensor.lru("an.lru", "L."),
            Sensor.string("a.string", "S."),
            Sensor.timestamp("a.time", "T."),
            Sensor.address("an.address", "A."),
        ):
            self.add_sensor(sensor)

    def request_halt(self, req: Any) -> None:
        """Do not halt: there are more cases."""

    def request_restart(self, req: Any) -> None:
        """Do not restart either."""

    def request_echo(self, req: Any, *words: bytes) -> tuple[bytes, ...]:
        """Say the same."""
        return words

    def request_text(self, req: Any, text: str, more: str = "x") -> tuple[str, str]:
        """Say the same, if it is text."""
        return text, more

    def request_kinds(self, req: Any, i: int, f: float = 1.0, b: bool = True) -> Any:
        """Say the same, if these are numbers."""
        return req.make_reply("ok", i, f, b)

    def request_mode(self, req: Any, mode: Mode) -> Mode:
        """Say the same, if it is a mode."""
        return mode

    def request_raw(self, req: Any, msg: Message) -> Message:
        """Say how many arguments there are, by hand."""
        req.inform(*msg.arguments[:3])
        return req.make_reply("ok", len(msg.arguments))

    async def request_nap(self, req: Any, turns: int = 1) -> None:
        """Take some turns of the loop."""
        for _ in range(min(abs(turns), 5)):
            await asyncio.sleep(0)

    @concurrent_reply
    async def request_side_nap(self, req: Any, turns: int = 1) -> None:
        """Take some turns of the loop, and let others by."""
        for _ in range(min(abs(turns), 5)):
            await asyncio.sleep(0)

    def request_set(self, req: Any, name: str, value: bytes) -> None:
        """Set a sensor."""
        try:
            sensor = self.get_sensor(name)
            sensor.set_formatted(b"1.5", b"nominal", value)
        except ValueError as error:
            raise FailReply(str(error)) from None


class Fuzzed4(Fuzzed):
    """The same, as a device of version 4."""

    PROTOCOL_INFO = ProtocolFlags(4, 0, "M")


MAX_LINE = 2000
MAX_ARGUMENTS = 50
MAX_NAME = 40


class Server(Target):
    """A server goes on, each request in the bytes has one reply, and no handler fails oddly."""

    async def begin(self) -> None:
        self.servers = []
        for device in (Fuzzed, Fuzzed4):
            server = device(
                "127.0.0.1",
                0,
                tb_limit=0,
                max_line=MAX_LINE,
                max_arguments=MAX_ARGUMENTS,
                max_name=MAX_NAME,
            )
            server._server.open_sockets = _no_sockets  # type: ignore[method-assign]
            server.start()
            self.servers.append(server)
        await asyncio.sleep(0)
        self._number = 0

    async def end(self) -> None:
        for server in self.servers:
            await server.stop()

    async def one(self, data: bytes) -> None:
        source = Source(data)
        server = self.servers[0 if source.byte() < 200 else 1]
        cut = source.byte()
        stream = source.rest() + b"\n"
        self._number += 1
        end = b"!fuzz-end[%d] invalid " % self._number
        near = Peer()
        connect(self.loop, near, server._server.make_connection())
        for chunk in chunks(stream, cut):
            near.say(chunk)
            if cut & 1:
                await asyncio.sleep(0)
        near.say(b"?fuzz-end[%d]\n" % self._number)
        overrun = max(map(len, stream.replace(b"\r", b"\n").split(b"\n"))) > 4 * MAX_LINE
        expected = replies_expected(stream, MAX_LINE, MAX_ARGUMENTS, MAX_NAME)
        expected[b"fuzz-end", b"%d" % self._number] += 1
        deadline = self.loop.time() + PATIENCE
        while True:
            lines = bytes(near.data).split(b"\n")
            found = Counter(_replies(lines))
            if near.lost or (end in near.data and found == expected):
                break
            assert self.loop.time() < deadline, (expected - found, found - expected)
            await asyncio.sleep(0)
        if near.lost:
            assert overrun, "hung up"
        for line in lines[:-1]:
            MessageParser().parse(line)
        assert b"Traceback" not in near.data
        near.hang_up()
        while server._server.connections:
            await asyncio.sleep(0)
            assert self.loop.time() < deadline
        server.log.set_log_level_by_name("warn")


def _replies(lines: list[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
    for line in lines[:-1]:
        if line.startswith(b"!"):
            reply = MessageParser().parse(line)
            yield reply.name.encode(), reply.mid


# -- the client ----------------------------------------------------------------------------

V51 = (
    b"#version-connect katcp-protocol 5.1-BIMT\n"
    b"#version-connect katcp-library scripted-1.0\n"
    b"#version-connect katcp-device demo-api-2.1 demo-build-3.4\n"
)
GREETINGS = (
    V51,
    b"#version-connect katcp-protocol 5.0-M\n",
    b"#version demo-api-2.1\n#build-state demo-build-3.4\n",
    b"",
)


class MemoryLink:
    """In place of TCP: each connection leads to a new `Peer` (mixed into a client)."""

    heard: Callable[[bytes], object]
    peer: Peer
    #: Said at the beginning of each connection but the first.
    greeting = b""
    connections = 0

    async def open_transport(self, protocol: asyncio.BufferedProtocol) -> None:
        """Connect to a peer in this process."""
        self.peer = Peer(lambda line: self.heard(line))
        connect(asyncio.get_running_loop(), protocol, self.peer)
        self.connections += 1
        if self.connections > 1:
            self.peer.say(self.greeting)


class PlainClient(MemoryLink, AsyncClient):
    """Handles some messages itself."""

    def request_who_are_you(self, msg: Message) -> Message:
        """Answer a request of the device."""
        return Message.reply_to_request(msg, "ok", *msg.arguments)

    def inform_noise(self, msg: Message) -> None:
        """Take an inform."""

    def reply_late(self, msg: Message) -> None:
        """Take a reply that nobody waits for."""


class Client(Target):
    """A client goes on, each of its requests ends, and what it is told raises nowhere."""

    virtual = True

    async def begin(self) -> None:
        self.client = client = PlainClient("memory", 7147, greeting_timeout=0.002, timeout=0.02)
        client.MAX_MSG_SIZE = 2000
        client.MAX_ARGUMENTS = 50
        client.auto_reconnect_delay = 0.0
        client.heard = lambda line: None  # type: ignore[method-assign]
        client.set_ioloop(self.ioloop)
        client.start()
        await client.until_connected()

    async def end(self) -> None:
        self.client.stop()
        await self.client.until_stopped()

    async def one(self, data: bytes) -> None:
        source = Source(data)
        client = self.client
        await client.until_connected(timeout=PATIENCE)
        peer = client.peer
        client.heard = lambda line: None  # type: ignore[method-assign]
        peer.say(source.choice(GREETINGS))
        if source.byte() & 1:
            await asyncio.sleep(0.003)  # or what comes is the greeting too
        cut = source.byte()
        client._table.last_mid = 0
        told: list[Any] = []
        asked: list[Any] = [
            client.future_request(Message.request("echo", "a b")),
            client.raw_request(Message.request("sensor-list")),
            client.wire_request(Message.request("help"), timeout=0.01),
            client.future_request(Message.request("plain"), use_mid=False),
            client.future_request(Message.request("odd", mid="007")),
        ]
        client.callback_request(
            Message.request("watchdog"), told.append, lambda msg: told.append(msg), timeout=0.01
        )
        if not source.byte() & 3:
            client.hook_wire_inform("sensor-status", told.append, told.extend)
        for chunk in chunks(source.rest(), cut):
            peer.say(chunk)
            if cut & 1:
                await asyncio.sleep(0)
        results = await asyncio.gather(*asked, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                assert isinstance(result, (KatcpClientError, TimeoutError)), repr(result)
        # The next good answer is understood, on this connection or on the one that follows.
        client.heard = self._answer  # type: ignore[method-assign]
        peer.say(b"\n")
        for _ in range(50):
            await client.until_connected(timeout=PATIENCE)
            reply, _ = await client.future_request(Message.request("fuzz-end"), timeout=0.05)
            if reply.reply_ok():
                break
            await asyncio.sleep(0)
        else:
            raise AssertionError(reply)
        client._wire_hooks.pop(b"sensor-status", None)
        client._run_hooks.pop(b"sensor-status", None)
        last = client.peer
        last.hang_up()
        while client.peer is last:  # noqa: ASYNC110  # nothing tells
            await asyncio.sleep(0)

    def _answer(self, line: bytes) -> None:
        name = line[1:].split(b" ")[0]
        if line.startswith(b"?"):
            self.client.peer.say(b"!" + name + b" ok\n")


# -- the inspecting client -----------------------------------------------------------------


class InspectingLink(MemoryLink, _InformHookDeviceClient):
    """The client below an inspecting client, connected in memory."""


SENSORS = {
    b"an.int": b"I. V integer -5 5",
    b"a.text": b"T. \\@ string",
    b"a.discrete": b"D. \\@ discrete on off",
}
REQUESTS = {b"help": b"Help.", b"sensor-list": b"List.", b"watchdog": b"Pong."}


class FuzzedInspector(InspectingClientAsync):
    """An inspecting client connected in memory."""

    def inform_hook_client_factory(self, *args: Any, **kwargs: Any) -> InspectingLink:
        return InspectingLink(*args, **kwargs)


class Inspecting(Target):
    """A device that lies is inspected as far as it goes, and in truth once it tells the truth."""

    virtual = True

    async def one(self, data: bytes) -> None:
        source = Source(data)
        greeting = source.choice(GREETINGS[:3])
        stays = bool(source.byte() & 1)
        self._lies = iter(source.rest().split(b"\n\n"))
        self._client = client = FuzzedInspector("memory", 7147)
        client.initial_resync_timeout = 0.1
        client.max_resync_timeout = 0.2
        client.sync_timeout = 1
        below: Any = client.katcp_client
        below.auto_reconnect_delay = 0.0
        below.MAX_MSG_SIZE = 20_000
        below.heard = self._lie
        below.greeting = V51
        told: list[Any] = []
        client.set_state_callback(lambda state, changes: told.append(state))
        client.connect()
        await below.until_connected()
        below.peer.say(greeting)
        try:
            await client.until_synced(timeout=3)
            for name in client.sensors[:20]:
                sensor = await client.future_get_sensor(name)
                assert sensor.name == name
                client.set_sampling(name, "event")
            await asyncio.sleep(0.5)
        except (asyncio.TimeoutError, ValueError):
            pass
        for lie in self._lies:
            below.peer.say(lie + b"\n")
        await asyncio.sleep(0.01)
        # From here on the device tells the truth.
        below.heard = self._truth
        if stays and greeting == V51 and below.is_connected():
            below.peer.say(b"\n" + V51 + b"#interface-changed\n")
        else:
            below.peer.hang_up()
        deadline = self.loop.time() + 500
        while True:
            await client.until_synced(timeout=500)
            if set(client.sensors) == {name.decode() for name in SENSORS}:
                break
            assert self.loop.time() < deadline, client.sensors
            await asyncio.sleep(0.1)
        assert set(client.requests) == {name.decode() for name in REQUESTS}
        for name in client.sensors:
            sensor = await client.future_get_sensor(name)
            assert sensor.name == name
            assert sensor.type == SENSORS[name.encode()].split()[2].decode()
        client.stop()
        await client.until_stopped(timeout=10)

    def _lie(self, line: bytes) -> None:
        peer = self._client.katcp_client.peer  # type: ignore[attr-defined]
        lie = next(self._lies, None)
        if lie is not None:
            peer.say(said(line, lie))

    def _truth(self, line: bytes) -> None:
        name, _, argument = line[1:].partition(b" ")
        request = name.split(b"[")[0]
        table = {b"sensor-list": SENSORS, b"help": REQUESTS}.get(request)
        if table is None:
            answer = b"! ok 0" if request == b"request-timeout-hint" else b"! ok"
        elif argument and argument not in table:
            answer = b"! fail Unknown\\_name."
        else:
            names = [argument] if argument else list(table)
            lines = [b"# %b %b" % (each, table[each]) for each in names]
            answer = b"\n".join([*lines, b"! ok %d" % len(lines)])
        self._client.katcp_client.peer.say(said(line, answer))  # type: ignore[attr-defined]


def said(request: bytes, text: bytes) -> bytes:
    """Return an answer: ``!`` and ``#`` at the beginning of a line get name and id."""
    name = request[1:].split(b" ")[0]
    lines = []
    for line in text.split(b"\n"):
        bare = line[:1] in (b"!", b"#") and line[1:2] in (b" ", b"")
        lines.append(line[:1] + name + line[1:] if bare else line)
    return b"\n".join(lines) + b"\n"
