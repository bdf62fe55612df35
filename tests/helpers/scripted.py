"""Devices that are scripts, over real sockets: for clients to meet what real servers never do.

`Script` plays a transcript: what the device says, and what it has to hear first. `Device` answers
the standard requests from two dicts, and everything about it can be changed or broken on the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from katcp.protocol import Message, MessageParser, escape

V51 = (
    b"#version-connect katcp-protocol 5.1-BIMT",
    b"#version-connect katcp-library scripted-1.0",
    b"#version-connect katcp-device demo-api-2.1 demo-build-3.4",
)
V50 = (b"#version-connect katcp-protocol 5.0-IM", *V51[1:])
V50_NO_IDS = (b"#version-connect katcp-protocol 5.0-M",)
V4 = (b"#version demo-api-2.1", b"#build-state demo-build-3.4")

#: Nothing a test waits for may take longer than this [s].
PATIENCE = 10.0


class Session:
    """One connection, seen from the device."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, *lines: bytes) -> None:
        """Send lines; each gets its LF."""
        self.writer.write(b"".join(line + b"\n" for line in lines))

    async def hear(self, timeout: float = PATIENCE) -> bytes:
        """Return the next line without its LF.

        Raises
        ------
        EOFError
            When the client has closed the connection.
        """
        line = await asyncio.wait_for(self.reader.readline(), timeout)
        if not line.endswith(b"\n"):
            raise EOFError
        return line[:-1]

    async def expect(self, line: bytes) -> None:
        """Hear exactly this."""
        heard = await self.hear()
        assert heard == line, f"expected {line!r}, heard {heard!r}"

    async def play(self, script: str) -> None:
        """Play lines of a transcript: ``> heard`` and ``< said``; others are remarks."""
        for text in script.splitlines():
            direction, _, rest = text.strip().partition(" ")
            if direction == "<":
                self.say(rest.encode())
            elif direction == ">":
                await self.expect(rest.encode())

    async def until_closed(self) -> list[bytes]:
        """Hear everything up to the client's end of the connection."""
        lines = []
        try:
            while True:
                lines.append(await self.hear())
        except (EOFError, ConnectionError):
            return lines

    def close(self) -> None:
        """Close the connection."""
        self.writer.close()

    def abort(self) -> None:
        """Cut the connection."""
        self.writer.transport.abort()


class Server:
    """Listens on a port of its own, which can be closed and opened again.

    Parameters
    ----------
    talk : coroutine function
        Called with a `Session` for each connection, which is closed when it returns. What it
        raises (but for the end of the connection) fails the test at the end of the block.
    """

    def __init__(self, talk: Callable[[Session], Awaitable[None]]) -> None:
        self._talk = talk
        self._listener: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.sessions: list[Session] = []
        #: How many connections there have been.
        self.count = 0
        self.errors: list[BaseException] = []
        self.host = "127.0.0.1"
        self.port = 0

    async def __aenter__(self) -> Any:
        # Bound once, listened on as often as wanted: nobody else can get the port meanwhile.
        self._anchor = self._bound(0)
        self.port = self._anchor.getsockname()[1]
        await self.listen()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.refuse()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._anchor.close()
        if exc_info[0] is None and self.errors:
            raise self.errors[0]

    def _bound(self, port: int) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((self.host, port))
        sock.setblocking(False)
        return sock

    @property
    def listening(self) -> bool:
        """Whether connections are taken."""
        return self._listener is not None

    async def listen(self) -> None:
        """Take connections."""
        if self._listener is None:
            self._listener = self._bound(self.port)
            self._listener.listen(100)
            asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def refuse(self) -> None:
        """Refuse connections from now on; those that are there stay."""
        listener, self._listener = self._listener, None
        if listener is not None:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        # By hand: a server of asyncio forgets the connections that it is just about to take when
        # it is closed, and their clients would wait for ever.
        with contextlib.suppress(BlockingIOError):
            sock, _ = listener.accept()
            sock.setblocking(False)
            # Answers are several lines, and clients wait for each.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = asyncio.get_running_loop().create_task(self._take(sock))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _: sock.close())  # if it was cancelled at once

    async def _take(self, sock: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=sock, limit=2**24)
        session = Session(reader, writer)
        self.sessions.append(session)
        self.count += 1
        try:
            await self._talk(session)
        except (EOFError, ConnectionError, asyncio.CancelledError):
            pass
        except BaseException as error:
            self.errors.append(error)
        finally:
            self.sessions.remove(session)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    def say(self, *lines: bytes) -> None:
        """Send lines to all clients."""
        for session in self.sessions:
            session.say(*lines)

    def cut(self) -> None:
        """Cut all connections."""
        for session in list(self.sessions):
            session.abort()

    @property
    def session(self) -> Session:
        """The one connection there is."""
        (session,) = self.sessions
        return session


class Script(Server):
    """Plays one transcript for each connection, then waits for the client to close.

    Parameters
    ----------
    *scripts : str
        For the first connection, the second, ...; the last one also for all that follow.
    """

    def __init__(self, *scripts: str) -> None:
        super().__init__(self._play)
        self._scripts = scripts
        #: Heard behind the end of the script.
        self.rest: list[bytes] = []

    async def _play(self, session: Session) -> None:
        script = self._scripts[min(self.count, len(self._scripts)) - 1]
        await session.play(script)
        self.rest += await session.until_closed()


Answer = Callable[[Session, Message], Any]


class Device(Server):
    """Answers ``help``, ``sensor-list``, ``request-timeout-hint``, ``watchdog`` and more.

    Parameters
    ----------
    greeting : iterable of bytes
    sensors : dict
        Name -> the rest of its ``#sensor-list`` as on the wire: ``"An_int. \\@ integer"``.
    requests : dict
        Name -> help text.

    Attributes
    ----------
    heard : list of bytes
        All requests, in order.
    answers : dict
        Request -> function of (session, message) that returns the lines of the answer, or says
        them itself, or is a coroutine function; goes before the built-in answers. Lines begin
        with ``!`` or ``#`` and get name and id: ``b"! ok 1"``.
    """

    def __init__(
        self,
        greeting: Iterable[bytes] = V51,
        sensors: dict[str, str] | None = None,
        requests: dict[str, str] | None = None,
    ) -> None:
        super().__init__(self._serve)
        self.greeting = tuple(greeting)
        self.sensors = dict(sensors or {})
        self.requests = dict(requests or {"help": "Help.", "watchdog": "Pong."})
        self.hints: dict[str, float] = {}
        self.values: dict[str, str] = {}
        self.heard: list[bytes] = []
        self.answers: dict[str, Answer] = {}

    async def _serve(self, session: Session) -> None:
        session.say(*self.greeting)
        parse = MessageParser().parse
        while True:
            line = await session.hear(timeout=60)
            self.heard.append(line)
            message = parse(line)
            answer = self.answers.get(message.name, self._builtin)
            result = answer(session, message)
            if inspect.isawaitable(result):
                result = await result
            self.answer(session, message, *(result or ()))

    @staticmethod
    def answer(session: Session, message: Message, *lines: bytes) -> None:
        """Answer a request with lines such as ``b"# a b"`` and ``b"! ok 1"``."""
        mid = b"" if message.mid is None else b"[" + message.mid + b"]"
        head = message.name.encode() + mid
        session.say(*(line[:1] + head + line[1:] for line in lines))

    def _builtin(self, session: Session, message: Message) -> list[bytes]:
        name = message.name
        wanted = message.arguments[0].decode() if message.arguments else None
        if name == "watchdog":
            return [b"! ok"]
        if name == "help":
            return self._listing(self.requests, wanted, b"Unknown\\_request\\_method.", True)
        if name == "sensor-list":
            return self._listing(self.sensors, wanted, b"Unknown\\_sensor\\_name.")
        if name == "request-timeout-hint":
            if wanted is not None:
                hint = self.hints.get(wanted, 0.0)
                return [b"# %s %r" % (wanted.encode(), hint), b"! ok 1"]
            lines = [b"# %s %r" % (key.encode(), hint) for key, hint in self.hints.items()]
            return [*lines, b"! ok %d" % len(lines)]
        if name == "sensor-sampling":
            return self._sample(session, message)
        return [b"! invalid Unknown\\_request."]

    @staticmethod
    def _listing(
        table: dict[str, str], wanted: str | None, unknown: bytes, text: bool = False
    ) -> list[bytes]:
        if wanted is not None and wanted not in table:
            return [b"! fail " + unknown]
        names = sorted(table) if wanted is None else [wanted]
        lines = []
        for name in names:
            rest = escape(table[name].encode()) if text else table[name].encode()
            lines.append(b"# " + name.encode() + b" " + rest)
        return [*lines, b"! ok %d" % len(lines)]

    def _sample(self, session: Session, message: Message) -> list[bytes]:
        names = message.arguments[0].decode().split(",")
        unknown = [name for name in names if name not in self.sensors]
        if unknown:
            return [b"! fail Unknown\\_sensor\\_name."]
        if message.arguments[1:2] != [b"none"]:
            for name in names:
                value = self.values.get(name, "1600000000.25 1 {} nominal 3").format(name)
                session.say(b"#sensor-status " + value.encode())
        return [b"! ok " + b" ".join(escape(a) for a in message.arguments)]

    def forget(self) -> None:
        """Forget what was heard."""
        self.heard.clear()


async def until(condition: Callable[[], object], timeout: float = PATIENCE) -> None:
    """Wait until a condition holds that nothing announces."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    while not condition():
        assert loop.time() < end, "it never came to be"
        await asyncio.sleep(0.002)
